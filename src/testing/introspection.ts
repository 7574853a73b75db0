import { randomBytes } from 'node:crypto'
import { basicCredentials, json, type FaultSwitches, type Site } from './site.js'

/** An authorization server that answers what its tokens are good for (RFC 7662). */
export interface LocalIntrospection extends FaultSwitches {
  /** For the `introspection` provider. */
  readonly options: {
    readonly endpoint: string
    readonly clientId: string
    readonly clientSecret: string
    readonly audience: string
  }
  /**
   * An opaque access token. `members` replace those of a good answer (RFC 7662, 2.2), `undefined` leaves one out;
   * `{ active: false }` is a token that was revoked; `{ active: true, exp }` of the past is a careless server.
   */
  accessToken(members?: Readonly<Record<string, unknown>>): string
}

export function localIntrospection (site: Site): LocalIntrospection {
  const options = {
    endpoint: `${site.url}/introspect`,
    clientId: 'resource-server',
    clientSecret: randomBytes(24).toString('hex'),
    audience: 'test-app'
  }
  const tokens = new Map<string, { answer: Record<string, unknown>, claimsToBeActive: boolean }>()

  site.post(/^\/introspect$/, ({ headers, body }) => {
    const caller = basicCredentials(headers)
    if (caller?.id !== options.clientId || caller.secret !== options.clientSecret) {
      return json(401, { error: 'invalid_client' }, { 'www-authenticate': 'Basic realm="introspection"' })
    }
    const presented = new URLSearchParams(body).get('token')
    if (presented === null) return json(400, { error: 'invalid_request' })
    const found = tokens.get(presented)
    const exp = found?.answer.exp
    const expired = typeof exp === 'number' && exp <= site.clock.now() && found?.claimsToBeActive !== true
    // RFC 7662, 2.2: nothing but `active` about a token that is not.
    return json(200, found === undefined || found.answer.active === false || expired ? { active: false } : found.answer)
  })

  return {
    ...site.faults.switches,
    options,
    accessToken (members = {}) {
      const token = randomBytes(32).toString('base64url')
      const now = site.clock.now()
      const good = {
        active: true,
        iss: site.url,
        sub: 'user-1',
        client_id: options.audience,
        aud: options.audience,
        token_type: 'Bearer',
        scope: 'profile',
        iat: now,
        exp: now + 3600
      }
      tokens.set(token, { answer: { ...good, ...members }, claimsToBeActive: members.active === true })
      return token
    }
  }
}
