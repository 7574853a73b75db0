import { createHmac } from 'node:crypto'
import { codeOf, errors, rejected } from '../errors.js'
import type { VerifiedIdentity, VerifyContext } from '../identity.js'
import { requestJson } from '../http/client.js'
import { isObject, type JsonObject } from '../strict-json.js'
import { exactId, textOrNull } from './openid-claims.js'

/** One Facebook app, as the Graph API knows it. */
export interface GraphApp { graph: string, appId: string, appSecret: string }

/** What a header can carry (RFC 9110, 5.5), and no longer than a query can, when every byte is escaped. */
const form = /^[!-~]{1,4096}$/

/** What Facebook says at the moment, not of the token: "wait and retry" in its table of codes, and rate limits. */
const passingErrors: readonly unknown[] = [1, 2, 4, 17, 341, 613]

/**
 * Verifies a classic user access token.
 *
 * @see https://developers.facebook.com/docs/facebook-login/guides/access-tokens/debugging debug_token
 * @see https://developers.facebook.com/docs/facebook-login/security#appsecret appsecret_proof
 * @see https://developers.facebook.com/docs/graph-api/guides/error-handling
 */
export async function verifyClassicToken (
  app: GraphApp,
  token: string,
  context: VerifyContext
): Promise<VerifiedIdentity> {
  // A refusal of theirs, for too long a query or a broken header, would look like an outage.
  if (!form.test(token)) throw rejected('form', 'form')
  const debug = await debugToken(app, token, context)
  const subject = checkToken(app, debug)
  const me = await readMe(app, token, context)
  if (exactId(me.id) !== subject) throw rejected('subject', 'me.id')
  return {
    subject,
    clientId: app.appId,
    email: textOrNull(me.email),
    // Facebook has confirmed an address of the user at some time, and does not say which or when.
    emailVerified: 'unknown',
    name: textOrNull(me.name),
    picture: pictureOf(me),
    locale: null,
    claims: addTo(debug, me)
  }
}

/** The Graph's own form of error: of a token endpoint, all that is not passing is about the code. */
export function readGraphError ({ error }: JsonObject): string | null {
  if (!isObject(error)) return typeof error === 'string' ? error : null
  if (codeOf(refusal(error)) === errors.GrantRejectedError.code) return 'invalid_grant'
  return 'temporarily_unavailable'
}

async function debugToken (
  { graph, appId, appSecret }: GraphApp,
  token: string,
  context: VerifyContext
): Promise<JsonObject> {
  const url = `${graph}/debug_token?input_token=${encodeURIComponent(token)}`
  const { data } = await callGraph(url, `${appId}|${appSecret}`, context)
  if (!isObject(data)) throw new errors.ProviderUnavailableError('debug_token: no data')
  return data
}

function readMe ({ graph, appSecret }: GraphApp, token: string, context: VerifyContext): Promise<JsonObject> {
  const proof = createHmac('sha256', appSecret).update(token).digest('hex')
  return callGraph(`${graph}/me?fields=id,name,email,picture&appsecret_proof=${proof}`, token, context)
}

function checkToken ({ appId }: GraphApp, data: JsonObject): string {
  if (data.is_valid !== true) throw rejected('token', 'is_valid')
  const issuedTo = exactId(data.app_id)
  if (issuedTo !== appId) throw rejected('audience', 'app_id', { expected: appId, got: issuedTo })
  if (data.type !== 'USER') throw rejected('claims', 'type')
  // 0: a token that does not expire.
  const expiresAt = data.expires_at ?? 0
  if (typeof expiresAt !== 'number' || (expiresAt !== 0 && expiresAt <= Date.now() / 1000)) {
    throw rejected('time', 'expires_at')
  }
  const userId = exactId(data.user_id)
  if (userId === null || !/^\d{1,255}$/.test(userId)) throw rejected('subject', 'user_id')
  return userId
}

/** @param token in a header: URLs stand in traces and in the logs of proxies */
async function callGraph (url: string, token: string, context: VerifyContext): Promise<JsonObject> {
  const headers = { authorization: `Bearer ${token}` }
  const { status, body } = await requestJson(url, { headers, context })
  if (isObject(body) && isObject(body.error)) throw refusal(body.error)
  if (status !== 200 || !isObject(body)) throw new errors.ProviderUnavailableError(`status ${status}`)
  return body
}

function refusal ({ code, message, is_transient: isTransient }: JsonObject): Error {
  // The secret of a desktop app counts as public, so Facebook takes no app token of it. The user cannot mend that.
  if (typeof message === 'string' && /desktop app/i.test(message)) {
    return new errors.ProviderUnavailableError(
      'configuration: the Facebook app is configured as a desktop app, its app token is refused'
    )
  }
  if (code === 101) {
    return new errors.ProviderUnavailableError(
      'configuration: error 101, Facebook does not accept this app id and secret'
    )
  }
  // A number, and nothing else that the log would repeat.
  const reason = `error ${typeof code === 'number' ? code : 'without a code'}`
  const isPassing = isTransient === true || passingErrors.includes(code)
  return isPassing ? new errors.ProviderUnavailableError(reason) : rejected('token', reason)
}

/**
 * What both answers say; where they differ, `/me`. Written into `debug`, which nobody else holds: to spread both took
 * 1 % of a login. But assigning a member `__proto__` would change what the claims inherit.
 */
function addTo (debug: JsonObject, me: JsonObject): JsonObject {
  return Object.hasOwn(me, '__proto__') ? { ...debug, ...me } : Object.assign(debug, me)
}

function pictureOf ({ picture }: JsonObject): string | null {
  return isObject(picture) && isObject(picture.data) ? textOrNull(picture.data.url) : null
}
