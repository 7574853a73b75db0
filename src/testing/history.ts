/** What clients asked of several servers of one store, and what they were answered. */
export interface History {
  /** Violations name them by their index, from 0. */
  readonly operations: readonly Operation[]
  /** When servers could not reach the store. @default none */
  readonly outages?: readonly StoreOutage[] | undefined
  /** As in the options of the servers. Seconds. @default 30 */
  readonly retryWindow?: number | undefined
  /** As in the options of the servers. Seconds. @default 3600 */
  readonly accessTokenLifetime?: number | undefined
  /** In how many seconds a revocation is heard of on other servers. @default 1 */
  readonly heardWithin?: number | undefined
}

/** `done`, or `refused` for good (400, 401, 403); 503, or no answer at all: it may have happened, or happens yet. */
export type Outcome = 'done' | 'refused' | 'unavailable' | 'lost'

/** One request, or one call of `app.tokenExchange`. Times are milliseconds of one clock, that of the clients. */
export type Operation = Asked & {
  /** That which was asked, by any name. One that was started again has another. */
  readonly server: string
  readonly sentAt: number
  /** When its answer came; of one whose answer was lost, when it was given up. */
  readonly answeredAt: number
  readonly outcome: Outcome
}

/** A login or refresh that is `done` has its `tokens`. A login is of somebody who would be let in. */
export type Asked =
  | { readonly kind: 'login', readonly user: string, readonly identity: string, readonly tokens?: Tokens | undefined }
  | { readonly kind: 'refresh', readonly refreshToken: string, readonly tokens?: Tokens | undefined }
  /** Of a route with a guard. */
  | { readonly kind: 'call', readonly accessToken: string }
  | { readonly kind: 'logout', readonly accessToken: string, readonly scope: 'this' | 'others' | 'all' }
  /** RFC 7009, of a refresh token. */
  | { readonly kind: 'revoke', readonly refreshToken: string }
  | { readonly kind: 'revokeUser', readonly user: string }
  /** Or an event of its provider. */
  | { readonly kind: 'revokeIdentity', readonly identity: string }

export interface Tokens { readonly accessToken: string, readonly refreshToken: string }

/** The store was down, or out of reach. Milliseconds of the operations' clock. */
export interface StoreOutage {
  /** One server, or null for all. */
  readonly server: string | null
  readonly beganAt: number
  readonly endedAt: number
}

export type Numbered<Kind extends Operation['kind'] = Operation['kind']> =
  Extract<Operation, { kind: Kind }> & { readonly number: number }

/** What presents a token of a session: 0 that of the login, each successor one more. */
export interface Use {
  readonly operation: Numbered<'refresh' | 'call' | 'logout' | 'revoke'>
  readonly position: number
  /** When what gave the token had been asked for. */
  readonly givenFrom: number
}

/** A login, and everything that its tokens, and their successors, were presented to. */
export interface UsedSession { readonly login: Numbered<'login'>, readonly uses: Use[] }

interface Place {
  readonly session: UsedSession
  readonly position: number
  readonly giver: Numbered<'login' | 'refresh'>
}

export interface UsedSessions {
  readonly sessions: readonly UsedSession[]
  /** By the number of an operation: the session whose token it presents. */
  readonly presented: ReadonlyMap<number, UsedSession>
  /** What the tokens themselves say against the servers. */
  readonly violations: readonly string[]
}

/** Puts each operation to the session whose token it presents. */
export function readSessions (operations: readonly Numbered[]): UsedSessions {
  const sessions: UsedSession[] = []
  const violations: string[] = []
  const places = new Map<string, Place>()
  const presented = new Map<number, UsedSession>()
  const successors = new Map<string, Numbered<'refresh'>>()

  function give (giver: Numbered<'login' | 'refresh'>): void {
    const { tokens } = giver
    if (tokens === undefined) {
      violations.push(`${nameOf(giver)} was answered without tokens.`)
      return
    }
    const place = giver.kind === 'login' ? begin(giver) : follow(giver)
    // Whose token is presented there is said where the operation is put to its session.
    if (place === undefined) return
    put(tokens.refreshToken, place)
    put(tokens.accessToken, place)
  }

  function begin (login: Numbered<'login'>): Place {
    const session = { login, uses: [] }
    sessions.push(session)
    return { session, position: 0, giver: login }
  }

  function follow (refresh: Numbered<'refresh'>): Place | undefined {
    const before = places.get(refresh.refreshToken)
    const first = successors.get(refresh.refreshToken) ?? refresh
    successors.set(refresh.refreshToken, first)
    if (first.tokens?.refreshToken !== refresh.tokens?.refreshToken) {
      violations.push(`${nameOf(first)} and ${nameOf(refresh)} gave one refresh token two successors.`)
    }
    return before && { session: before.session, position: before.position + 1, giver: refresh }
  }

  function put (token: string, place: Place): void {
    const known = places.get(token)
    if (known === undefined) places.set(token, place)
    else if (known.session !== place.session || known.position !== place.position) {
      violations.push(`${nameOf(place.giver)} gave a token that ${nameOf(known.giver)} had given as another.`)
    }
  }

  function use (operation: Use['operation']): void {
    const place = places.get('refreshToken' in operation ? operation.refreshToken : operation.accessToken)
    if (place === undefined || place.giver.answeredAt > operation.sentAt) {
      violations.push(`${nameOf(operation)} presents a token that no operation before it had given.`)
      return
    }
    const { session, position, giver } = place
    session.uses.push({ operation, position, givenFrom: giver.sentAt })
    presented.set(operation.number, session)
  }

  const answered = operations.filter(({ outcome }) => outcome === 'done')
  answered.sort((one, other) => one.answeredAt - other.answeredAt || one.sentAt - other.sentAt)
  for (const operation of answered) {
    if (operation.kind === 'login' || operation.kind === 'refresh') give(operation)
  }
  for (const operation of operations) if (presentsToken(operation)) use(operation)
  return { sessions, presented, violations: [...new Set(violations)] }
}

function presentsToken (operation: Numbered): operation is Use['operation'] {
  return 'refreshToken' in operation || 'accessToken' in operation
}

export function nameOf ({ number, kind, server }: Numbered): string {
  return `operation ${number} (${kind} on ${server})`
}
