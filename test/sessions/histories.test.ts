import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { checkHistory, type Operation, type StoreOutage } from '../../src/testing/index.js'
import { startProxy, type DumbProxy } from './dumb-proxy.js'
import { choosing, play, type Target } from './history-clients.js'
import {
  isInStep,
  postgresMissing,
  redisMissing,
  startPostgres,
  startRedis,
  startReplicatedCluster,
  type PrivateServer
} from './servers.js'

// HISTORIES=600 npx tap --timeout=0 test/sessions/histories.test.ts: so many seconds for each store, or for that of
// STORE=… (`redis cluster`). SEED=… begins with the choices of an earlier run.
const seconds = Number(process.env.HISTORIES ?? 0)
const firstSeed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9))
/** Seconds in which a revocation is heard by every server (contract of `SessionStore`). */
const heardWithin = 1
const clients = 8
const usersOfRound = 5
/** Milliseconds before a fault, and after it. */
const before = 700
const after = seconds === 0 ? 1000 : 2500

/** What is played on, and broken. */
interface Stage {
  /** Of the server `a`, and of `b`, which may be cut off. */
  readonly addresses: readonly string[]
  readonly faults: Record<string, Fault>
  remove (): Promise<void>
}

/** Breaks something, waits until it is mended, and says for whom the store was out of reach. */
type Fault = (stage: Playing) => Promise<void>

interface Playing {
  readonly seed: number
  /** Of one server, or null for all, until that has come to its end. */
  outage (server: string | null, during: () => Promise<void>): Promise<void>
  replace (index: number): Promise<void>
}

interface Kind { readonly name: string, readonly missing: false | string, start (): Promise<Stage> }

const killed: Fault = async stage => await stage.replace(1)

const kinds: Kind[] = [
  {
    name: 'memory',
    missing: false,
    start: async () => ({ addresses: ['memory'], faults: { nothing: async () => {} }, remove: async () => {} })
  },
  { name: 'Redis', missing: redisMissing, start: async () => await stageOf('redis', await startRedis()) },
  { name: 'PostgreSQL', missing: postgresMissing, start: async () => await stageOf('postgres', await startPostgres()) },
  { name: 'Redis Cluster', missing: redisMissing, start: stageOfCluster }
]

async function stageOf (kind: string, store: PrivateServer): Promise<Stage> {
  const proxy = await startProxy(store.port)
  return {
    addresses: [`${kind}:${store.port}`, `${kind}:${proxy.port}`],
    faults: { 'kill -9 of the store': killedStore(store), partition: cutOff(proxy), 'kill -9 of a server': killed },
    async remove () {
      await proxy.close()
      await store.remove()
    }
  }
}

function killedStore (store: PrivateServer): Fault {
  return async stage => await stage.outage(null, async () => {
    await store.kill()
    await store.restart()
  })
}

function cutOff (proxy: DumbProxy): Fault {
  return async stage => await stage.outage('b', async () => {
    proxy.cut()
    await pause(after)
    proxy.mend()
  })
}

async function stageOfCluster (): Promise<Stage> {
  const nodes = await startReplicatedCluster(1000)
  const settings = { host: '127.0.0.1', maxRetriesPerRequest: null, retryStrategy: () => 100 }
  const clients = nodes.map(({ port }) => new Redis({ ...settings, port }))
  for (const client of clients) client.on('error', () => {})
  const address = `cluster:${nodes.map(({ port }) => port).join(',')}`
  return {
    addresses: [address, address],
    faults: { failover: failover(nodes, clients), 'kill -9 of a server': killed },
    async remove () {
      for (const client of clients) client.disconnect()
      for (const node of nodes) await node.remove()
    }
  }
}

/** The death of one of three masters, after which its replica takes its place, and it comes back as a replica. */
function failover (nodes: readonly PrivateServer[], clients: readonly Redis[]): Fault {
  return async stage => {
    const roles = await Promise.all(clients.map(roleOf))
    const number = stage.seed % 3
    const [dying, successor] = roles[number] === 'master' ? [number, number + 3] : [number + 3, number]
    const [node, dead, replica] = [nodes[dying], clients[dying], clients[successor]]
    if (node === undefined || dead === undefined || replica === undefined) return
    await stage.outage(null, async () => {
      await node.kill()
      while (await roleOf(replica) !== 'master') await pause(20)
      const others = clients.filter(client => client !== dead)
      for (const other of others) while (!await isWhole(other)) await pause(20)
    })
    await node.restart()
    while (!await isInStep(dead)) await pause(20)
  }
}

