import { createHmac, generateKeyPairSync, randomBytes, randomUUID, sign, type KeyObject } from 'node:crypto'
import { calculateJwkThumbprint } from 'jose'
import type { SigningAlgorithm, SigningKey } from '../../src/index.js'
import { issuer } from '../server.js'

/** A key of the server in the hands of a test, which can sign with it what the server never would. */
export interface TestKey {
  algorithm: SigningAlgorithm
  kid: string
  option: SigningKey
  publicKey: KeyObject | null
  sign (input: string): Buffer
}

export const algorithms: readonly SigningAlgorithm[] = ['HS256', 'ES256', 'EdDSA', 'RS256']

export async function testKey (algorithm: SigningAlgorithm): Promise<TestKey> {
  if (algorithm === 'HS256') return secretKey(randomBytes(24).toString('hex'))
  const { privateKey, publicKey } = generate(algorithm)
  const kid = await calculateJwkThumbprint(publicKey.export({ format: 'jwk' }))
  const option: SigningKey = { algorithm, privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
  return { algorithm, kid, option, publicKey, sign: input => signWith(algorithm, privateKey, input) }
}

export function secretKey (secret: string, kid = 'hs'): TestKey {
  return {
    algorithm: 'HS256',
    kid,
    option: { algorithm: 'HS256', kid, secret },
    publicKey: null,
    sign: input => createHmac('sha256', secret).update(input).digest()
  }
}

export function generate (algorithm: 'ES256' | 'EdDSA' | 'RS256'): { privateKey: KeyObject, publicKey: KeyObject } {
  if (algorithm === 'ES256') return generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return algorithm === 'EdDSA' ? generateKeyPairSync('ed25519') : generateKeyPairSync('rsa', { modulusLength: 2048 })
}

function signWith (algorithm: SigningAlgorithm, key: KeyObject, input: string): Buffer {
  if (algorithm === 'ES256') return sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' })
  return sign(algorithm === 'EdDSA' ? null : 'sha256', Buffer.from(input), key)
}

export function publicOnly ({ option, publicKey }: TestKey): SigningKey {
  if (publicKey === null) return option
  return { algorithm: option.algorithm, publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString() }
}

export const encode = (value: unknown): string =>
  (Buffer.isBuffer(value) ? value : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))).toString(
    'base64url'
  )

/** The header that the server writes for this key. */
export const goodHeader = ({ algorithm, kid }: TestKey): object => ({ alg: algorithm, typ: 'at+jwt', kid })

/** Claims that the server would accept. */
export function goodClaims (): Record<string, unknown> {
  const now = Math.floor(Date.now() / 1000)
  return {
    iss: issuer,
    aud: issuer,
    sub: 'facebook:10158',
    client_id: issuer,
    iat: now,
    exp: now + 600,
    jti: randomUUID(),
    idp: 'facebook',
    level: 'authenticated',
    permissions: ['todo:read']
  }
}

/** A compact token, signed with the key; header and payload are JSON values, texts or bytes. */
export function forge (key: TestKey, payload: unknown = goodClaims(), header: unknown = goodHeader(key)): string {
  const input = `${encode(header)}.${encode(payload)}`
  return `${input}.${key.sign(input).toString('base64url')}`
}
