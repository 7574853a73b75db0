import {
  createHash, createHmac, generateKeyPairSync, randomUUID, sign, type JsonWebKey, type KeyObject
} from 'node:crypto'
import { calculateJwkThumbprint } from 'jose'
import { encode } from '../tokens/forge.js'
import { issuer } from '../server.js'

export type Algorithm = 'ES256' | 'EdDSA' | 'Ed25519' | 'RS256'

/** A client's key in the hands of a test, which can prove with it what no client would. */
export interface Prover {
  readonly algorithm: Algorithm
  readonly jwk: JsonWebKey
  readonly privateKey: KeyObject
  readonly jkt: string
}

export async function prover (algorithm: Algorithm = 'ES256', bits = 2048): Promise<Prover> {
  const { privateKey, publicKey } = generate(algorithm, bits)
  const jwk = publicKey.export({ format: 'jwk' })
  return { algorithm, jwk, privateKey, jkt: await calculateJwkThumbprint(jwk) }
}

function generate (algorithm: Algorithm, bits: number): { privateKey: KeyObject, publicKey: KeyObject } {
  if (algorithm === 'ES256') return generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return algorithm === 'RS256' ? generateKeyPairSync('rsa', { modulusLength: bits }) : generateKeyPairSync('ed25519')
}

/** What differs from a good proof; what is undefined is left out. */
export interface ProofChanges {
  readonly header?: object
  readonly claims?: object
  /** Signs in place of the key. */
  readonly sign?: (input: string) => Buffer
}

const tokenUri = `${issuer}/token`

/** A proof that is good as it stands for `POST /token`. */
export function proofBy (key: Prover, { header, claims, sign = signer(key) }: ProofChanges = {}): string {
  const good = { htm: 'POST', htu: tokenUri, iat: Math.floor(Date.now() / 1000), jti: randomUUID() }
  const typed = { typ: 'dpop+jwt', alg: key.algorithm, jwk: key.jwk, ...header }
  const input = `${encode(typed)}.${encode({ ...good, ...claims })}`
  return `${input}.${sign(input).toString('base64url')}`
}

/** A proof for a request with an access token. */
export function proofFor (key: Prover, token: string, path = '/', changes: ProofChanges = {}): string {
  const claims = { htm: 'GET', htu: `${issuer}${path}`, ath: athOf(token), ...changes.claims }
  return proofBy(key, { ...changes, claims })
}

export function athOf (token: string): string {
  return createHash('sha256').update(token).digest('base64url')
}

export function signer ({ algorithm, privateKey }: Prover): (input: string) => Buffer {
  const isEdwards = algorithm === 'EdDSA' || algorithm === 'Ed25519'
  return input =>
    sign(isEdwards ? null : 'sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
}

/** The public key taken for a secret (RFC 8725, 2.1). */
export function confused ({ jwk }: Prover): (input: string) => Buffer {
  return input => createHmac('sha256', JSON.stringify(jwk)).update(input).digest()
}
