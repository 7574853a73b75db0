import type { FastifyInstance, FastifyRequest } from 'fastify'
import { errors } from '../errors.js'
import type { Exchange } from '../login/login.js'
import { readGrantOf, type Members } from '../login/grant.js'
import type { Refresh } from '../login/refresh.js'
import type { GrantType } from '../identity.js'
import type { TokenAnswer } from '../tokens/issuer.js'
import { bodyLimit, membersOf } from './bodies.js'
import { UnsupportedGrantType } from './oauth-errors.js'

export const refreshGrant = 'refresh_token'
export const exchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange'

/** RFC 8693, 3. */
const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token'
const subjectTypes: ReadonlyMap<string, GrantType> = new Map([
  [accessTokenType, 'access_token'],
  ['urn:ietf:params:oauth:token-type:id_token', 'id_token']
])

export interface TokenRouteParts {
  exchange: Exchange
  /** Null without sessions. */
  refresh: Refresh | null
  /** `config` of the route. */
  config: object
}

/** `POST /token`: RFC 6749, 6 (refresh) and RFC 8693 (the exchange of section 4 in the words of the standard). */
export function tokenRoute (scope: FastifyInstance, { exchange, refresh, config }: TokenRouteParts): void {
  scope.post('/token', { bodyLimit, config }, async request => {
    const members = membersOf(request.body)
    const grantType = text(members, 'grant_type')
    if (grantType === refreshGrant && refresh !== null) return await refresh(text(members, 'refresh_token'), request)
    if (grantType === exchangeGrant) return await exchangeToken(exchange, members, request)
    throw new UnsupportedGrantType('grant_type')
  })
}

async function exchangeToken (
  exchange: Exchange,
  members: Members,
  request: FastifyRequest
): Promise<TokenAnswer & { issued_token_type: string }> {
  const type = subjectTypes.get(text(members, 'subject_token_type'))
  const provider = exchange.provider(text(members, 'subject_issuer'))
  if (type === undefined || !provider.accepts.includes(type)) throw new errors.RequestInvalidError('subject_token_type')
  if (members.requested_token_type !== undefined && text(members, 'requested_token_type') !== accessTokenType) {
    throw new errors.RequestInvalidError('requested_token_type')
  }
  const answer = await exchange.login(provider, readGrantOf(type, text(members, 'subject_token'), members), request)
  return { ...answer, issued_token_type: accessTokenType }
}

/** A parameter that must be there. RFC 6749, 3.2: one without a value counts as absent. */
export function text (members: Members, name: string): string {
  const value = members[name]
  if (typeof value !== 'string' || value === '') {
    throw new errors.RequestInvalidError(`${name} must be a non-empty string`)
  }
  return value
}
