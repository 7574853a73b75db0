import fastifyCors, { type FastifyCorsOptions } from '@fastify/cors'
import type { FastifyInstance } from 'fastify'
import { errors } from '../errors.js'
import { list, open, origin, type Reader } from '../options/values.js'
import type { ApplicationVerifiers } from './attestations.js'
import type { CredentialOptions } from './credentials.js'

/** Browsers of these origins may call the application. */
export interface CorsOptions {
  /** Exact origins such as `https://www.example.com`; neither `*` nor `null`. */
  origins: readonly string[]
}

export const readCors: Reader<CorsOptions> = (value, path) => ({
  origins: open(value, path, ['origins']).read('origins', list(origin))
})

/** What browsers are told, in the words of @fastify/cors. */
export type CorsPolicy = FastifyCorsOptions

/** Headers that browsers may send, and may see. */
export interface CorsHeaders { readonly allowed: readonly string[], readonly exposed: readonly string[] }

type CorsParts = Pick<CredentialOptions, 'headers' | 'dpop'> & { readonly applications: ApplicationVerifiers }

/** The master key's header is not allowed: a key of operations has no business in a browser. */
export function corsHeaders ({ headers, dpop, applications }: CorsParts): CorsHeaders {
  const attestations = Array.from(applications.values(), ({ header }) => header)
  return {
    allowed: [
      'Authorization', 'Content-Type', headers.token, headers.applicationKey, ...attestations,
      ...(dpop === null ? [] : ['DPoP'])
    ],
    exposed: [
      'WWW-Authenticate', 'Retry-After', 'ETag', 'Link', 'Location', ...(dpop === null ? [] : ['DPoP-Nonce'])
    ]
  }
}

export function corsPolicy ({ origins }: CorsOptions, { allowed, exposed }: CorsHeaders): CorsPolicy {
  return {
    origin: [...origins],
    methods: ['GET', 'HEAD', 'PUT', 'PATCH', 'POST', 'DELETE'],
    allowedHeaders: [...allowed],
    exposedHeaders: [...exposed],
    strictPreflight: false
  }
}

/**
 * Registers @fastify/cors for the application, so that browser clients can read answers and refusals.
 *
 * @throws errors.OptionInvalidError if the application has registered it already
 */
export async function registerCors (app: FastifyInstance, policy: CorsPolicy): Promise<void> {
  if (app.hasPlugin('@fastify/cors')) {
    throw new errors.OptionInvalidError(
      'cors: the application has registered @fastify/cors already; use one of the two'
    )
  }
  await app.register(fastifyCors, policy)
}
