import { rejected } from '../errors.js'
import { createKeySet } from '../http/key-set.js'
import type { IdentityProvider } from '../identity.js'
import { list, open, text } from '../options/values.js'
import { readRedirect, type RedirectOptions } from './code-flow.js'
import { defineProvider } from './define.js'
import { endpoints, idTokenOptions, readPolicies, switchOf, type IdTokenOptions } from './definition.js'
import { googleEvents, riscKeys } from './google-events.js'

export interface GoogleOptions extends IdTokenOptions {
  /** The client ids of iOS, Android and web together. */
  clientIds: readonly string[]
  /** The Google Workspace domain that users must belong to, as in the claim `hd`. */
  hostedDomain?: string
  /** `risc` is the configuration of Cross-Account Protection. @default Google's own; with a `jwks`, those keys */
  endpoints?: { jwks?: string, authorize?: string, token?: string, risc?: string }
  /** Logins by redirect, with a web client. `scope` @default 'openid email profile' */
  redirect?: RedirectOptions & { clientSecret: string }
  /** Takes events of Cross-Account Protection (RISC) at `/events/:provider`. @default none */
  events?: Readonly<Record<never, never>>
}

const defaults = {
  jwks: 'https://www.googleapis.com/oauth2/v3/certs',
  authorize: 'https://accounts.google.com/o/oauth2/v2/auth',
  token: 'https://oauth2.googleapis.com/token',
  risc: ''
}
const riscConfiguration = 'https://accounts.google.com/.well-known/risc-configuration'

/**
 * Sign in with Google: ID tokens.
 *
 * Deviation: `iss` comes with and without its scheme. The iOS SDK put a nonce of its own into tokens for years, so the
 * token's nonce is compared only when the app posts one (the default of `nonce`).
 *
 * @example
 * ```ts
 * const clientIds = ['1042-ios.apps.googleusercontent.com', '1042-web.apps.googleusercontent.com']
 * const provider = google({ clientIds })
 * ```
 * @throws errors.OptionInvalidError
 * @see https://developers.google.com/identity/gsi/web/guides/verify-google-id-token
 */
export function google (options: GoogleOptions): IdentityProvider {
  const given = open(options, 'google', [
    'clientIds', 'hostedDomain', 'endpoints', 'redirect', 'events', ...idTokenOptions
  ])
  const { jwks, authorize, token, risc } = given.read('endpoints', endpoints(defaults), defaults)
  const clientIds = given.read('clientIds', list(text))
  const hostedDomain = given.read('hostedDomain', text, null)
  const keys = createKeySet(jwks)
  const eventKeys = risc === '' && jwks !== defaults.jwks ? keys : riscKeys(risc || riscConfiguration)
  const server = {
    issuer: 'https://accounts.google.com',
    authorizationEndpoint: authorize,
    tokenEndpoint: token
  }
  return defineProvider({
    ...readPolicies(given),
    idToken: {
      algorithms: ['RS256'],
      issuers: ['https://accounts.google.com', 'accounts.google.com'],
      clientIds,
      keys,
      check ({ hd }) {
        // The claim, never the domain of the e-mail address: that one anybody may register at Google.
        if (hostedDomain !== null && hd !== hostedDomain) throw rejected('claims', 'hd')
      }
    },
    redirect: given.read('redirect', readRedirect(server, { clientIds, secret: 'required' }), null),
    events: given.read('events', switchOf(googleEvents({ keys: eventKeys, clientIds })), null)
  })
}
