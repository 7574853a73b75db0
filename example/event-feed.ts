import { PassThrough, type Readable } from 'node:stream'
import type { TokenExchangeEvent } from 'fastify-token-exchange'

/** What happened, for whoever listens: Server-Sent Events. */
export interface EventFeed {
  publish (event: TokenExchangeEvent): void
  /** What happened lately and what happens from now on, as `text/event-stream`. */
  open (): Readable
}

/** So many of the past a page that opens is told of. */
const remembered = 40

export function createEventFeed (): EventFeed {
  const past: string[] = []
  const listeners = new Set<PassThrough>()
  return {
    publish (event) {
      const message = `data: ${JSON.stringify(event)}\n\n`
      past.push(message)
      if (past.length > remembered) past.shift()
      for (const listener of listeners) listener.write(message)
    },
    open () {
      const listener = new PassThrough()
      listeners.add(listener)
      listener.once('close', () => listeners.delete(listener))
      // A page whose server has been started anew comes back after this, in milliseconds.
      listener.write(`retry: 1000\n\n${past.join('')}`)
      return listener
    }
  }
}
