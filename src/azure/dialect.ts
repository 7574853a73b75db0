import type { FastifyInstance } from 'fastify'
import type { Exchange } from '../exchange/exchange.js'
import { acceptBodylessDelete } from './bodyless.js'
import { clientDirectedLogin } from './login.js'
import { noteErrorHandlers } from './refusals.js'

export { dialectCors } from './cors.js'
export type { Dialect } from './settings.js'
export { renderErrors, turnAway } from './refusals.js'

/** What the dialect asks of the application's scope. */
export function prepareApplication (app: FastifyInstance): void {
  noteErrorHandlers(app)
  acceptBodylessDelete(app)
}

export interface DialectParts {
  exchange: Exchange
  /** Of the providers. */
  names: Iterable<string>
  /** `config` of the routes. */
  config: object
}

/** The routes of the dialect, in a scope that is fit for own routes. */
export async function registerDialect (scope: FastifyInstance, { exchange, names, config }: DialectParts): Promise<void> {
  await scope.register(async login => { clientDirectedLogin(login, exchange, names, config) })
}
