import { enteringByItself } from '../deadline.js'
import { rejected } from '../errors.js'
import { isId, type EventSource, type ProviderEvent, type ProviderEventKind } from '../identity.js'
import { isObject } from '../strict-json.js'
import { bodyText, jsonMembers } from './event-bodies.js'
import { endOfSecond, verifyEventToken, type EventToken, type EventTokenRules } from './security-event-token.js'

const kinds = new Map<unknown, ProviderEventKind>([
  ['consent-revoked', 'authorization-revoked'],
  ['account-delete', 'account-deleted'],
  ['account-deleted', 'account-deleted'],
  ['email-enabled', 'email-changed'],
  ['email-disabled', 'email-changed']
])

/**
 * Apple's server-to-server notifications.
 *
 * Deviation: a token in a member of a JSON body, whose claim `events` is one event, written as a text of JSON.
 *
 * @see https://developer.apple.com/documentation/signinwithapple/processing-changes-for-sign-in-with-apple-accounts
 */
export function appleEvents (rules: Omit<EventTokenRules, 'algorithms' | 'type'>): EventSource {
  const declared = { ...rules, algorithms: ['RS256'], type: 'secevent+jwt' }
  return {
    readEvents: enteringByItself(async (request, context) => {
      const { payload } = jsonMembers(bodyText(request, 'application/json'))
      if (typeof payload !== 'string') throw rejected('form', 'payload')
      return [eventOf(await verifyEventToken(declared, payload, context))]
    })
  }
}

function eventOf ({ claims, jti, at }: EventToken): ProviderEvent {
  const { type, sub, event_time: time } = isObject(claims.events) ? claims.events : jsonMembers(String(claims.events))
  const kind = kinds.get(type) ?? 'other'
  if (!isId(sub) && kind !== 'other') throw rejected('subject', 'sub')
  return {
    kind,
    subject: isId(sub) ? sub : null,
    providerSession: null,
    at: typeof time === 'number' ? millisecondsOf(time) : at,
    id: jti
  }
}

/** Apple counts milliseconds, and seconds in the examples of its documentation. */
function millisecondsOf (time: number): number {
  const milliseconds = time < 100_000_000_000 ? time * 1000 : time
  return milliseconds % 1000 === 0 ? endOfSecond(milliseconds / 1000) : milliseconds
}
