import type { FastifyInstance, FastifyRequest } from 'fastify'
import { errors } from '../errors.js'
import { readGrantOf, type Members } from '../login/grant.js'
import type { AuthorizationGrant, GrantType } from '../identity.js'
import { bodyLimit, membersOf, parser, type Body } from '../routes/bodies.js'
import type { Server } from '../server.js'
import { parseMembers } from '../strict-json.js'
import type { TokenAnswer } from '../tokens/issuer.js'

/** Clients of version 1 send Microsoft-account tokens to `POST /login` itself. */
const unnamedProviders = ['microsoftaccount', 'microsoft']

/** Client-directed login on the paths of both generations. */
export function clientDirectedLogin (scope: FastifyInstance, { exchange, options, routeConfig: config }: Server): void {
  // Where there is neither, the name that nobody has: refused like any other unknown one.
  const unnamed = unnamedProviders.find(name => options.providers.has(name)) ?? ''
  const route = { bodyLimit, config }
  parseBodiesOfSdks(scope)

  async function login (name: string, request: FastifyRequest): Promise<TokenAnswer> {
    const provider = exchange.provider(name.toLowerCase())
    const grant = chooseGrant(membersOf(request.body), provider.accepts)
    // The SDKs send the token of the user before, expired or not: it is not looked at, and links nothing.
    return await exchange.login(provider, grant, request, null)
  }

  for (const path of ['/login', '/.auth/login']) {
    scope.post(path, route, request => login(unnamed, request))
    scope.post<{ Params: { provider: string } }>(`${path}/:provider`, route, request =>
      login(request.params.provider, request)
    )
  }
}

/** Where the SDKs put grants, in the order in which they count. Microsoft accounts have two words of their own. */
const carriers: ReadonlyArray<readonly [GrantType, string]> = [
  ['id_token', 'id_token'],
  ['id_token', 'authenticationToken'],
  ['id_token', 'authentication_token'],
  ['access_token', 'access_token'],
  ['authorization_code', 'authorization_code']
]

/**
 * The authorization grant in a body of an SDK, which may hold several: the first of a kind that the provider takes.
 *
 * @throws errors.GrantRejectedError where there is none
 */
function chooseGrant (members: Members, accepts: readonly GrantType[]): AuthorizationGrant {
  const carrier = carriers.find(([type, name]) => accepts.includes(type) && members[name] !== undefined)
  if (carrier === undefined) throw new errors.GrantRejectedError('no grant of a kind that the provider takes')
  const [type, name] = carrier
  const token = members[name]
  if (typeof token !== 'string' || token === '') {
    throw new errors.GrantRejectedError(`${name} is not a non-empty string`)
  }
  return readGrantOf(type, token, members)
}

/** Beside the strict bodies of all own routes: no `Content-Type` at all is JSON, and an array has no members. */
function parseBodiesOfSdks (scope: FastifyInstance): void {
  const parseJson = parser(readJsonOrArray)
  scope.removeContentTypeParser('application/json')
  scope.addContentTypeParser('application/json', { parseAs: 'buffer' }, parseJson)
  // The one for everything else is the only one that Fastify asks when the header is missing.
  scope.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body, done) => {
    if (request.headers['content-type'] === undefined) parseJson(request, body, done)
    else done(unsupported())
  })
}

function readJsonOrArray (text: string): Body {
  const members = /^\s*\[/.test(text) && JSON.parse(text) ? {} : parseMembers(text)
  return Object.assign(Object.create(null), members)
}

// As Fastify refuses a type that it has no parser for.
function unsupported (): Error {
  return Object.assign(new Error('Unsupported Media Type'), { statusCode: 415, code: 'FST_ERR_CTP_INVALID_MEDIA_TYPE' })
}
