import {
  nameOf,
  readSessions,
  type History,
  type Numbered,
  type StoreOutage,
  type Use,
  type UsedSession,
  type UsedSessions
} from './history.js'

/** What ends sessions, and was not refused. */
type End = Numbered<'logout' | 'revoke' | 'revokeUser' | 'revokeIdentity'>

/** What the checks of one session, or of one login, go by. */
interface Facts {
  readonly ends: readonly End[]
  readonly presented: UsedSessions['presented']
  readonly outages: readonly StoreOutage[]
  /** Milliseconds, all three. */
  readonly retryWindow: number
  readonly accessTokenLifetime: number
  readonly heardWithin: number
}

/**
 * Whether one order of the operations explains what clients were answered:
 *
 * - a refresh token has one successor, whoever presents it, wherever and however often;
 * - nothing is accepted after the session's end was answered: at once on the server that answered it, and a second
 *   later on the others that reach the store; nor later than a second after somebody was refused because it had ended;
 * - nothing is lost: nobody is refused whose session nothing can have ended, and who presented no refresh token from
 *   before the last one;
 * - such a token is refused.
 *
 * Of operations that were answered 503, or not at all, either is possible, at any time after they were sent. Users have
 * fewer sessions than `perUser`, and sessions end before their lifetimes do.
 *
 * @returns what no order explains, one sentence each; nothing where there is one
 */
export function checkHistory (history: History): string[] {
  const operations = history.operations.map((operation, number) => ({ ...operation, number }))
  const { sessions, presented, violations } = readSessions(operations)
  const facts = {
    presented,
    ends: operations.filter(isEnd),
    outages: [...history.outages ?? []].sort((one, other) => one.beganAt - other.beganAt),
    retryWindow: (history.retryWindow ?? 30) * 1000,
    accessTokenLifetime: (history.accessTokenLifetime ?? 3600) * 1000,
    heardWithin: (history.heardWithin ?? 1) * 1000
  }
  return [
    ...violations,
    ...operations.flatMap(operation => operation.kind === 'login' ? turnedAway(operation, facts) : []),
    ...sessions.flatMap(session => [
      ...acceptedAfterEnd(session, facts),
      ...refusedWithoutEnd(session, facts),
      ...acceptedAfterSuccessor(session)
    ])
  ]
}

function isEnd (operation: Numbered): operation is End {
  const { kind, outcome } = operation
  return kind !== 'login' && kind !== 'refresh' && kind !== 'call' && outcome !== 'refused'
}

/** A login is refused only while its user, or its identity, may be revoked. */
function turnedAway (login: Numbered<'login'>, { ends, presented }: Facts): string[] {
  const isRevoked = ends.some(end => isNamed(login, end, presented) && isDuring(end, login, login.answeredAt))
  if (login.outcome !== 'refused' || isRevoked) return []
  return [`${nameOf(login)} was refused: nothing was revoked during it.`]
}

function acceptedAfterEnd (session: UsedSession, facts: Facts): string[] {
  const { login } = session
  const sure = facts.ends.filter(end =>
    end.outcome === 'done' && login.answeredAt <= end.sentAt && isNamed(login, end, facts.presented))
  const refusals = session.uses.filter(use => isRefusal(use, facts)).map(({ operation }) => operation)
  return session.uses.flatMap(({ operation }) => {
    if (!isAccepted(operation)) return []
    const end = sure.find(end => operation.sentAt > refusedFrom(end, operation.server, enderOf(end), facts))
    if (end !== undefined) {
      const late = Math.round(operation.sentAt - end.answeredAt)
      return [`${nameOf(operation)} was accepted, sent ${late} ms after ${nameOf(end)} had been answered.`]
    }
    const refusal = refusals.find(refusal => operation.sentAt > refusedFrom(refusal, operation.server, null, facts))
    if (refusal === undefined) return []
    return [`${nameOf(operation)} was accepted after ${nameOf(refusal)} had been refused.`]
  })
}

