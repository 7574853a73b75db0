import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer, connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Redis } from 'ioredis'

/** A real server, private to one test file: its own directory, a port of loopback, nobody else's data. */
export interface PrivateServer {
  readonly port: number
  /** Stops its processes where they stand: connections stay open and nothing answers. */
  freeze (): void
  thaw (): void
  /** SIGKILL, as a machine that lost its power. */
  kill (): Promise<void>
  /** Starts it again on the same data and port. */
  restart (): Promise<void>
  /** Ends it and removes its data. */
  remove (): Promise<void>
}

const redisBinary = ['/usr/bin/redis-server', '/usr/local/bin/redis-server', '/opt/homebrew/bin/redis-server'].find(
  path => existsSync(path)
)
const postgresBinaries = findPostgres()

// REQUIRE_SERVERS: nothing may be skipped; then a server that is missing fails its test.
const maySkip = process.env.REQUIRE_SERVERS === undefined
// NO_SERVERS: those of one's own machine are left alone, for tests that take no time.
const unwanted = process.env.NO_SERVERS !== undefined && 'it needs a server'

/** False, or why the suite is skipped. */
export const redisMissing = unwanted || (maySkip && redisBinary === undefined && 'redis-server is not installed')
export const postgresMissing =
  unwanted || (maySkip && postgresBinaries === undefined && 'PostgreSQL is not installed')

export async function startRedis (fsync: 'always' | 'no' = 'always', more: string[] = []): Promise<PrivateServer> {
  const directory = mkdtempSync('/tmp/redis-')
  const port = await freePort()
  const run = (): ChildProcess =>
    spawn(
      redisBinary ?? '',
      [
        '--port',
        String(port),
        '--bind',
        '127.0.0.1',
        '--dir',
        directory,
        '--appendonly',
        fsync === 'no' ? 'no' : 'yes',
        '--appendfsync',
        fsync,
        '--save',
        '',
        ...more
      ],
      { stdio: 'ignore' }
    )
  return await startServer({ port, directory, run, isReady: () => accepts(port), pidsOf: child => [child.pid] })
}

/** Three masters, with a third of the slots each. */
export async function startRedisCluster (): Promise<PrivateServer[]> {
  return await startRedisNodes(3, [])
}

/** The same with a replica of each, in the same order behind them. The death of a master is noticed in this time. */
export async function startReplicatedCluster (milliseconds: number): Promise<PrivateServer[]> {
  return await startRedisNodes(6, ['--cluster-node-timeout', String(milliseconds), '--repl-diskless-sync-delay', '0'])
}

async function startRedisNodes (count: number, more: string[]): Promise<PrivateServer[]> {
  const nodes = await Promise.all(Array.from({ length: count }, async () => {
    const bus = await freePort()
    return { bus, server: await startRedis('no', ['--cluster-enabled', 'yes', '--cluster-port', String(bus), ...more]) }
  }))
  const clients = nodes.map(({ server }) => new Redis({ port: server.port, host: '127.0.0.1' }))
  const slots = [[0, 5460], [5461, 10922], [10923, 16383]]
  await Promise.all(clients.map(async (client, number) => {
    const own = slots[number]
    if (own !== undefined) await client.call('CLUSTER', 'ADDSLOTSRANGE', ...own)
    // With one epoch for all, the vote for a replica has to wait until they have found others.
    await client.call('CLUSTER', 'SET-CONFIG-EPOCH', number + 1)
  }))
  for (const client of clients) {
    for (const { server, bus } of nodes) await client.call('CLUSTER', 'MEET', '127.0.0.1', server.port, bus)
  }
  for (const client of clients) while (!await isComplete(client, count)) await client.ping()
  for (const [number, replica] of clients.slice(3).entries()) {
    await replica.call('CLUSTER', 'REPLICATE', String(await clients[number]?.call('CLUSTER', 'MYID')))
    while (!await isInStep(replica)) await replica.ping()
  }
  for (const client of clients) client.disconnect()
  return nodes.map(({ server }) => server)
}

