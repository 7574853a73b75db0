import { enteringByItself, server, type Asking } from '../deadline.js'
import { errors, rejected } from '../errors.js'
import { requireDispatch } from '../http/client.js'
import {
  tellingKeysAge, type AuthorizationAnswer, type GrantType, type IdentityProvider, type NoncePolicy,
  type VerifiedIdentity
} from '../identity.js'
import {
  authorizationUrl, checkIssuer, exchangeCode, isOpenid, serverOf, type RedirectClient, type Tokens
} from './code-flow.js'
import { readDefinition, type Declared, type IdTokenOptions, type ProviderDefinition } from './definition.js'
import { verifyIdToken, type ResolvedRules } from './id-token.js'

/**
 * A provider of your own, of the same make as those of this package: what it declares is checked, cheap checks first,
 * and nonces, replays, key sets, outages, overload and logins by redirect are seen to.
 *
 * @example
 * ```ts
 * import { errors } from 'fastify-token-exchange'
 * import { defineProvider } from 'fastify-token-exchange/providers'
 *
 * const acme = defineProvider({
 *   idToken: {
 *     issuers: ['https://login.acme.example'],
 *     clientIds: ['todo-ios', 'todo-android'],
 *     algorithms: ['RS256'],
 *     keys: 'https://login.acme.example/keys'
 *   }
 * })
 *
 * const vault = defineProvider({
 *   async accessToken (token, { signal }) {
 *     const headers = { authorization: `Bearer ${token}` }
 *     const answer = await fetch('https://vault.example/token', { headers, signal })
 *     if (answer.status === 401) throw new errors.GrantRejectedError('status 401')
 *     if (!answer.ok) throw new errors.ProviderUnavailableError(`status ${answer.status}`)
 *     const { userId, app } = Object(await answer.json())
 *     // A token of another app, for the same person, must not open the door.
 *     if (app !== 'todo') throw new errors.GrantRejectedError('app')
 *     return { subject: userId, clientId: app }
 *   }
 * })
 * ```
 * @throws errors.OptionInvalidError
 */
export function defineProvider (definition: ProviderDefinition): IdentityProvider {
  requireDispatch()
  const provider = assemble(definition, readDefinition(definition))
  for (const method of [provider.verify, provider.authorizationUrl, provider.redeem]) {
    if (method !== undefined) enteringByItself(method)
  }
  return provider
}

function assemble (definition: ProviderDefinition, { rules, policies }: Declared): IdentityProvider {
  const { accessToken, code, redirect, events } = definition
  const ask = accessTokenCheck(definition, policies)
  const identify = identifier(ask, policies)
  return {
    accepts: [
      ...(accessToken !== undefined || takes(rules, 'access_token') ? ['access_token'] as const : []),
      ...(takes(rules, 'id_token') ? ['id_token'] as const : []),
      ...(code !== undefined ? ['authorization_code'] as const : [])
    ],
    ...(rules !== null && { ...policies, ...tellingKeysAge(() => rules.keys.age?.() ?? null) }),
    ...(redirect !== undefined && redirect !== null && redirection(redirect, rules, identify)),
    ...events,

    async verify (grant, context: Asking) {
      // Access tokens are opaque, as a rule, and have no dots.
      const isJwt = accessToken === undefined || grant.type !== 'access_token' || grant.token.split('.').length === 3
      if (takes(rules, grant.type) && isJwt) return await verifyIdToken(rules, policies.nonce, grant, context)
      if (grant.type === 'access_token') return await ask(grant.token, context)
      if (grant.type !== 'authorization_code' || code === undefined) throw rejected('form', 'kind')
      context[server]?.enter()
      const exchange = typeof code === 'function' ? code(grant, plain(context)) : exchangeCode(code, grant, context)
      return await identify(await exchange, rules, context, grant.nonce)
    }
  }
}

type Ask = (accessToken: string, context: Asking) => Promise<VerifiedIdentity>

function accessTokenCheck ({ accessToken: check }: ProviderDefinition, { nonce }: Required<IdTokenOptions>): Ask {
  return async (accessToken, context) => {
    if (check === undefined) throw rejected('form', 'kind')
    if (nonce === 'required') throw rejected('nonce', 'this kind of grant carries no nonce')
    context[server]?.enter()
    return await check(accessToken, plain(context))
  }
}

/** Of own members, for a check that may be the application's and hand a copy on. */
function plain (context: Asking): Asking {
  const behalf = context[server]
  return { signal: context.signal, ...(behalf !== undefined && { [server]: behalf }) }
}

/** Whom tokens speak of: an ID token by its rules, else the access token by asking. */
type Identify = (
  tokens: Tokens,
  rules: ResolvedRules | null,
  context: Asking,
  nonce?: string,
  policy?: NoncePolicy
) => Promise<VerifiedIdentity>

function identifier (ask: Ask, policies: Required<IdTokenOptions>): Identify {
  return async ({ idToken, accessToken, refreshToken }, rules, context, nonce, policy = policies.nonce) => {
    const identity = rules === null
      ? await ask(present(accessToken, 'access token'), context)
      : await verifyIdToken(rules, policy, { token: present(idToken, 'ID token'), ...(nonce && { nonce }) }, context)
    return refreshToken === null
      ? identity
      : Object.defineProperty({ ...identity }, 'providerTokens', { value: Object.freeze({ refreshToken }) })
  }
}

function redirection (
  redirect: RedirectClient,
  rules: ResolvedRules | null,
  identify: Identify
): Required<Pick<IdentityProvider, 'authorizationUrl' | 'redeem'>> & Pick<IdentityProvider, 'responseMode'> {
  // Whatever an app may do: this nonce is ours, as this server sent it.
  const ours = rules !== null && isOpenid(redirect.scope)
    ? { ...rules, clientIds: [redirect.clientId], nonceForms: ['raw'] as const }
    : null
  const responseMode = typeof redirect.server === 'function' ? undefined : redirect.server.responseMode
  return {
    ...(responseMode !== undefined && { responseMode }),

    async authorizationUrl (request, context = { signal: new AbortController().signal }) {
      return authorizationUrl(redirect, await serverOf(redirect, context), request)
    },

    async redeem (answer, context) {
      const server = await serverOf(redirect, context)
      checkIssuer(server, answer)
      const tokens = await exchangeCode({ ...redirect, ...server }, { ...answer, token: answer.code }, context)
      const identity = await identify(tokens, ours, context, answer.nonce, 'required')
      requireRecent(identity, answer)
      return identity
    }
  }
}

/** Seconds that the provider's clock may be ahead or behind. */
const clockTolerance = 60

/** OpenID Connect Core, 3.1.3.7, 13: a provider may have taken no notice of `max_age`. */
function requireRecent ({ claims = {} }: VerifiedIdentity, { maxAge }: AuthorizationAnswer): void {
  const { auth_time: authenticatedAt } = claims
  if (maxAge === undefined || typeof authenticatedAt !== 'number') return
  if (Date.now() / 1000 - authenticatedAt > maxAge + clockTolerance) throw rejected('time', 'auth_time')
}

function takes (rules: ResolvedRules | null, type: GrantType): rules is ResolvedRules {
  return rules !== null && (rules.members ?? ['id_token']).includes(type)
}

function present (token: string | null, name: string): string {
  if (token === null) throw new errors.ProviderUnavailableError(`token endpoint: no ${name}`)
  return token
}