/** The server that refuses at once; of the others of a user it ends those that it finds, not those that have ended. */
function enderOf (end: End): string | null {
  return end.kind === 'logout' && end.scope === 'others' ? null : end.server
}

/** From when on a server refuses what has ended, provided that it can have heard of it. */
function refusedFrom ({ answeredAt }: Numbered, server: string, ender: string | null, facts: Facts): number {
  if (server === ender) return answeredAt
  const { outages, heardWithin } = facts
  const met = outages.filter(outage => outage.server === null || outage.server === server)
  return met.reduce(
    (from, { beganAt, endedAt }) => beganAt <= from ? Math.max(from, endedAt + heardWithin) : from,
    answeredAt + heardWithin
  )
}

function refusedWithoutEnd (session: UsedSession, facts: Facts): string[] {
  const { login, uses } = session
  const reused = uses.filter(use => mayBeReused(use, session, facts))
  const mayHaveEnded = (at: number): boolean =>
    facts.ends.some(end => isNamed(login, end, facts.presented) && isDuring(end, login, at)) ||
    reused.some(({ operation }) => operation.sentAt < at)
  return uses
    .filter(use => isRefusal(use, facts) && !mayHaveEnded(use.operation.answeredAt))
    .map(({ operation }) => `${nameOf(operation)} was refused: nothing had ended the session of ${nameOf(login)}.`)
}

/** RFC 9700, 4.14.2: a refresh token from before the last one ends the session. */
function acceptedAfterSuccessor ({ uses }: UsedSession): string[] {
  const refreshes = uses.filter(({ operation }) => operation.kind === 'refresh' && operation.outcome === 'done')
  return refreshes.flatMap(({ operation, position }) => {
    const later = refreshes.find(other =>
      other.position > position && other.operation.answeredAt < operation.sentAt)
    if (later === undefined) return []
    return [`${nameOf(operation)} was accepted after ${nameOf(later.operation)} had presented its successor.`]
  })
}

/**
 * Whether a refresh may have been taken for a theft: by the time of its answer somebody had presented the successor of
 * its token, or had shown for longer than the retry window to have it. Where no answer came, that may be at any time.
 */
function mayBeReused ({ operation, position }: Use, { uses }: UsedSession, { retryWindow }: Facts): boolean {
  if (operation.kind !== 'refresh') return false
  const judgedUntil = operation.outcome === 'lost' ? Infinity : operation.answeredAt
  return uses.some(other => {
    if (other.position <= position || other.operation.outcome === 'refused') return false
    const patience = other.operation.kind === 'refresh' ? 0 : retryWindow
    return other.operation.sentAt + patience < judgedUntil
  })
}

/** Whether the end may have come between the beginning of the login and this time. */
function isDuring (end: End, login: Numbered<'login'>, at: number): boolean {
  return end.sentAt < at && (end.outcome !== 'done' || end.answeredAt > login.sentAt)
}

/** Whether the end is of the session of this login; the session of one that was refused is nobody's. */
function isNamed (login: Numbered<'login'>, end: End, presented: Facts['presented']): boolean {
  if (end.kind === 'revokeUser') return end.user === login.user
  if (end.kind === 'revokeIdentity') return end.identity === login.identity
  const ender = presented.get(end.number)?.login
  const isOwn = ender === login
  if (end.kind === 'revoke' || end.scope === 'this') return isOwn
  return ender?.user === login.user && (end.scope === 'all' || !isOwn)
}

function isAccepted ({ kind, outcome }: Use['operation']): boolean {
  // RFC 7009, 2.2: a token that is not good any more is revoked like one that is.
  return kind !== 'revoke' && outcome === 'done'
}

/** It says that the session has ended: not that an access token has expired. */
function isRefusal ({ operation, givenFrom }: Use, { accessTokenLifetime }: Facts): boolean {
  if (operation.kind === 'revoke' || operation.outcome !== 'refused') return false
  return operation.kind === 'refresh' || operation.answeredAt < givenFrom + accessTokenLifetime
}
