import { errors } from '../errors.js'
import { wellKnownPath } from '../public-address.js'
import type { Server } from '../server.js'
import {
  answer, arrayOf, body, bodyRefusals, inPath, inQuery, oauthRefusals, object, oneOf, redirect, refusals, text, whole,
  type Operation, type Parameter, type Refusals, type Schema
} from './operation.js'

const {
  AccessDeniedError, CredentialMissingError, DpopInvalidError, EventFailedError, EventInvalidError, GrantRejectedError,
  LinkRequiredError, LookupFailedError, OverloadedError, ProviderUnavailableError, ProviderUnknownError,
  RequestInvalidError, StoreUnavailableError, TokenExpiredError, TokenInvalidError, TokenRevokedError
} = errors

/** How a guard for users refuses, and a store fails. */
const userErrors = [
  RequestInvalidError, CredentialMissingError, TokenInvalidError, TokenExpiredError, TokenRevokedError,
  StoreUnavailableError
] as const

/** How a login fails: by the client, the provider, the application, or an outage. */
export const loginErrors = [
  RequestInvalidError, GrantRejectedError, TokenInvalidError, TokenExpiredError, TokenRevokedError, AccessDeniedError,
  LinkRequiredError, ProviderUnknownError, ProviderUnavailableError, LookupFailedError, OverloadedError,
  StoreUnavailableError
] as const

/** The same, where access tokens may be bound to a key (RFC 9449, 7.1). */
export function userErrorsOf ({ options: { dpop } }: Server) {
  return dpop?.mode === 'all' ? [...userErrors, DpopInvalidError, OverloadedError] : userErrors
}

/** The same, where tokens may be bound: nobody is asked to log in for a proof that is refused, so it is 400. */
export function loginErrorsOf ({ options: { dpop } }: Server) {
  const { code, message } = new DpopInvalidError()
  return dpop === null ? loginErrors : [...loginErrors, { code, message, statusCode: 400 }]
}

/** RFC 9449, 5. */
const proofHeader: Parameter = {
  name: 'DPoP', in: 'header', required: false, description: 'A proof of possession (RFC 9449, 4)', schema: text
}

/** What a login takes beside its body. */
export function loginHeaders ({ options: { dpop } }: Server): readonly Parameter[] {
  return dpop === null ? [] : [proofHeader]
}

const tokenMembers = {
  access_token: text,
  token_type: oneOf('Bearer', 'DPoP'),
  expires_in: whole,
  user: object({ userId: text, provider: text, level: oneOf('authenticated', 'admin'), permissions: arrayOf(text) }),
  authenticationToken: text,
  'refresh_token?': text
}

/** What a login answers (RFC 6749, 5.1). */
export const tokenAnswer: Schema = object(tokenMembers)

/** One of the providers of this server. */
export function providerIn ({ options: { providers } }: Server) {
  return inPath('provider', oneOf(...providers.keys()))
}

/** The grants that the providers take, and what else a body of a login says. */
export function grantBody ({ options: { providers } }: Server) {
  const kinds = new Set([...providers.values()].flatMap(({ accepts }) => accepts))
  const takesCodes = kinds.has('authorization_code')
  return body(object({
    ...Object.fromEntries(Array.from(kinds, kind => [`${kind}?`, text])),
    ...(takesCodes && { 'redirect_uri?': text, 'code_verifier?': text }),
    'nonce?': text
  }))
}

/** Operations by their method and path, below the plugin's prefix. */
export type Operations = Readonly<Record<string, Operation>>

/** What the clients of a dialect are served, in a document. */
export interface DocumentedDialect {
  operations (server: Server): Operations
  readonly refusals: Refusals
}

/** The plugin's own routes in a document. */
export function operationsOf (server: Server, dialect: DocumentedDialect): ReadonlyMap<string, Operation> {
  return new Map(Object.entries({
    ...metadata(server),
    ...authorizationServer(server),
    ...eventOperations(server),
    ...commonOperations(server, dialect.refusals),
    ...dialect.operations(server)
  }))
}

