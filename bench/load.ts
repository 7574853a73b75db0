import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import autocannon from 'autocannon'

// A server in a process of its own, put under load from this one. What it used of its processor is told apart from
// what the load generator used, so that a busy machine does not decide a comparison.

export interface Served { url: string, requests: autocannon.Request[] }

export interface Measured { perSecond: number, perProcessorSecond: number }

/** In the child: tells the parent where it listens, and its processor time whenever it is asked, until the parent goes. */
export async function serveUntilDisconnected (served: Served): Promise<void> {
  process.on('message', () => process.send?.({ microseconds: process.cpuUsage().user + process.cpuUsage().system }))
  process.send?.(served)
  await once(process, 'disconnect')
}

/** In the parent: runs `script` as the child `name`, warms it up and measures it. */
export async function measure (script: string, name: string, { connections, seconds, env = {} }: { connections: number, seconds: number, env?: Record<string, string> }): Promise<Measured> {
  const child = fork(script, ['serve', name], { execArgv: process.execArgv, env: { ...process.env, ...env } })
  const [{ url, requests }] = await once(child, 'message') as [Served]
  await autocannon({ url, connections, duration: 2, requests })
  const before = await processorTime(child)
  const { requests: { total }, non2xx, duration } = await autocannon({ url, connections, duration: seconds, requests })
  const used = await processorTime(child) - before
  child.disconnect()
  await once(child, 'exit')
  if (non2xx > 0) throw new Error(`${name}: ${non2xx} answers were refusals`)
  return { perSecond: total / duration, perProcessorSecond: total / used * 1e6 }
}

async function processorTime (child: ChildProcess): Promise<number> {
  child.send('processor time')
  const [{ microseconds }] = await once(child, 'message') as [{ microseconds: number }]
  return microseconds
}

/** Measures all, in turn, `rounds` times; prints medians and the median of each round's ratio to its `base`. */
export async function compare (names: readonly string[], { base, rounds, once }: { base: (name: string) => string, rounds: number, once: (name: string) => Promise<Measured> }): Promise<void> {
  const measured = new Map(names.map(name => [name, new Array<Measured>()]))
  for (let round = 0; round < rounds; round++) {
    for (const name of names) measured.get(name)?.push(await once(name))
  }
  console.log(`${''.padEnd(36)} requests per second    per second of the server's processor`)
  for (const name of names) console.log(row(name, measured.get(name) ?? [], measured.get(base(name)) ?? []))
}

function row (name: string, results: Measured[], base: Measured[]): string {
  const columns = (['perSecond', 'perProcessorSecond'] as const).map(unit => {
    const ratio = median(results.map((result, round) => result[unit] / (base[round]?.[unit] ?? Number.NaN)))
    return `${median(results.map(result => result[unit])).toFixed(0).padStart(8)}  ${ratio.toFixed(2)}`
  })
  return `${name.padEnd(36)} ${columns.join('          ')}`
}

function median (numbers: number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN
}
