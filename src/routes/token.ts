import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest, preHandlerHookHandler } from 'fastify'
import { ProofRefused } from '../dpop/proof-refused.js'
import { codeOf, errors, isOurs, RequestMalformed } from '../errors.js'
import type { GrantType } from '../identity.js'
import { CodeInvalid, type CodeBinding } from '../login/authorization-codes.js'
import { challengeOf } from '../login/authorization-request.js'
import type { Clients } from '../login/clients.js'
import { PossessionRefused } from '../login/possession.js'
import { readGrantOf, text, type Members } from '../login/grant.js'
import type { Server } from '../server.js'
import type { TokenAnswer } from '../tokens/issuer.js'
import { bodyLimit, membersOf } from './bodies.js'

/** One kind of grant at the token endpoint: what its parameters are good for. */
export type TokenGrant = (members: Members, request: FastifyRequest) => Promise<TokenAnswer>

/** The grants that this server takes at `/token`, by their `grant_type`; the metadata names them. */
export function tokenGrants (server: Server): ReadonlyMap<string, TokenGrant> {
  const { exchange, refresh, codes, possession, options: { clients, providers } } = server
  const grants = new Map<string, TokenGrant>()
  // RFC 6749, 4.1.3.
  if (clients.size > 0) {
    grants.set('authorization_code', async (members, request) => {
      const { code, ...shown } = codeIn(members, clients)
      const by = { ...shown, jkt: possession.keyOfLogin(request) }
      return await codes.redeem(code, by, request, redemption => exchange.redeemed(redemption, by, request))
    })
  }
  // RFC 6749, 6.
  if (refresh !== null) {
    grants.set('refresh_token', (members, request) => refresh(text(members, 'refresh_token'), request))
  }
  if (providers.size === 0) return grants
  // RFC 8693: the exchange of `POST /login/:provider` in the words of the standard.
  grants.set(tokenExchange, async (members, request) => {
    const provider = exchange.provider(text(members, 'subject_issuer'))
    const grant = readGrantOf(subjectTypeOf(members, provider.accepts), text(members, 'subject_token'), members)
    return { ...await exchange.login(provider, grant, request, request.auth.user), issued_token_type: accessTokenType }
  })
  return grants
}

/** `POST /token` (RFC 6749, 3.2). */
export function tokenRoute (scope: FastifyInstance, server: Server): void {
  const grants = tokenGrants(server)
  const preHandler = whoLinks(server)
  scope.post('/token', { bodyLimit, config: server.routeConfig, preHandler }, async request => {
    const members = membersOf(request.body)
    const grant = grants.get(text(members, 'grant_type'))
    if (grant === undefined) throw new UnsupportedGrantType('this grant_type is not supported')
    return await grant(members, request)
  })
}

/** Whose access token comes along with an exchange. Only then: a refresh may come with one that has expired. */
function whoLinks ({ guards }: Server): preHandlerHookHandler {
  const authenticate = guards.requireLevel('everyone')
  return (request, reply, done) =>
    membersOf(request.body).grant_type === tokenExchange ? authenticate(request, reply, done) : done()
}

/** A code, and what it was bound to as the client says it. */
function codeIn (members: Members, clients: Clients): Omit<CodeBinding, 'jkt'> & { code: string } {
  const [code, clientId] = [text(members, 'code'), text(members, 'client_id')]
  const [redirectUri, verifier] = [text(members, 'redirect_uri'), text(members, 'code_verifier')]
  if (!clients.has(clientId)) throw new UnknownClient('client_id is not registered')
  return { code, clientId, redirectUri, challenge: challengeOf(verifier) }
}

/** RFC 8693, 2.1 and 3. */
const tokenExchange = 'urn:ietf:params:oauth:grant-type:token-exchange'
const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token'
const subjectTypes: ReadonlyMap<string, GrantType> = new Map([
  [accessTokenType, 'access_token'],
  ['urn:ietf:params:oauth:token-type:id_token', 'id_token']
])

function subjectTypeOf (members: Members, accepts: readonly GrantType[]): GrantType {
  const type = subjectTypes.get(text(members, 'subject_token_type'))
  if (type === undefined || !accepts.includes(type)) {
    throw new RequestMalformed('subject_token_type is none that the provider takes')
  }
  if (members.requested_token_type !== undefined && text(members, 'requested_token_type') !== accessTokenType) {
    throw new RequestMalformed('requested_token_type must be that of an access token')
  }
  return type
}

/** RFC 6749, 5.2: by our code. Whatever else there is, is told apart by its status. */
const grantErrors: ReadonlySet<string | undefined> = new Set([
  errors.RefreshInvalidError.code,
  errors.RefreshReusedError.code,
  errors.SessionExpiredError.code,
  errors.SessionRevokedError.code,
  errors.AccessDeniedError.code
])

/** RFC 6750, 3.1: those of the access token that an exchange carries, refused as a guard does. */
const tokenErrors: ReadonlySet<string | undefined> = new Set([
  errors.TokenInvalidError.code,
  errors.TokenExpiredError.code,
  errors.TokenRevokedError.code
])

/** A client that this server does not know. */
class UnknownClient extends RequestMalformed {}

/** A grant type that this server does not know, or not without sessions. */
class UnsupportedGrantType extends RequestMalformed {}

/**
 * The errors of a scope as RFC 6749, 5.2 writes them. The application's error handler does not see them: clients of
 * OAuth read these members and no others.
 */
export function answerOAuthErrors (scope: FastifyInstance): void {
  scope.setErrorHandler<FastifyError>((error, request, reply) => answer(error, request, reply))
}

function answer (error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const status = statusOf(error)
  if (status >= 500) request.log.error({ err: error }, 'the request failed')
  else request.log.info({ err: error }, 'the request was refused')
  return reply
    .code(status)
    .type('application/json; charset=utf-8')
    .send({ error: nameOf(error, status), error_description: describe(error), code: codeOf(error) })
}

// A refused subject token and an unknown issuer are invalid_request (RFC 8693, 2.2.2), a denied user is invalid_grant:
// all of them 400.
function statusOf (error: FastifyError): number {
  const status = error.statusCode ?? 503
  if (status < 400 || status >= 500) return 503
  if (tokenErrors.has(codeOf(error)) || isOfOtherKey(error)) return 401
  return isOurs(error) ? 400 : status
}

function nameOf (error: FastifyError, status: number): string {
  if (error instanceof UnsupportedGrantType) return 'unsupported_grant_type'
  if (error instanceof UnknownClient) return 'invalid_client'
  // RFC 9449, 5 and 8.
  if (error instanceof PossessionRefused || error instanceof ProofRefused) return error.word
  if (error instanceof CodeInvalid) return 'invalid_grant'
  if (grantErrors.has(codeOf(error))) return 'invalid_grant'
  if (tokenErrors.has(codeOf(error))) return 'invalid_token'
  return status === 503 || status === 429 ? 'temporarily_unavailable' : 'invalid_request'
}

/** RFC 9449, 7.1: an access token that an exchange carries, without the key that it is bound to. */
function isOfOtherKey (error: FastifyError): boolean {
  return error instanceof ProofRefused && error.word === 'invalid_token'
}

// Messages of others may quote the client, in characters that 5.2 does not allow.
function describe (error: FastifyError): string {
  return isOurs(error) ? error.message : 'The request cannot be answered'
}