async function roleOf (client: Redis): Promise<string> {
  return /role:(\w+)/.exec(await client.info('replication'))?.[1] ?? ''
}

async function isWhole (client: Redis): Promise<boolean> {
  return String(await client.call('CLUSTER', 'INFO')).includes('cluster_state:ok')
}

const chosen = kinds.filter(({ name }) => [name.toLowerCase(), undefined].includes(process.env.STORE))

for (const { name, missing, start } of chosen) {
  t.test(name, { skip: missing }, async t => {
    const stage = await start()
    t.teardown(() => stage.remove())
    const servers = await startServers(t, stage.addresses)
    const until = performance.now() + seconds * 1000
    const faults = Object.entries(stage.faults).slice(0, seconds === 0 ? 1 : Infinity)
    let seed = firstSeed
    const counts = { rounds: 0, operations: 0 }
    do {
      for (const [fault, breakIt] of faults) {
        counts.operations += await round(t, `${fault}, SEED=${seed}`, seed, servers, breakIt)
        counts.rounds++
        seed++
      }
    } while (performance.now() < until)
    t.comment(`${name}: ${counts.rounds} rounds, ${counts.operations} operations`)
  })
}

async function round (t: Test, name: string, seed: number, servers: Servers, breakIt: Fault): Promise<number> {
  const operations: Operation[] = []
  const outages: StoreOutage[] = []
  let isOver = false
  const users = Array.from({ length: usersOfRound }, (_, number) => `user ${seed} ${number}`)
  const world = { operations, users, targets: servers.targets, isOver: () => isOver, old: [] }
  const playing = Array.from({ length: clients }, (_, number) => play(world, choosing(seed * clients + number)))
  await pause(before)
  await breakIt({
    seed,
    async outage (server, during) {
      const beganAt = performance.now()
      await during()
      const name = server === null ? null : servers.targets()['ab'.indexOf(server)]?.name ?? server
      outages.push({ server: name, beganAt, endedAt: performance.now() })
    },
    replace: servers.replace
  })
  await pause(after)
  isOver = true
  await Promise.all(playing)
  const history = { operations, outages, heardWithin }
  const violations = checkHistory(history)
  if (violations.length > 0) {
    const file = `/tmp/history-${seed}.json`
    writeFileSync(file, JSON.stringify(history))
    t.comment(`${violations.length} violations in ${file}`)
  }
  t.strictSame(violations.slice(0, 5), [], name)
  const doneOf = (kind: string) => operations.filter(each => each.kind === kind && each.outcome === 'done').length
  for (const kind of ['login', 'refresh', 'call']) t.ok(doneOf(kind) > 0, `${name}: ${kind}`)
  return operations.length
}

interface Servers {
  readonly targets: () => readonly Target[]
  /** Kills one and starts another in its place, with another name. */
  replace (index: number): Promise<void>
}

async function startServers (t: Test, addresses: readonly string[]): Promise<Servers> {
  const running = await Promise.all(addresses.map(startServer))
  const targets = running.map(({ url }, index) => ({ name: 'ab'[index] ?? '', url }))
  t.teardown(async () => await Promise.all(running.map(async ({ child }) => {
    const gone = once(child, 'exit')
    child.disconnect()
    await gone
  })))
  return {
    targets: () => targets,
    async replace (index) {
      const [old, target] = [running[index], targets[index]]
      if (old === undefined || target === undefined) return
      const gone = once(old.child, 'exit')
      old.child.kill('SIGKILL')
      await gone
      const fresh = await startServer(addresses[index] ?? '')
      running[index] = fresh
      targets[index] = { name: `${target.name}'`, url: fresh.url }
    }
  }
}

async function startServer (address: string): Promise<{ child: ChildProcess, url: string }> {
  const child = fork(fileURLToPath(new URL('history-server.ts', import.meta.url)), [address], {
    execArgv: ['--import', 'tsx'],
    env: { PATH: process.env.PATH }
  })
  const [url] = await once(child, 'message')
  return { child, url: String(url) }
}
