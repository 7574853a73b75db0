import { errors } from '../errors.js'
import type { VerifyContext } from '../identity.js'
import { requestJson } from '../http/client.js'
import { isObject, type JsonObject } from '../strict-json.js'

/** The error code of OAuth that a provider's own form of refusal stands for; null where the answer is none. */
export type ReadError = (body: JsonObject) => string | null

interface FetchOptions { body: unknown, headers: Record<string, string> }

/**
 * The guarded client in the shape of `fetch`, for POSTs of a form: the same deadline, size, and no redirects.
 * Some say their errors with status 200; here all say them with 400 (RFC 6749, 5.2).
 */
export function guardedFetch (context: VerifyContext, readError: ReadError = readOAuthError) {
  return async (url: string, { body, headers }: FetchOptions): Promise<Response> => {
    const form = Object.fromEntries(body instanceof URLSearchParams ? body : [])
    const answer = await requestJson(url, { form, headers, context })
    if (!isObject(answer.body)) throw new errors.ProviderUnavailableError(`token endpoint: status ${answer.status}`)
    const error = readError(answer.body)
    if (error !== null) return Response.json({ error }, { status: 400 })
    if (answer.status !== 200) throw new errors.ProviderUnavailableError(`token endpoint: status ${answer.status}`)
    return Response.json(answer.body)
  }
}

function readOAuthError ({ error }: JsonObject): string | null {
  return typeof error === 'string' && error !== '' ? error : null
}
