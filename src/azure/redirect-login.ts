import type { FastifyInstance, FastifyRequest } from 'fastify'
import { errors } from '../errors.js'
import type { Exchange } from '../login/login.js'
import { createOneTimeCodes, type OneTimeCodes } from '../login/one-time-codes.js'
import { createFlowCookie, createRedirectFlows } from '../login/redirect-flow.js'
import { createSeals } from '../login/seals.js'
import { browserRoute, queryOf, redirectLogin, sendPage, type Ending } from '../routes/redirect.js'
import type { Server } from '../server.js'
import { complete, readCompletion, restoreCompletion, type Completion } from './completion.js'
import { emptyPage } from './completion-page.js'
import type { Destinations } from './destinations.js'
import { textOf } from './refusals.js'

interface Named { Params: { provider: string } }

/** Service-directed login: the browser is sent to the provider and comes back, on the paths of both generations. */
export function serviceDirectedLogin (scope: FastifyInstance, server: Server, destinations: Destinations): void {
  const { exchange, singleUse, material, options: { issuer } } = server
  const seals = createSeals(material)
  const codes = createOneTimeCodes(seals)
  const parts = { exchange, singleUse, flows: createRedirectFlows(seals), cookie: createFlowCookie(issuer) }
  const address = `${issuer}${scope.prefix}`
  const endingAt = (path: string): Ending<Completion> => endingOf({ exchange, destinations, codes }, `${address}${path}`)
  const v1 = redirectLogin(parts, name => `${address}/login/${name}`, endingAt('/login/done'))
  const v2 = redirectLogin(parts, name => `${address}/.auth/login/${name}/callback`, endingAt('/.auth/login/done'))
  const route = browserRoute(scope, server.routeConfig)
  scope.get<Named>('/login/:provider', route, (request, reply) => {
    const visit = isAnswer(queryOf(request)) ? v1.comeBack : v1.begin
    return visit(nameOf(request), request, reply)
  })
  scope.get<Named>('/.auth/login/:provider', route, (request, reply) => v2.begin(nameOf(request), request, reply))
  scope.get<Named>('/.auth/login/:provider/callback', route, (request, reply) =>
    v2.comeBack(nameOf(request), request, reply)
  )
  scope.get<Named>('/.auth/login/:provider/token', route, request => redeemCode({ exchange, codes }, nameOf(request), request))
  for (const path of ['/login/done', '/.auth/login/done']) {
    scope.get(path, route, (_request, reply) => sendPage(emptyPage, reply))
  }
}

/** @param doneUrl where it ends when nothing else was asked for */
function endingOf (
  { exchange, destinations, codes }: { exchange: Exchange, destinations: Destinations, codes: OneTimeCodes },
  doneUrl: string
): Ending<Completion> {
  return {
    read: query => readCompletion(query, destinations),
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
async function redeemCode (
  { exchange, codes }: { exchange: Exchange, codes: OneTimeCodes },
  provider: string,
  request: FastifyRequest
): Promise<object> {
  exchange.provider(provider)
  const query = queryOf(request)
  const [code, verifier] = [once(query, 'authorization_code'), once(query, 'code_verifier')]
  return await codes.redeem(code, { provider, verifier }, proven => exchange.issue(proven, request))
}

function nameOf ({ params }: FastifyRequest<Named>): string {
  return params.provider.toLowerCase()
}

/** The first generation has one path for both visits. */
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
