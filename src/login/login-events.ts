import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import { codeOf, errors, refusalOf } from '../errors.js'
import type { EventFacts, Events } from '../events.js'
import type { Identity } from '../identity.js'
import type { TokenAnswer } from '../tokens/issuer.js'

/** A login that has succeeded: its answer, and what an event may say of it. */
export interface LoggedIn {
  readonly answer: TokenAnswer
  readonly facts: Omit<EventFacts & { type: 'login.succeeded' }, 'type'>
}

/** Says what came of logins: an event each, and a line in the log for one that was refused. */
export interface LoginEvents {
  /** Runs a login, and says what came of it. */
  observe (provider: string, request: FastifyRequest, login: () => Promise<LoggedIn>): Promise<TokenAnswer>
  /** Notes whom a login was about that will be told of by what was thrown; answers that. */
  about (identity: Identity, thrown: unknown): unknown
  /**
   * Says why there is none, once for each error; answers what was thrown.
   * @param startedAt by `performance.now()`
   * @param log of the request, unless its route is quiet
   */
  failed (
    provider: string,
    thrown: unknown,
    request: FastifyRequest,
    startedAt: number,
    log?: FastifyBaseLogger
  ): unknown
}

/** Somebody said no: a check, the provider, the application. */
const refusals: ReadonlyArray<string | undefined> = [
  errors.GrantRejectedError.code,
  errors.AccessDeniedError.code,
  errors.LinkRequiredError.code
]
const outages: ReadonlyArray<string | undefined> = [
  errors.ProviderUnavailableError.code,
  errors.LookupFailedError.code,
  errors.OverloadedError.code,
  errors.StoreUnavailableError.code
]

export function createLoginEvents (events: Events): LoginEvents {
  const told = new WeakSet<object>()
  const subjects = new WeakMap<object, string>()

  async function observe (
    provider: string,
    request: FastifyRequest,
    login: () => Promise<LoggedIn>
  ): Promise<TokenAnswer> {
    const startedAt = performance.now()
    try {
      const { answer, facts } = await login()
      events.publish({ type: 'login.succeeded', ...facts, milliseconds: since(startedAt) }, request)
      return answer
    } catch (thrown) {
      throw failed(provider, thrown, request, startedAt)
    }
  }

  function about ({ subject }: Identity, thrown: unknown): unknown {
    if (typeof thrown === 'object' && thrown !== null) subjects.set(thrown, subject)
    return thrown
  }

  function failed (
    provider: string,
    thrown: unknown,
    request: FastifyRequest,
    startedAt: number,
    log: FastifyBaseLogger = request.log
  ): unknown {
    if (typeof thrown !== 'object' || thrown === null || told.has(thrown)) return thrown
    told.add(thrown)
    const code = codeOf(thrown) ?? ''
    const subject = subjects.get(thrown)
    const who = subject === undefined ? { provider } : { provider, subject }
    const common = { ...who, code, milliseconds: since(startedAt) }
    if (outages.includes(code)) events.publish({ type: 'login.failed', ...common }, request)
    if (!refusals.includes(code)) return thrown
    const { check, ...compared } = refusalOf(thrown)
    const by = code === errors.GrantRejectedError.code ? { check } : {}
    log.info({ provider, code, ...by, ...compared }, 'the login was refused')
    events.publish({ type: 'login.refused', ...common, ...by }, request)
    return thrown
  }

  return { observe, about, failed }
}

function since (startedAt: number): number {
  return performance.now() - startedAt
}
