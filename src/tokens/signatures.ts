import { createHmac, createPrivateKey, createSecretKey, sign, type SignKeyObjectInput } from 'node:crypto'
import fastifyJwt, { type FastifyJWTOptions, type JWT } from '@fastify/jwt'
import type { FastifyInstance } from 'fastify'
import type { ServerKey, SigningAlgorithm } from './keys.js'

/** Signs claims, and checks signatures, with one key. */
export interface Signatures {
  readonly key: ServerKey
  /** The compact token of these claims; null for a key that only verifies. */
  readonly sign: Signer | null
  /** The payload of a token whose signature is good; throws otherwise, anything. */
  verify (token: string): unknown
}

type Signer = (claims: Record<string, unknown>) => string

/**
 * One registration of @fastify/jwt for each key, in a scope of its own and under a namespace of its own:
 * only so does it live beside a registration of the application's, in either order. The namespaces are an object of
 * that scope, whatever the application calls `jwt`: nothing of it is written to, and nothing but this package can sign.
 */
export async function registerSignatures (
  app: FastifyInstance,
  keys: readonly ServerKey[]
): Promise<readonly Signatures[]> {
  const registered: Signatures[] = []
  await app.register(async scope => {
    const namespaces: Record<string, JWT> = {}
    Object.defineProperty(scope, 'jwt', { value: namespaces })
    for (const [index, key] of keys.entries()) {
      const namespace = `tokenExchange${index}`
      await scope.register(fastifyJwt, { ...optionsOf(key), namespace })
      registered.push(signaturesOf(key, namespaces[namespace] ?? raise(namespace)))
    }
  })
  return registered
}

function signaturesOf (key: ServerKey, { verify }: JWT): Signatures {
  return { key, sign: key.signWith === null ? null : signer(key, key.signWith), verify: token => verify(token) }
}

/**
 * RFC 7515, 5.1. Not by the library: it writes the header anew for each token, which took as long as the signature.
 * What is written here it verifies.
 */
function signer ({ algorithm, start }: ServerKey, signWith: string): Signer {
  const signature = signatures[algorithm](signWith)
  return claims => {
    const signed = start + Buffer.from(JSON.stringify(claims)).toString('base64url')
    return `${signed}.${signature(signed)}`
  }
}

/** RFC 7518, 3.2 to 3.4 and RFC 8037, 3.1, of ASCII and in base64url. */
const signatures: Readonly<Record<SigningAlgorithm, (signWith: string) => (signed: string) => string>> = {
  HS256 (secret) {
    const key = createSecretKey(secret, 'utf8')
    return signed => createHmac('sha256', key).update(signed).digest('base64url')
  },
  ES256: pem => signatureOf('sha256', { key: createPrivateKey(pem), dsaEncoding: 'ieee-p1363' }),
  RS256: pem => signatureOf('sha256', { key: createPrivateKey(pem) }),
  EdDSA: pem => signatureOf(null, { key: createPrivateKey(pem) })
}

function signatureOf (hash: string | null, key: SignKeyObjectInput): (signed: string) => string {
  return signed => sign(hash, Buffer.from(signed), key).toString('base64url')
}

function raise (namespace: string): never {
  throw new Error(`@fastify/jwt did not register ${namespace}`)
}

// Claims and header are checked by those who know them all, to the byte; here the library checks the signature.
function optionsOf ({ algorithm, verifyWith }: ServerKey): FastifyJWTOptions {
  return {
    secret: algorithm === 'HS256' ? verifyWith : { public: verifyWith },
    verify: { algorithms: [algorithm], cache: false, ignoreExpiration: true, ignoreNotBefore: true }
  }
}
