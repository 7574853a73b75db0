import { createClient, type Client } from 'fastify-token-exchange/client'
import type { Wire } from './wire.js'

/** What the provider gave. */
export interface Grant {
  readonly provider: string
  /** The member of the body: `access_token`, `id_token`. */
  readonly kind: string
  readonly token: string
}

/** What an app holds. */
export interface Held {
  grant: Grant | null
  accessToken: string | null
  /** In the order that they came; the last one is the current one. */
  readonly refreshTokens: string[]
}

export interface Account {
  readonly client: Client
  readonly held: Held
  /** What is held has changed. */
  onHeld (listener: () => void): void
  forget (): void
}

/** The client of the package, and what goes through its hands: it keeps the tokens to itself. */
export function createAccount (wire: Wire): Account {
  const held: Held = { grant: null, accessToken: null, refreshTokens: [] }
  const listeners: Array<() => void> = []
  const tell = (): void => { for (const listener of listeners) listener() }

  const client = createClient({
    url: location.origin,
    clientId: 'page',
    async fetch (input, init) {
      const answer = await wire.fetch(input, init)
      if (answer.ok && init?.method === 'POST') notice(await answer.clone().json().catch(() => null))
      return answer
    }
  })

  function notice (answer: unknown): void {
    const { access_token: accessToken, refresh_token: refreshToken }: Record<string, unknown> = Object(answer)
    if (typeof accessToken !== 'string') return
    held.accessToken = accessToken
    if (typeof refreshToken === 'string' && !held.refreshTokens.includes(refreshToken)) {
      held.refreshTokens.push(refreshToken)
    }
    tell()
  }

  return {
    client,
    held,
    onHeld (listener) { listeners.push(listener) },
    forget () {
      held.accessToken = null
      held.refreshTokens.length = 0
      tell()
    }
  }
}
