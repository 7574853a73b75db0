import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Exchange } from '../exchange/exchange.js'
import { bodyLimit, membersOf } from '../routes/bodies.js'
import type { TokenAnswer } from '../tokens/issuer.js'
import { parseBodiesOfSdks } from './bodies.js'
import { chooseGrant } from './grant.js'
import { ownPaths } from './paths.js'
import { asRefusal } from './refusals.js'

/** Clients of version 1 send Microsoft-account tokens to `POST /login` itself. */
const unnamedProviders = ['microsoftaccount', 'microsoft']

/** Client-directed login on the paths of both generations. */
export function clientDirectedLogin (
  scope: FastifyInstance,
  exchange: Exchange,
  names: Iterable<string>,
  config: object
): void {
  const unnamed = unnamedProvider(new Set(names))
  parseBodiesOfSdks(scope)

  async function login (name: string, request: FastifyRequest): Promise<TokenAnswer> {
    try {
      const provider = exchange.provider(name.toLowerCase())
      const grant = chooseGrant(membersOf(request.body), provider.accepts)
      return await exchange.login(provider, grant, request)
    } catch (thrown) {
      throw asRefusal(thrown)
    }
  }

  for (const base of ['/login', '/.auth/login']) {
    for (const url of ownPaths(scope, base)) {
      scope.post(url, { bodyLimit, config }, async request => login(unnamed, request))
    }
    for (const url of ownPaths(scope, `${base}/:provider`)) {
      scope.post<{ Params: { provider: string } }>(url, { bodyLimit, config }, async request =>
        login(request.params.provider, request)
      )
    }
  }
}

// Where there is neither, the name that nobody has, so that it is refused like any other unknown one.
function unnamedProvider (names: ReadonlySet<string>): string {
  return unnamedProviders.find(name => names.has(name)) ?? ''
}
