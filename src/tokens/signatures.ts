import fastifyJwt, { type FastifyJWTOptions, type JWT } from '@fastify/jwt'
import type { FastifyInstance } from 'fastify'
import type { ServerKey } from './keys.js'

/** Signs claims, and checks signatures, with one key. */
export interface Signatures {
  readonly key: ServerKey
  /** The compact token. */
  sign (claims: Record<string, unknown>): string
  /** The payload of a token whose signature is good; throws otherwise, anything. */
  verify (token: string): unknown
}

/**
 * One registration of @fastify/jwt for each key, in a scope of its own and under a namespace of its own:
 * only so does it live beside a registration of the application's, in either order. The namespaces are an object of
 * that scope, whatever the application calls `jwt`: nothing of it is written to, and nothing but this package can sign.
 */
export async function registerSignatures (
  app: FastifyInstance,
  keys: readonly ServerKey[]
): Promise<readonly Signatures[]> {
  const signatures: Signatures[] = []
  await app.register(async scope => {
    const namespaces: Record<string, JWT> = {}
    Object.defineProperty(scope, 'jwt', { value: namespaces })
    for (const [index, key] of keys.entries()) {
      const namespace = `tokenExchange${index}`
      await scope.register(fastifyJwt, { ...optionsOf(key), namespace })
      signatures.push(signaturesOf(key, namespaces[namespace] ?? raise(namespace)))
    }
  })
  return signatures
}

function signaturesOf (key: ServerKey, { sign, verify }: JWT): Signatures {
  return { key, sign: claims => sign(claims), verify: token => verify(token) }
}

function raise (namespace: string): never {
  throw new Error(`@fastify/jwt did not register ${namespace}`)
}

// Claims and header are checked by those who know them all, to the byte; here the library checks the signature.
function optionsOf ({ algorithm, kid, signWith, verifyWith }: ServerKey): FastifyJWTOptions {
  const pair = signWith === null ? { public: verifyWith } : { private: signWith, public: verifyWith }
  return {
    secret: algorithm === 'HS256' ? verifyWith : pair,
    sign: { algorithm, kid, header: { alg: algorithm, typ: 'at+jwt' } },
    verify: { algorithms: [algorithm], cache: false, ignoreExpiration: true, ignoreNotBefore: true }
  }
}
