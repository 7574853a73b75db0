import type { FastifyInstance, FastifyReply } from 'fastify'
import { errors, isOurs, TokenExchangeError } from '../errors.js'
import {
  CodeRequestRefused, isOfClient, readAnswerTo, readCodeRequest, type AnswerTo, type AskedCode
} from '../login/authorization-request.js'
import { keepsCookies } from '../login/clients.js'
import { flowCookies } from '../login/flow-cookies.js'
import { ProviderRefusal } from '../login/redirect-flow.js'
import { createSeals } from '../login/seals.js'
import { addressOf } from '../public-address.js'
import { isObject } from '../strict-json.js'
import type { Server } from '../server.js'
import { bodyLimit, membersOf } from './bodies.js'
import { browserRoute, queryOf, redirectLogin, type Landing } from './redirect.js'

interface Named { Params: { provider: string } }

/** `GET /authorize` and the callbacks of providers: this server as an authorization server (RFC 6749, 4.1). */
export function authorizeRoutes (scope: FastifyInstance, server: Server): void {
  const { options: { clients, issuer, providers, dpop }, material, routeConfig } = server
  const callbacks = addressOf(issuer, `${scope.prefix}/callback`)
  const landing = landingOf(server)
  const forms = postedForms(createSeals(material))
  const login = redirectLogin<AskedCode>(server, {
    callbackOf: name => `${callbacks}/${name}`,
    cookies: flowCookies(issuer, new URL(callbacks).pathname),
    landing,
    ridesInState: ({ redirectUri }) => !keepsCookies(redirectUri)
  })
  const offered = [...providers].filter(([, { authorizationUrl }]) => authorizationUrl !== undefined)
  const names = offered.map(([name]) => name)
  const route = browserRoute(scope, routeConfig)

  scope.get('/authorize', route, async (request, reply) => {
    const query = queryOf(request)
    const answerTo = readAnswerTo(query, clients)
    try {
      return await login.begin(readCodeRequest(query, answerTo, names, dpop !== null), request, reply)
    } catch (thrown) {
      if (!(thrown instanceof CodeRequestRefused)) throw thrown
      request.log.info({ err: thrown }, 'the authorization request was refused')
      return answerError(answerTo, issuer, thrown, reply)
    }
  })

  scope.get<Named>('/callback/:provider', route, async (request, reply) => {
    const { provider } = request.params
    return await login.comeBack(provider, await forms.open(provider, queryOf(request)), request, reply)
  })

  // A form that another site posts brings no cookie along (SameSite=Lax): sent once more as a GET, it does.
  const posting = new Set(offered.filter(([, { responseMode }]) => responseMode === 'form_post').map(([name]) => name))
  if (posting.size === 0) return
  scope.post<Named>('/callback/:provider', { ...route, bodyLimit }, async (request, reply) => {
    const { provider } = request.params
    if (!posting.has(provider)) throw new errors.RequestInvalidError('this provider does not answer with a form')
    const sealed = await forms.seal(provider, membersOf(request.body))
    return await reply.redirect(`${callbacks}/${provider}?answer=${sealed}`, 303)
  })
}

/** Seconds from the form to the GET that follows it. */
const formLifetime = 60

/** A provider's answer that came as a form, sealed: it is not to stand readable in an address. */
function postedForms ({ seal, open }: ReturnType<typeof createSeals>) {
  return {
    async seal (provider: string, members: Readonly<Record<string, unknown>>): Promise<string> {
      const answer = ['code', 'state', 'error', 'iss'].flatMap(name => {
        const value = members[name]
        return typeof value === 'string' ? [[name, value]] : []
      })
      return await seal('form-answer', { provider, answer: Object.fromEntries(answer) }, formLifetime)
    },

    /** The provider's parameters: those of the form where there was one, else those of the query. */
    async open (provider: string, query: URLSearchParams): Promise<URLSearchParams> {
      const sealed = query.get('answer')
      if (sealed === null) return query
      try {
        const { provider: sender, answer } = await open('form-answer', sealed)
        if (sender === provider && isObject(answer)) return parametersOf(answer)
      } catch { /* too old, or none of ours */ }
      throw new errors.RequestInvalidError('an answer of the provider that belongs to no login')
    }
  }
}

