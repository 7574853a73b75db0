import { errors } from '../errors.js'
import { createKeySet } from '../http/key-set.js'
import type { IdentityProvider } from '../identity.js'
import { list, open, refused, text } from '../options/values.js'
import { appleEvents } from './apple-events.js'
import { exchangeAppleCode, readPrivateKey, revokeAppleToken, secretOf, type AppleTeam } from './apple-codes.js'
import { isOpenid, readRedirect, type RedirectClient, type RedirectOptions } from './code-flow.js'
import { defineProvider } from './define.js'
import { endpoints, idTokenOptions, readPolicies, switchOf, type IdTokenOptions } from './definition.js'

export interface AppleOptions extends IdTokenOptions {
  /** Bundle ids and Services IDs together: one of them must be the token's audience. */
  clientIds: readonly string[]
  /** With `keyId` and `privateKey` (PEM): authorization codes and `revoke`. All three or none. */
  teamId?: string
  keyId?: string
  /** The content of the `.p8` file. */
  privateKey?: string
  /**
   * @default { jwks: 'https://appleid.apple.com/auth/keys', token: '…/auth/token', revoke: '…/auth/revoke',
   * authorize: '…/auth/authorize' }
   */
  endpoints?: { jwks?: string, token?: string, revoke?: string, authorize?: string }
  /**
   * Logins by redirect, with the team's key; `clientId` is the Services ID, @default the first of `clientIds`.
   * `scope` @default 'name email'
   */
  redirect?: Pick<RedirectOptions, 'clientId' | 'scope'>
  /** Takes server-to-server notifications at `/events/:provider`. @default none */
  events?: Readonly<Record<never, never>>
}

export interface AppleProvider extends IdentityProvider {
  /**
   * Ends the user's authorization at Apple, for account deletion.
   * @throws errors.ProviderUnavailableError, errors.OptionInvalidError without a token
   */
  revoke (refreshToken: string): Promise<void>
}

const host = 'https://appleid.apple.com'
const defaults = {
  jwks: `${host}/auth/keys`,
  token: `${host}/auth/token`,
  revoke: `${host}/auth/revoke`,
  authorize: `${host}/auth/authorize`
}
const keyOptions = ['teamId', 'keyId', 'privateKey'] as const

/**
 * Sign in with Apple: ID tokens; authorization codes with the team's key.
 *
 * Deviation: no discovery, its issuer changed overnight on 2025-06-11; both are taken. Truth values may be strings. The
 * user's name reaches the app once and unverified, so it is not part of the identity.
 *
 * @example
 * ```ts
 * const provider = apple({ clientIds: ['com.example.app', 'com.example.web'] })
 * ```
 * @throws errors.OptionInvalidError
 * @see https://developer.apple.com/documentation/signinwithapple/verifying-a-user
 */
export function apple (options: AppleOptions): AppleProvider {
  const given = open(options, 'apple', [
    'clientIds', 'endpoints', 'redirect', 'events', ...keyOptions, ...idTokenOptions
  ])
  const { jwks, token, revoke, authorize } = given.read('endpoints', endpoints(defaults), defaults)
  const clientIds = given.read('clientIds', list(text))
  const tokens = { issuers: [host, 'https://account.apple.com'], clientIds, keys: createKeySet(jwks) }
  const team = keyOptions.some(given.has)
    ? {
        clientIds,
        teamId: given.read('teamId', text),
        keyId: given.read('keyId', text),
        privateKey: given.read('privateKey', readPrivateKey)
      }
    : null
  const provider = defineProvider({
    ...readPolicies(given),
    idToken: { algorithms: ['RS256'], ...tokens },
    ...(team !== null && { code: (grant, context) => exchangeAppleCode(token, team, grant, context) }),
    redirect: given.read('redirect', (value, path) => readAppleRedirect(value, path, { authorize, token, team }), null),
    events: given.read('events', switchOf(appleEvents(tokens)), null)
  })
  return {
    ...provider,
    async revoke (refreshToken) {
      if (team === null) throw new errors.OptionInvalidError('apple.revoke needs teamId, keyId and privateKey')
      await revokeAppleToken(revoke, team, refreshToken)
    }
  }
}

function readAppleRedirect (
  value: unknown,
  path: string,
  { authorize, token, team }: { authorize: string, token: string, team: AppleTeam | null }
): RedirectClient | null {
  if (team === null) throw refused(path, 'needs teamId, keyId and privateKey')
  const server = {
    issuer: host,
    authorizationEndpoint: authorize,
    tokenEndpoint: token,
    // Apple demands it as soon as a name or an address is asked for.
    responseMode: 'form_post'
  } as const
  const own = (clientId: string): string => secretOf(team, clientId)
  const rules = { clientIds: team.clientIds, secret: { own }, scope: 'name email' }
  const client = readRedirect(server, rules)(value, path)
  // Apple's pages name the other scopes only. Without this one it would not be given the nonce.
  return client && { ...client, scope: isOpenid(client.scope) ? client.scope : `openid ${client.scope}` }
}
