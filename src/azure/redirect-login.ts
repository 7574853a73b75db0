import type { FastifyInstance, FastifyRequest } from 'fastify'
import { errors } from '../errors.js'
import type { Destinations } from '../login/destinations.js'
import { oneFlowCookie } from '../login/flow-cookies.js'
import type { Exchange } from '../login/login.js'
import { createOneTimeCodes, type OneTimeCodes } from '../login/one-time-codes.js'
import { createSeals } from '../login/seals.js'
import { browserRoute, queryOf, redirectLogin, sendPage, type Landing } from '../routes/redirect.js'
import type { Server } from '../server.js'
import { complete, readCompletion, restoreCompletion, type Completion } from './completion.js'
import { emptyPage } from './completion-page.js'
import { textOf } from './refusals.js'

interface Named { Params: { provider: string } }

/** Service-directed login: the browser is sent to the provider and comes back, on the paths of both generations. */
export function serviceDirectedLogin (scope: FastifyInstance, server: Server, destinations: Destinations): void {
  const { exchange, material, options: { issuer }, routeConfig } = server
  const address = `${issuer}${scope.prefix}`
  const cookies = oneFlowCookie(issuer)
  const codes = createOneTimeCodes(createSeals(material))
  const landingAt = (path: string) => landingOf({ exchange, codes, destinations, doneUrl: `${address}${path}` })
  const [v1, v2] = [
    redirectLogin(server, {
      callbackOf: name => `${address}/login/${name}`,
      cookies,
      landing: landingAt('/login/done'),
      ridesInState: () => false
    }),
    redirectLogin(server, {
      callbackOf: name => `${address}/.auth/login/${name}/callback`,
      cookies,
      landing: landingAt('/.auth/login/done'),
      ridesInState: () => false
    })
  ]
  const departureOf = (request: FastifyRequest<Named>) =>
    ({ provider: nameIn(request), asked: readCompletion(queryOf(request), destinations) })

  const route = browserRoute(scope, routeConfig)
  // The first generation has one path for both visits.
  scope.get<Named>('/login/:provider', route, (request, reply) => isAnswer(queryOf(request))
    ? v1.comeBack(nameIn(request), queryOf(request), request, reply)
    : v1.begin(departureOf(request), request, reply))
  scope.get<Named>('/.auth/login/:provider', route, (request, reply) =>
    v2.begin(departureOf(request), request, reply))
  scope.get<Named>('/.auth/login/:provider/callback', route, (request, reply) =>
    v2.comeBack(nameIn(request), queryOf(request), request, reply))
  scope.get<Named>('/.auth/login/:provider/token', route, request => redeemCode(exchange, codes, request))
  for (const path of ['/login/done', '/.auth/login/done']) {
    scope.get(path, route, (_request, reply) => sendPage(emptyPage, reply))
  }
}

interface LandingParts {
  exchange: Exchange
  codes: OneTimeCodes
  destinations: Destinations
  /** Where it ends when nothing else was asked for. */
  doneUrl: string
}

function landingOf ({ exchange, codes, destinations, doneUrl }: LandingParts): Landing<Completion> {
  return {
    restore: value => restoreCompletion(value, destinations),
    async succeed (completion, verified, request, reply) {
      const proven = await exchange.admit(verified, request)
      const outcome =
        completion.form === 'code'
          ? { code: await codes.make(completion.challenge, proven) }
          : { token: await exchange.issue(proven, request) }
      return complete(completion, outcome, doneUrl, reply)
    },
    fail: (completion, thrown, reply) =>
      complete(completion ?? { form: 'done' }, { error: textOf(thrown) }, doneUrl, reply)
  }
}

/** The second half of the PKCE variant. */
async function redeemCode (exchange: Exchange, codes: OneTimeCodes, request: FastifyRequest<Named>): Promise<object> {
  const provider = nameIn(request)
  // An unknown name is refused as unknown, before the code is as another provider's.
  exchange.provider(provider)
  const query = queryOf(request)
  const [code, verifier] = [once(query, 'authorization_code'), once(query, 'code_verifier')]
  return await codes.redeem(code, { provider, verifier }, proven => exchange.issue(proven, request))
}

function nameIn ({ params }: FastifyRequest<Named>): string {
  return params.provider.toLowerCase()
}

function isAnswer (query: URLSearchParams): boolean {
  return query.has('code') || query.has('error')
}

function once (query: URLSearchParams, name: string): string {
  const [value, another] = query.getAll(name)
  if (value === undefined || value === '' || another !== undefined) {
    throw new errors.GrantRejectedError(`${name} must be given once`)
  }
  return value
}