async function isComplete (client: Redis, count: number): Promise<boolean> {
  const info = String(await client.call('CLUSTER', 'INFO'))
  return info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${count}`)
}

/** A replica that has all that its master has. */
export async function isInStep (client: Redis): Promise<boolean> {
  return (await client.info('replication')).includes('master_link_status:up')
}

/** PostgreSQL refuses to run as root: there it runs as the user that its package has made. */
export async function startPostgres (): Promise<PrivateServer> {
  const directory = mkdtempSync('/tmp/postgres-')
  const port = await freePort()
  const user = postgresUser()
  if (user.uid !== undefined && user.gid !== undefined) chownSync(directory, user.uid, user.gid)
  const options = { ...user, cwd: directory, env: { PATH: process.env.PATH, LC_ALL: 'C' } }
  execFileSync(
    `${postgresBinaries}/initdb`,
    ['-D', join(directory, 'data'), '-U', 'postgres', '--auth=trust', '-E', 'UTF8', '--no-sync'],
    { ...options, stdio: 'ignore' }
  )
  const run = (): ChildProcess =>
    spawn(
      `${postgresBinaries}/postgres`,
      [
        '-D',
        join(directory, 'data'),
        '-p',
        String(port),
        '-h',
        '127.0.0.1',
        '-k',
        directory,
        '-c',
        'restart_after_crash=off'
      ],
      { ...options, stdio: 'ignore' }
    )
  return await startServer({
    port,
    directory,
    run,
    isReady: async () => isPostgresReady(port),
    pidsOf: child => [child.pid, ...childrenOf(child.pid)]
  })
}

interface ServerParts {
  readonly port: number
  readonly directory: string
  readonly run: () => ChildProcess
  readonly isReady: () => Promise<boolean>
  readonly pidsOf: (child: ChildProcess) => (number | undefined)[]
}

async function startServer ({ port, directory, run, isReady, pidsOf }: ServerParts): Promise<PrivateServer> {
  let child = run()
  // A test run that is broken off leaves no server behind.
  process.once('exit', () => { if (isRunning()) signal('SIGKILL') })
  await ready(isReady)

  function isRunning (): boolean {
    return child.exitCode === null && child.signalCode === null
  }

  function signal (name: NodeJS.Signals): void {
    for (const pid of pidsOf(child)) if (pid !== undefined) send(pid, name)
  }

  async function kill (): Promise<void> {
    if (!isRunning()) return
    const gone = once(child, 'exit')
    signal('SIGKILL')
    await gone
  }

  async function restart (): Promise<void> {
    child = run()
    await ready(isReady)
  }

  async function remove (): Promise<void> {
    await kill()
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
  }

  return { port, freeze: () => signal('SIGSTOP'), thaw: () => signal('SIGCONT'), kill, restart, remove }
}

// A server has no other way to tell that it is ready than to answer.
async function ready (isReady: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt++) {
    if (await isReady()) return
    await pause(50)
  }
  throw new Error('the server does not get ready')
}

// It accepts connections before that, and turns them away.
function isPostgresReady (port: number): boolean {
  return spawnSync(`${postgresBinaries}/pg_isready`, ['-q', '-h', '127.0.0.1', '-p', String(port)]).status === 0
}

async function accepts (port: number): Promise<boolean> {
  return await new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}

// A child of the server may have ended by itself since it was listed.
function send (pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if (!(error instanceof Error && Reflect.get(error, 'code') === 'ESRCH')) throw error
  }
}

export async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (typeof address !== 'object' || address === null) throw new Error('no port')
  return address.port
}

function findPostgres (): string | undefined {
  const versions = existsSync('/usr/lib/postgresql') ? readdirSync('/usr/lib/postgresql') : []
  return versions.map(version => `/usr/lib/postgresql/${version}/bin`).find(path => existsSync(join(path, 'initdb')))
}

function postgresUser (): { uid?: number, gid?: number } {
  if (process.getuid?.() !== 0) return {}
  const idOf = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
  return { uid: idOf('-u'), gid: idOf('-g') }
}

function childrenOf (pid: number | undefined): number[] {
  try {
    const listed = execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' })
    return listed.trim().split(/\s+/).filter(Boolean).map(Number)
  } catch {
    return []
  }
}