function parametersOf (members: Readonly<Record<string, unknown>>): URLSearchParams {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(members)) parameters.set(name, String(value))
  return parameters
}

function landingOf ({ options: { clients, issuer }, codes }: Server): Landing<AskedCode> {
  return {
    restore (value) {
      const asked = readAsked(value)
      // Registered at the start; this server may have been restarted with other clients since.
      if (!isOfClient(clients, asked)) throw new errors.GrantRejectedError('the client is no longer registered')
      return asked
    },

    async succeed (asked, vouched, _request, reply) {
      const code = await codes.make(asked, vouched)
      return answerClient(asked, { code }, issuer, reply)
    },

    fail (asked, thrown, reply) {
      if (asked !== null) return answerError(asked, issuer, thrown, reply)
      throw new errors.RequestInvalidError('an answer of the provider that belongs to no login of this browser')
    }
  }
}

function readAsked (value: unknown): AskedCode {
  const { clientId, redirectUri, state, challenge, jkt } = isObject(value) ? value : {}
  if (typeof clientId !== 'string' || typeof redirectUri !== 'string' || typeof challenge !== 'string') {
    throw new errors.GrantRejectedError('a login of another kind')
  }
  return { clientId, redirectUri, challenge, state: textOrNull(state), jkt: textOrNull(jkt) }
}

function textOrNull (value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

/** RFC 6749, 4.1.2 and 4.1.2.1, with `iss` of RFC 9207. RFC 9700, 4.12: a form must not be posted on, so 303. */
function answerClient (
  { redirectUri, state }: AnswerTo,
  answer: Readonly<Record<string, string>>,
  issuer: string,
  reply: FastifyReply
): FastifyReply {
  const parameters = new URLSearchParams({ ...answer, ...(state !== null && { state }), iss: issuer })
  // A blank as %20: some clients do not read `+` as one.
  const query = parameters.toString().replaceAll('+', '%20')
  return reply.redirect(`${redirectUri}${redirectUri.includes('?') ? '&' : '?'}${query}`, 303)
}

function answerError (answerTo: AnswerTo, issuer: string, thrown: unknown, reply: FastifyReply): FastifyReply {
  const error = wordOf(thrown)
  return answerClient(answerTo, { error, error_description: descriptionOf(thrown) }, issuer, reply)
}

// OpenID Connect Core, 3.1.2.6: what only the client can do something about.
const passedOn = ['login_required', 'consent_required', 'interaction_required']
// RFC 6749, 4.1.2.1: an outage of the provider's; and what is wrong with how this server asks.
const outages = ['temporarily_unavailable', 'server_error']
const ours = ['invalid_request', 'unauthorized_client', 'unsupported_response_type', 'invalid_scope', 'invalid_client']

function wordOf (thrown: unknown): string {
  if (thrown instanceof CodeRequestRefused) return thrown.word
  if (thrown instanceof ProviderRefusal) return wordForRefusal(thrown.word)
  if (!(thrown instanceof TokenExchangeError) || thrown.statusCode === 500) return 'server_error'
  return thrown.statusCode === 503 ? 'temporarily_unavailable' : 'access_denied'
}

function wordForRefusal (word: string): string {
  if (passedOn.includes(word)) return word
  if (outages.includes(word)) return 'temporarily_unavailable'
  return ours.includes(word) ? 'server_error' : 'access_denied'
}

/** One of our own sentences, in the characters of RFC 6749, A.8; no text of the provider's. */
function descriptionOf (thrown: unknown): string {
  if (thrown instanceof ProviderRefusal) return 'The login was refused'
  if (thrown instanceof CodeRequestRefused) return thrown.reason ?? thrown.message
  if (!(thrown instanceof Error) || !isOurs(thrown)) return 'The request cannot be answered'
  return thrown.message.replace(/[^ !#-[\]-~]/g, '')
}
