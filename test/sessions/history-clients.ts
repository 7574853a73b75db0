import type { Asked, Operation, Outcome, Tokens } from '../../src/testing/history.js'

/** A server, as clients see it. */
export interface Target { readonly name: string, readonly url: string }

/** What clients of one history share. */
export interface World {
  readonly operations: Operation[]
  readonly users: readonly string[]
  /** Those that there are at the moment. */
  readonly targets: () => readonly Target[]
  readonly isOver: () => boolean
  /** Of sessions that have ended: some are presented again. */
  readonly old: Tokens[]
}

/** A number from 0 to below that. */
type Choose = (below: number) => number

/** The same choices for the same seed: mulberry32. */
export function choosing (seed: number): Choose {
  let state = seed
  return below => {
    state = (state + 0x6D2B79F5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

/** What a client holds, its last refresh token, and the one before that, which must not come again. */
interface Held { readonly tokens: Tokens, readonly last?: string, readonly before?: string | undefined }

/** One client: it logs in, does one thing after another, and shows in the end that it is still logged in. */
export async function play (world: World, choose: Choose): Promise<void> {
  let held: Held | null = null
  while (!world.isOver()) held = held === null ? await logIn(world, choose) : await turn(world, choose, held)
  if (held !== null) await goOn(world, choose, held)
}

async function logIn (world: World, choose: Choose): Promise<Held | null> {
  const user = oneOf(world.users, choose)
  const { tokens } = await send(world, choose, { kind: 'login', user, identity: `${user}/${choose(2)}` })
  return tokens === undefined ? null : { tokens }
}

async function turn (world: World, choose: Choose, held: Held): Promise<Held | null> {
  const { accessToken, refreshToken } = held.tokens
  const deed = choose(1000)
  if (deed < 550) return await kept(world, held, send(world, choose, { kind: 'call', accessToken }))
  if (deed < 700) return await refresh(world, choose, held, 1)
  if (deed < 760) return await refresh(world, choose, held, 2 + choose(4))
  // The answer comes, and the client does not learn of it.
  if (deed < 800) return await kept(world, held, send(world, choose, { kind: 'refresh', refreshToken }))
  if (deed < 820) {
    const signal = AbortSignal.timeout(1 + choose(5))
    return await kept(world, held, send(world, choose, { kind: 'refresh', refreshToken }, signal))
  }
  if (deed < 940) return await comeAgain(world, choose, held)
  return await end(world, choose, held, deed)
}

/** A client that is refused begins anew. */
async function kept (world: World, held: Held, answer: Promise<Operation>): Promise<Held | null> {
  if ((await answer).outcome !== 'refused') return held
  world.old.push(held.tokens)
  return null
}

async function refresh (world: World, choose: Choose, held: Held, times: number): Promise<Held | null> {
  const { refreshToken } = held.tokens
  const answers = await Promise.all(
    Array.from({ length: times }, () => send(world, choose, { kind: 'refresh', refreshToken }))
  )
  const tokens = answers.flatMap(answer => 'tokens' in answer && answer.tokens ? [answer.tokens] : [])[0]
  if (tokens !== undefined) return { tokens, last: refreshToken, before: held.last }
  if (answers.every(({ outcome }) => outcome !== 'refused')) return held
  world.old.push(held.tokens)
  return null
}

/** With tokens that somebody has let go of. */
async function comeAgain (world: World, choose: Choose, held: Held): Promise<Held> {
  if (world.old.length === 0) return held
  const { accessToken, refreshToken } = oneOf(world.old, choose)
  await send(world, choose, choose(2) === 0 ? { kind: 'call', accessToken } : { kind: 'refresh', refreshToken })
  return held
}

async function end (world: World, choose: Choose, held: Held, deed: number): Promise<Held | null> {
  const { tokens: { accessToken, refreshToken }, before } = held
  if (deed < 955) return await left(world, held, send(world, choose, { kind: 'logout', accessToken, scope: 'this' }))
  if (deed < 965) return await left(world, held, send(world, choose, { kind: 'revoke', refreshToken }))
  if (deed < 970) return await left(world, held, send(world, choose, { kind: 'logout', accessToken, scope: 'all' }))
  if (deed < 980) return await kept(world, held, send(world, choose, { kind: 'logout', accessToken, scope: 'others' }))
  const user = oneOf(world.users, choose)
  if (deed < 985) await send(world, choose, { kind: 'revokeUser', user })
  else if (deed < 990) await send(world, choose, { kind: 'revokeIdentity', identity: `${user}/${choose(2)}` })
  // A thief, or a copy of the app's data from before.
  else if (before !== undefined) await send(world, choose, { kind: 'refresh', refreshToken: before })
  return held
}

async function left (world: World, held: Held, answer: Promise<Operation>): Promise<Held | null> {
  const { outcome } = await answer
  if (outcome !== 'done' && outcome !== 'refused') return held
  world.old.push(held.tokens)
  return null
}

async function goOn (world: World, choose: Choose, held: Held): Promise<void> {
  const { refreshToken } = held.tokens
  const { outcome } = await send(world, choose, { kind: 'refresh', refreshToken })
  if (outcome !== 'done' && outcome !== 'refused') await goOn(world, choose, held)
}

type Answered = Operation & { readonly tokens?: Tokens | undefined }

async function send (world: World, choose: Choose, asked: Asked, signal?: AbortSignal): Promise<Answered> {
  const target = oneOf(world.targets(), choose)
  const sentAt = performance.now()
  const answer = await ask(target.url, asked, signal)
  const operation = { ...asked, ...answer, server: target.name, sentAt, answeredAt: performance.now() }
  world.operations.push(operation)
  return operation
}

interface Answer { readonly outcome: Outcome, readonly tokens?: Tokens }

async function ask (url: string, asked: Asked, signal: AbortSignal | null = null): Promise<Answer> {
  const [path, body] = requestOf(asked)
  const headers = 'accessToken' in asked ? { authorization: `Bearer ${asked.accessToken}` } : {}
  const payload = body && { method: 'POST', body: JSON.stringify(body) }
  const type = body && { 'content-type': 'application/json' }
  try {
    const response = await fetch(`${url}${path}`, { ...payload, headers: { ...headers, ...type }, signal })
    const outcome = outcomeOf(response.status)
    const text = await response.text()
    if (outcome !== 'done' || (asked.kind !== 'login' && asked.kind !== 'refresh')) return { outcome }
    const given: Record<string, unknown> = JSON.parse(text)
    const tokens = { accessToken: String(given.access_token), refreshToken: String(given.refresh_token) }
    return { outcome, tokens }
  } catch (error) {
    if (error instanceof UnexpectedStatus) throw error
    return { outcome: 'lost' }
  }
}

function requestOf (asked: Asked): [path: string, body?: object] {
  if (asked.kind === 'call') return ['/guarded']
  if (asked.kind === 'login') return ['/login/own', { access_token: asked.identity }]
  if (asked.kind === 'refresh') return ['/token', { grant_type: 'refresh_token', refresh_token: asked.refreshToken }]
  if (asked.kind === 'logout') return ['/logout', { scope: asked.scope }]
  if (asked.kind === 'revoke') return ['/revoke', { token: asked.refreshToken }]
  if (asked.kind === 'revokeUser') return ['/revoke-user', { id: asked.user }]
  return ['/revoke-identity', { id: asked.identity }]
}

class UnexpectedStatus extends Error {}

function outcomeOf (status: number): Outcome {
  if (status === 200 || status === 204) return 'done'
  if (status === 503) return 'unavailable'
  if ([400, 401, 403].includes(status)) return 'refused'
  throw new UnexpectedStatus(`an answer of ${status}`)
}

function oneOf<T> (all: readonly T[], choose: Choose): T {
  const one = all[choose(all.length)]
  if (one === undefined) throw new Error('there is nothing to choose from')
  return one
}
