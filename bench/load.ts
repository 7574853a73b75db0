import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import autocannon from 'autocannon'

// A server in a process of its own, put under load from this one. What it used of its processor is told apart from
// what the load generator used, so that a busy machine does not decide a comparison.

export interface Served { url: string, requests: autocannon.Request[] }

interface Measured { perSecond: number, perProcessorSecond: number }

/** In the child: tells the parent where it listens, and its processor time when asked, until the parent goes. */
export async function serveUntilDisconnected (served: Served): Promise<void> {
  process.on('message', () => process.send?.({ microseconds: process.cpuUsage().user + process.cpuUsage().system }))
  process.send?.(served)
  await once(process, 'disconnect')
}

/** In the parent: a child under test. */
interface Server {
  /** Puts it under load for so long, in seconds. */
  load (seconds: number): Promise<Burst>
  stop (): Promise<void>
}

/** Requests answered, in how much time of the clock and of the server's processor (seconds). */
interface Burst { requests: number, clock: number, processor: number }

export interface LoadOptions { connections: number, env?: Record<string, string> }

/** Runs `script` as the child `name`, and warms it up. */
async function start (script: string, name: string, { connections, env = {} }: LoadOptions): Promise<Server> {
  const child = fork(script, ['serve', name], { execArgv: process.execArgv, env: { ...process.env, ...env } })
  const [{ url, requests }] = await once(child, 'message') as [Served]

  async function load (seconds: number): Promise<Burst> {
    const before = await processorTime(child)
    const {
      requests: { total },
      non2xx,
      errors,
      duration
    } = await autocannon({ url, connections, duration: seconds, requests })
    if (non2xx + errors > 0) throw new Error(`${name}: ${non2xx} answers were refusals, ${errors} did not come`)
    return { requests: total, clock: duration, processor: (await processorTime(child) - before) / 1e6 }
  }

  async function stop (): Promise<void> {
    child.disconnect()
    await once(child, 'exit')
  }

  await load(2)
  return { load, stop }
}

async function processorTime (child: ChildProcess): Promise<number> {
  child.send('processor time')
  const [{ microseconds }] = await once(child, 'message') as [{ microseconds: number }]
  return microseconds
}

export interface Comparison {
  script: string
  /** Whom each is compared with. */
  base: (name: string) => string
  /** Of fresh servers. */
  rounds: number
  /** Of load on each server in a round. */
  seconds: number
  load: LoadOptions
}

/** Measures all, `rounds` times; prints medians, and median and range of each round's ratio to its `base`. */
export async function compare (
  names: readonly string[],
  { script, base, rounds, seconds, load }: Comparison
): Promise<void> {
  const measured = new Map(names.map(name => [name, new Array<Measured>()]))
  for (let round = 0; round < rounds; round++) {
    for (const [name, result] of await measure(script, names, seconds, load)) measured.get(name)?.push(result)
  }
  console.log(`${''.padEnd(36)} requests per second         per second of the server's processor`)
  for (const name of names) console.log(row(name, measured.get(name) ?? [], measured.get(base(name)) ?? []))
}

// A second for each in turn, forwards and then backwards: a machine that others use is not the same for long.
async function measure (
  script: string,
  names: readonly string[],
  seconds: number,
  load: LoadOptions
): Promise<Map<string, Measured>> {
  const servers: Array<{ name: string, server: Server, bursts: Burst[] }> = []
  for (const name of names) servers.push({ name, server: await start(script, name, load), bursts: [] })
  for (let second = 0; second < seconds; second++) {
    for (const { server, bursts } of second % 2 === 0 ? servers : servers.toReversed()) {
      bursts.push(await server.load(1))
    }
  }
  for (const { server } of servers) await server.stop()
  return new Map(servers.map(({ name, bursts }) => [name, total(bursts)]))
}

function total (bursts: readonly Burst[]): Measured {
  const sum = (unit: keyof Burst): number => bursts.reduce((subtotal, burst) => subtotal + burst[unit], 0)
  return { perSecond: sum('requests') / sum('clock'), perProcessorSecond: sum('requests') / sum('processor') }
}

function row (name: string, results: Measured[], base: Measured[]): string {
  const columns = (['perSecond', 'perProcessorSecond'] as const).map(unit => {
    const ratios = results.map((result, round) => result[unit] / (base[round]?.[unit] ?? Number.NaN))
    const range = `${Math.min(...ratios).toFixed(2)}-${Math.max(...ratios).toFixed(2)}`
    return `${median(results.map(result => result[unit]))
      .toFixed(0)
      .padStart(8)}  ${median(ratios).toFixed(2)} (${range})`
  })
  return `${name.padEnd(36)} ${columns.join('    ')}`
}

function median (numbers: number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN
}
