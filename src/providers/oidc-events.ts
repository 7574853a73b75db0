import { enteringByItself } from '../deadline.js'
import { rejected } from '../errors.js'
import { isId, type EventSource, type ProviderEvent } from '../identity.js'
import { isObject, type JsonObject } from '../strict-json.js'
import { formMember } from './event-bodies.js'
import { verifyEventToken, type EventToken, type EventTokenRules } from './security-event-token.js'

const logout = 'http://schemas.openid.net/event/backchannel-logout'

/**
 * OpenID Connect Back-Channel Logout 1.0: one session at the provider where it names that, else all of the user's.
 *
 * @param subject the user's id, where it is not the claim `sub`
 * @see https://openid.net/specs/openid-connect-backchannel-1_0.html#Validation
 */
export function oidcEvents (
  rules: Omit<EventTokenRules, 'type' | 'check'>,
  subject: (claims: JsonObject) => unknown = ({ sub }) => sub
): EventSource {
  const declared = { ...rules, type: 'logout+jwt', check: checkLogout }
  return {
    readEvents: enteringByItself(async (request, context) => {
      const token = formMember(request, 'logout_token')
      return [eventOf(await verifyEventToken(declared, token, context), subject)]
    })
  }
}

/** 2.4 and 2.6. */
function checkLogout ({ events, nonce, sub, sid }: JsonObject): void {
  if (!isObject(events) || !isObject(events[logout])) throw rejected('claims', 'events')
  // Of an ID token: none is to pass for this.
  if (nonce !== undefined) throw rejected('nonce', 'nonce')
  if (sub === undefined && sid === undefined) throw rejected('subject', 'neither sub nor sid')
  if (sub !== undefined && !isId(sub)) throw rejected('subject', 'sub')
  if (sid !== undefined && !isId(sid)) throw rejected('subject', 'sid')
}

function eventOf ({ claims, jti, at }: EventToken, subjectOf: (claims: JsonObject) => unknown): ProviderEvent {
  const providerSession = isId(claims.sid) ? claims.sid : null
  const chosen = claims.sub === undefined ? null : subjectOf(claims)
  const subject = isId(chosen) ? chosen : null
  // An application's own rule may ask for claims that these tokens do not have.
  if (subject === null && providerSession === null) throw rejected('subject', 'subject')
  return { kind: 'sessions-revoked', subject, providerSession, at, id: jti }
}
