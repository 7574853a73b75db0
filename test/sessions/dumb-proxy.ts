import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** A way to a server that a network may drop: what is sent is taken, and nothing comes of it, nor of the end. */
export interface DumbProxy {
  readonly port: number
  /** Drops the connections that there are. New ones work. Answers how many there were. */
  drop (): number
  /** Ends the connections that there are, and turns new ones away until it is mended. */
  cut (): void
  mend (): void
  close (): Promise<void>
}

export async function startProxy (target: number): Promise<DumbProxy> {
  const open = new Set<() => void>()
  const sockets = new Set<Socket>()
  let isCut = false
  const server = createServer({ allowHalfOpen: true }, near => {
    if (isCut) {
      near.destroy()
      return
    }
    const far = connect({ port: target, host: '127.0.0.1' })
    near.pipe(far)
    far.pipe(near)
    const end = () => near.destroy()
    far.once('close', end)
    const drop = () => {
      far.off('close', end)
      near.unpipe(far).resume()
      far.unpipe(near).destroy()
    }
    open.add(drop)
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => sockets.delete(socket))
    }
    near.once('close', () => { open.delete(drop); far.destroy() })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    drop () {
      const dropped = open.size
      for (const drop of open) drop()
      open.clear()
      return dropped
    },
    cut () {
      isCut = true
      for (const socket of sockets) socket.destroy()
    },
    mend () {
      isCut = false
    },
    async close () {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    }
  }
}
