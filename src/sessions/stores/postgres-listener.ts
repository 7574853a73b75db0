/** Milliseconds after which a lost connection is taken anew. */
const retryAfter = 1000
/** Milliseconds between two looks at whether the application is ending its pool. */
const lookEvery = 500

/** A pool that can lend a connection for long; PGlite has none to lend. */
interface LendingPool { connect? (): Promise<unknown> }

interface ListeningClient {
  query (text: string): Promise<unknown>
  on (event: 'notification' | 'error' | 'end', listener: () => void): unknown
  removeListener (event: 'notification' | 'error' | 'end', listener: () => void): unknown
  release (destroy: boolean): void
}

/**
 * Holds one connection of the pool and calls `wake` at each notification; a lost one is taken anew.
 * A pool of one connection is left alone: its queries would never run.
 */
export function postgresListener (pool: LendingPool, channel: string, wake: () => void): () => void {
  let client: ListeningClient | undefined
  let timer: NodeJS.Timeout | undefined
  let stopped = false
  // pool.end() waits for all connections, so it would wait for this one until the server closes.
  const look = setInterval(() => { if (Reflect.get(pool, 'ending') === true) stop() }, lookEvery).unref()

  async function listen (): Promise<void> {
    const connection = await pool.connect?.()
    if (!isListeningClient(connection)) return
    client = connection
    if (stopped) return letGo()
    client.on('notification', wake)
    client.on('error', again)
    client.on('end', again)
    await client.query(`LISTEN ${channel}`)
    wake()
  }

  // The polls go on meanwhile, so nothing is missed, only heard later.
  function again (): void {
    letGo()
    clearTimeout(timer)
    if (!stopped) timer = setTimeout(begin, retryAfter).unref()
  }

  // A connection that listened is not given back for others to use.
  function letGo (): void {
    const held = client
    client = undefined
    if (held === undefined) return
    held.removeListener('notification', wake)
    held.removeListener('end', again)
    held.release(true)
  }

  function begin (): void {
    listen().catch(again)
  }

  function stop (): void {
    stopped = true
    clearInterval(look)
    clearTimeout(timer)
    letGo()
  }

  if (typeof pool.connect === 'function' && hasRoom(pool)) begin()
  return stop
}

function hasRoom (pool: object): boolean {
  const options: unknown = Reflect.get(pool, 'options')
  const max: unknown = typeof options === 'object' && options !== null ? Reflect.get(options, 'max') : undefined
  return typeof max !== 'number' || max > 1
}

function isListeningClient (value: unknown): value is ListeningClient {
  return typeof value === 'object' && value !== null &&
    ['query', 'on', 'removeListener', 'release'].every(name => typeof Reflect.get(value, name) === 'function')
}
