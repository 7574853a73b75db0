import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Load } from './load-generator.js'

// Processor time of a process of its own for each request or call: neither a busy machine nor the load generator beside
// it decides a comparison. bench/README.md says how it measures.

/** What a process under test offers to be measured: a server, or a function that is called with 0, 1, 2, … */
export type Subject = { url: string } | { call: (index: number) => unknown }

export interface Variant {
  readonly name: string
  /** The name of the variant that it is compared with. */
  readonly base: string
  /** Requests or calls of a stretch. */
  readonly count: number
  /** What the load generator sends; null where a function is measured. */
  readonly load: Load | null
  /** Runs in the process under test. */
  prepare (): Promise<Subject>
}

/** Processes for each variant. */
const rounds = Number(process.env.ROUNDS ?? 3)
/** Before anything is measured each path is compiled, and what is remembered stands where it will stand. */
const warmUp = 30_000

/**
 * Measures the variants (those whose name holds `ONLY`, and their base) and prints them. The same script, started as a
 * child, is the process under test.
 *
 * @param script `import.meta.url` of the benchmark
 */
export async function compare (script: string, variants: readonly Variant[]): Promise<void> {
  const [, , role, name] = process.argv
  const own = variants.find(variant => variant.name === name)
  if (role === 'subject' && own !== undefined) return await beMeasured(await own.prepare())
  const chosen = chosenOf(variants)
  const costs = new Map(chosen.map(variant => [variant.name, new Array<number>()]))
  for (let round = 0; round < rounds; round++) {
    // Forwards and then backwards: a machine that others use is not the same for long.
    for (const variant of round % 2 === 0 ? chosen : chosen.toReversed()) {
      costs.get(variant.name)?.push(await cost(script, variant))
    }
  }
  print(chosen, costs)
}

function chosenOf (variants: readonly Variant[]): readonly Variant[] {
  const named = variants.filter(({ name }) => name.includes(process.env.ONLY ?? ''))
  return variants.filter(({ name }) => named.some(variant => variant.name === name || variant.base === name))
}

/** What the process under test is told, and how it answers. */
interface Message { url?: string, collect?: boolean, calls?: number, microseconds?: number }

async function beMeasured (subject: Subject): Promise<void> {
  process.on('message', ({ collect = false, calls = 0 }: Message) => { work(subject, collect, calls).catch(stopAll) })
  process.send?.('url' in subject ? { url: subject.url } : {})
  await once(process, 'disconnect')
  process.exit()
}

function stopAll (error: unknown): never {
  console.error(error)
  process.exit(1)
}

async function work (subject: Subject, collect: boolean, calls: number): Promise<void> {
  if (collect) for (let time = 0; time < 2; time++) globalThis.gc?.()
  if ('call' in subject) for (let index = 0; index < calls; index++) await subject.call(index)
  const { user, system } = process.cpuUsage()
  process.send?.({ microseconds: user + system })
}

/** Microseconds of the processor for one request or call, in a fresh process. */
async function cost (script: string, { name, count, load }: Variant): Promise<number> {
  const subject = start(fileURLToPath(script), ['subject', name])
  const { url } = await answerOf(subject)
  const generator = load === null ? null : start(fileURLToPath(new URL('load-generator.ts', import.meta.url)), [])
  if (generator !== null) await ask(generator, { url, ...load })
  const stretch = async (length: number): Promise<number> => {
    const before = await ask(subject, {})
    if (generator !== null) await ask(generator, { count: length })
    return await ask(subject, { calls: length }) - before
  }
  await stretch(Math.max(warmUp, count))
  // A major collection in the middle of it would be one variant's bad luck: here each has had its own.
  await ask(subject, { collect: true })
  await stretch(count)
  const microseconds = await stretch(count)
  for (const child of [generator, subject]) await stop(child)
  return microseconds / count
}

/** V8 widens its nursery as things survive: whoever remembers more had the wider one, and the colder memory. */
const nursery = '--min-semi-space-size=16'

function start (script: string, args: string[]): ChildProcess {
  const child = fork(script, args, { execArgv: [...process.execArgv, '--expose-gc', nursery] })
  child.on('exit', code => { if (code !== 0) process.exit(1) })
  return child
}

async function stop (child: ChildProcess | null): Promise<void> {
  if (child === null) return
  child.disconnect()
  if (child.exitCode === null) await once(child, 'exit')
}

async function ask (child: ChildProcess, question: object): Promise<number> {
  child.send(question)
  return (await answerOf(child)).microseconds ?? 0
}

async function answerOf (child: ChildProcess): Promise<Message> {
  const [answer] = await once(child, 'message')
  return answer
}

function print (variants: readonly Variant[], costs: ReadonlyMap<string, readonly number[]>): void {
  console.log(`node ${process.version}, microseconds of the processor, median and range of ${rounds} processes\n`)
  const width = Math.max(...variants.map(({ name }) => name.length))
  for (const { name, base } of variants) {
    const own = costs.get(name) ?? []
    const ratio = median(own) / median(costs.get(base) ?? [])
    const range = `${Math.min(...own).toFixed(1)} to ${Math.max(...own).toFixed(1)}`
    const ratios = `${ratio.toFixed(2)} times the time, throughput ${(1 / ratio).toFixed(2)}`
    const compared = name === base ? '' : `${ratios} of ${base}`
    console.log(`${name.padEnd(width)} ${median(own).toFixed(2).padStart(8)}  ${range.padEnd(16)}  ${compared}`)
  }
}

function median (numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return ((sorted[middle] ?? NaN) + (sorted[sorted.length - 1 - middle] ?? NaN)) / 2
}
