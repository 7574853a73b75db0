import { enteringByItself } from '../deadline.js'
import { rejected, type Check } from '../errors.js'
import { discoverAt } from '../http/discovery.js'
import type { KeySet } from '../http/key-set.js'
import {
  answeringEvents, isId, type EventSource, type ProviderEvent, type ProviderEventKind
} from '../identity.js'
import { isObject, type JsonObject } from '../strict-json.js'
import { bodyText } from './event-bodies.js'
import { verifyEventToken, type EventToken, type EventTokenRules } from './security-event-token.js'

const risc = 'https://schemas.openid.net/secevent/risc/event-type'
const oauth = 'https://schemas.openid.net/secevent/oauth/event-type'
const legacy = 'https://accounts.google.com/risc/event'

// One token that is revoked says nothing of its user; beside it comes the event of all of them.
const kinds = new Map<string, ProviderEventKind>([
  [`${risc}/sessions-revoked`, 'sessions-revoked'],
  [`${risc}/account-disabled`, 'account-disabled'],
  [`${risc}/account-enabled`, 'account-enabled'],
  [`${risc}/account-purged`, 'account-deleted'],
  [`${risc}/account-credential-change-required`, 'credential-change'],
  [`${risc}/verification`, 'verification'],
  [`${oauth}/tokens-revoked`, 'authorization-revoked'],
  [`${legacy}/sessions-revoked`, 'sessions-revoked'],
  [`${legacy}/all-token-revoked`, 'authorization-revoked'],
  [`${legacy}/account-disabled`, 'account-disabled'],
  [`${legacy}/account-enabled`, 'account-enabled']
])

const issuers = ['https://accounts.google.com', 'https://accounts.google.com/']

/**
 * Google's Cross-Account Protection (RISC), pushed as RFC 8935 says.
 *
 * Deviation: the issuer has a slash at its end, in its documentation at least, and none in ID tokens; both are taken.
 *
 * @see https://developers.google.com/identity/protocols/risc
 * @see https://openid.net/specs/openid-risc-1_0-final.html
 */
export function googleEvents ({ keys, clientIds }: Pick<EventTokenRules, 'keys' | 'clientIds'>): EventSource {
  const rules: EventTokenRules = { keys, clientIds, issuers, algorithms: ['RS256'], type: 'secevent+jwt' }
  return {
    readEvents: enteringByItself(async (request, context) => {
      const token = bodyText(request, 'application/secevent+jwt')
      return eventsOf(await verifyEventToken(rules, token, context))
    }),
    ...answeringEvents({ status: 202, refusal })
  }
}

/** The keys that Google's configuration names (OpenID RISC Profile 1.0, 3). */
export function riscKeys (url: string): KeySet {
  return discoverAt({ url, issuers }).keys
}

/** RFC 8417, 2.2: a token may say several things of one event. */
function eventsOf ({ claims, jti, at }: EventToken): ProviderEvent[] {
  const { events } = claims
  if (!isObject(events) || Object.keys(events).length === 0) throw rejected('claims', 'events')
  return Object.entries(events).map(([type, event]) => {
    const kind = kinds.get(type) ?? 'other'
    const subject = subjectOf(isObject(event) ? event.subject : undefined) ?? subjectOf(claims.sub_id)
    if (subject === null && kind !== 'other' && kind !== 'verification') throw rejected('subject', 'subject')
    return { kind, subject, providerSession: null, at, id: jti }
  })
}

/** Within the event, or as RFC 9493 has it. Null for a subject of another kind, such as a token. */
function subjectOf (subject: unknown): string | null {
  const { iss, sub }: JsonObject = isObject(subject) ? subject : {}
  if (iss === undefined && sub === undefined) return null
  if (typeof iss !== 'string' || !issuers.includes(iss)) throw rejected('issuer', 'subject.iss')
  if (!isId(sub)) throw rejected('subject', 'subject.sub')
  return sub
}

const words: Readonly<Partial<Record<Check, string>>> = {
  algorithm: 'invalid_key',
  key: 'invalid_key',
  signature: 'invalid_key',
  issuer: 'invalid_issuer',
  audience: 'invalid_audience'
}

/** RFC 8935, 2.3 and 2.4. */
function refusal (check: Check): object {
  return { err: words[check] ?? 'invalid_request', description: 'The security event token was refused.' }
}
