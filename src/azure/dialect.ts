import type { FastifyInstance } from 'fastify'
import type { Exchange } from '../exchange/exchange.js'
import type { Nonces } from '../exchange/nonces.js'
import { createFlows } from '../redirect/flow.js'
import { createSeals } from '../redirect/seals.js'
import type { ServerKey } from '../tokens/keys.js'
import { acceptBodylessDelete } from './bodyless.js'
import { createFlowCookie } from './flow-cookie.js'
import { clientDirectedLogin } from './login.js'
import { createOneTimeCodes } from './one-time-codes.js'
import { serviceDirectedLogin } from './redirect-login.js'
import { noteErrorHandlers } from './refusals.js'
import type { Dialect } from './settings.js'

export { accountRoutes } from './account.js'
export { dialectCors } from './cors.js'
export { renderErrors, turnAway } from './refusals.js'

/** What the dialect asks of the application's scope. */
export function prepareApplication (app: FastifyInstance): void {
  noteErrorHandlers(app)
  acceptBodylessDelete(app)
}

export interface DialectParts {
  dialect: Dialect
  issuer: string
  keys: readonly ServerKey[]
  exchange: Exchange
  nonces: Nonces
  /** Names of the providers. */
  names: Iterable<string>
  /** `config` of the routes. */
  config: object
}

/** The logins of the dialect, in a scope that is fit for own routes. */
export async function registerDialect (scope: FastifyInstance, { names, keys, ...parts }: DialectParts): Promise<void> {
  const { issuer, exchange, config } = parts
  const seals = createSeals(keys.flatMap(({ signWith }) => signWith ?? []), issuer)
  await scope.register(async login => { clientDirectedLogin(login, exchange, names, config) })
  serviceDirectedLogin(scope, {
    ...parts,
    flows: createFlows(seals),
    codes: createOneTimeCodes(seals),
    cookie: createFlowCookie(issuer)
  })
}