/** `POST /login/:provider` of the contract. */
export function loginOperations (server: Server): Operations {
  return {
    'POST /login/:provider': {
      tags: ['Authentication'],
      summary: 'Exchange a grant of an identity provider for an access token',
      description: 'The body holds exactly one grant: access_token, id_token or authorization_code.',
      parameters: [providerIn(server), ...loginHeaders(server)],
      requestBody: grantBody(server),
      responses: {
        ...answer(200, 'The user is logged in', tokenAnswer),
        ...refusals(...loginErrorsOf(server)),
        ...bodyRefusals
      }
    }
  }
}

function authorizationServer (server: Server): Operations {
  const provider = providerIn(server)
  return {
    'POST /token': {
      tags: ['Authentication'],
      summary: 'Get an access token (RFC 6749, 3.2)',
      parameters: loginHeaders(server),
      requestBody: body({ oneOf: tokenBodies(server) }),
      responses: {
        ...answer(200, 'An access token', object({ ...tokenMembers, 'issued_token_type?': text })),
        ...oauthRefusals({
          400: [...tokenRefusals, ...(server.options.dpop === null ? [] : proofRefusals)],
          503: ['temporarily_unavailable']
        }),
        ...oauthBodyRefusals
      }
    },
    'GET /authorize': {
      tags: ['Authentication'],
      summary: 'Log in by redirect (RFC 6749, 4.1.1)',
      parameters: [
        inQuery('response_type', 'RFC 6749, 3.1.1', oneOf('code')),
        inQuery('client_id', 'RFC 6749, 2.2', oneOf(...server.options.clients.keys())),
        inQuery('redirect_uri', 'RFC 6749, 3.1.2'),
        inQuery('code_challenge', 'RFC 7636, 4.2'),
        inQuery('code_challenge_method', 'RFC 7636, 4.3', oneOf('S256')),
        inQuery('state?', 'RFC 6749, 4.1.1'),
        inQuery('provider?', 'Who vouches for the user', provider.schema),
        inQuery('login_hint?', 'Passed on to the provider'),
        inQuery('prompt?', 'Passed on to the provider'),
        inQuery('max_age?', 'Passed on to the provider'),
        ...(server.options.dpop === null ? [] : [inQuery('dpop_jkt?', 'RFC 9449, 10')])
      ],
      responses: {
        ...redirect(302, 'To the identity provider'),
        ...redirect(303, 'Back to the client, with an error'),
        ...refusals(RequestInvalidError)
      }
    },
    ...Object.fromEntries(['GET', 'POST'].map(method => [`${method} /callback/:provider`, {
      tags: ['Authentication'],
      summary: 'Where the identity provider sends browsers back to',
      parameters: [provider],
      responses: {
        ...redirect(303, 'Back to the client, with a code or an error'),
        ...refusals(RequestInvalidError, ProviderUnknownError),
        ...(method === 'POST' && bodyRefusals)
      }
    }])),
    'POST /revoke': {
      tags: ['Sessions'],
      summary: 'End the session of a refresh token, or an access token (RFC 7009)',
      requestBody: body(object({ token: text, 'token_type_hint?': text })),
      responses: {
        ...answer(200, 'It is not good any more', { type: 'object' }),
        ...oauthRefusals({ 400: ['invalid_request'], 503: ['temporarily_unavailable'] }),
        ...oauthBodyRefusals
      }
    }
  }
}

/** Providers that send events, and those that are answered with where the deletion of data can be followed. */
function eventOperations ({ providers }: Server): Operations {
  const senders = [...providers.values()].filter(({ events }) => events !== null)
  const deleting = senders.filter(({ events }) => events?.deletion != null)
  const named = (some: typeof senders) => [inPath('provider', oneOf(...some.map(({ name }) => name)))]
  const refused = {
    ...refusals(
      EventInvalidError, ProviderUnknownError, EventFailedError, ProviderUnavailableError, OverloadedError,
      StoreUnavailableError
    ),
    ...answer(413, 'The body is too large', { type: 'object' })
  }
  const page = object({ url: text, confirmation_code: text })
  return {
    'POST /events/:provider': {
      tags: ['Events'],
      summary: 'What the identity provider takes back',
      parameters: named(senders),
      requestBody: { required: true, content: { '*/*': { schema: text } } },
      responses: { ...answer(200, 'Done'), ...answer(202, 'Done (RFC 8935, 2.2)'), ...refused }
    },
    'POST /events/:provider/deletion': {
      tags: ['Events'],
      summary: 'A user asks at the identity provider for the deletion of its data',
      parameters: named(deleting),
      requestBody: { required: true, content: { 'application/x-www-form-urlencoded': { schema: text } } },
      responses: { ...answer(200, 'Where to see how far it is', page), ...refused }
    }
  }
}

const tokenRefusals = ['invalid_request', 'invalid_client', 'invalid_grant', 'unsupported_grant_type']
/** RFC 9449, 5 and 8. */
const proofRefusals = ['invalid_dpop_proof', 'use_dpop_nonce']
const oauthBodyRefusals = oauthRefusals({ 413: ['invalid_request'], 415: ['invalid_request'] })

/** RFC 6749, 4.1.3 and 6; RFC 8693, 2.1. */
function tokenBodies ({ options: { clients, providers }, refresh }: Server): Schema[] {
  return [
    ...(clients.size === 0
      ? []
      : [object({
          grant_type: oneOf('authorization_code'),
          code: text,
          redirect_uri: text,
          client_id: text,
          code_verifier: text
        })]),
    ...(refresh === null ? [] : [object({ grant_type: oneOf('refresh_token'), refresh_token: text })]),
    ...(providers.size === 0
      ? []
      : [object({
          grant_type: oneOf('urn:ietf:params:oauth:grant-type:token-exchange'),
          subject_issuer: oneOf(...providers.keys()),
          subject_token: text,
          subject_token_type: oneOf(
            'urn:ietf:params:oauth:token-type:access_token', 'urn:ietf:params:oauth:token-type:id_token'
          ),
          'requested_token_type?': oneOf('urn:ietf:params:oauth:token-type:access_token'),
          'nonce?': text
        })])
  ]
}

function commonOperations (server: Server, refusals: Refusals): Operations {
  const userErrors = userErrorsOf(server)
  const session = object({
    id: text, createdAt: whole, lastUsedAt: whole, expiresAt: whole, current: { type: 'boolean' }
  })
  return {
    'POST /logout': {
      tags: ['Sessions'],
      summary: 'Log out',
      requestBody: body(object({ 'scope?': { ...oneOf('this', 'others', 'all'), default: 'this' } }), false),
      responses: { ...answer(204, 'The sessions have ended'), ...refusals(...userErrors), ...bodyRefusals }
    },
    'GET /sessions': {
      tags: ['Sessions'],
      summary: 'The sessions of the user, the last used first',
      responses: {
        ...answer(200, 'Times are seconds since the epoch', object({ sessions: arrayOf(session) })),
        ...refusals(...userErrors)
      }
    },
    'POST /nonce': {
      tags: ['Authentication'],
      summary: 'Get a nonce for a login',
      responses: {
        ...answer(200, 'A nonce of this server, good once', object({ nonce: text, expires_in: whole })),
        ...refusals(RequestInvalidError),
        ...bodyRefusals
      }
    }
  }
}

function metadata ({ options: { issuer } }: Server): Operations {
  const path = wellKnownPath(issuer)
  const document = (summary: string): Operation =>
    ({ tags: ['Metadata'], summary, responses: answer(200, 'Good for five minutes', { type: 'object' }) })
  return {
    'GET /.well-known/jwks.json': {
      tags: ['Metadata'],
      summary: 'The public keys of the access tokens (RFC 7517)',
      responses: answer(200, 'Good for five minutes', object({ keys: arrayOf({ type: 'object' }) }))
    },
    [`GET /.well-known/oauth-authorization-server${path}`]: document('Metadata for OAuth clients (RFC 8414)'),
    [`GET /.well-known/oauth-protected-resource${path}`]: document('Metadata of the protected resource (RFC 9728)')
  }
}
