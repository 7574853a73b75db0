import type { KeyMaterial } from '../key-material.js'
import type { ResolvedDpop } from './dpop-options.js'
import { decodeUtf8, parseMembers, type JsonObject } from '../strict-json.js'
import { bytesOf, createProofKeys } from './proof-keys.js'
import { createProofNonces, type ProofNonces } from './proof-nonces.js'
import { ProofRefused, refused } from './proof-refused.js'
import { createReplayMemory, proofName, type ReplayMemory } from './replay-memory.js'
import { createTargetCheck, withoutQuery } from './target-uri.js'

/** A request, as its proof has to describe it. */
export interface ProofTarget {
  readonly method: string
  /** As it stands in the request line. */
  readonly originalUrl: string
}

/** What an access token is bound to: the thumbprint of a key; and what its proofs say of it (RFC 9449, 4.2). */
export interface Binding { readonly jkt: string, readonly ath: string }

/** Verifies proofs of possession, for one server. Synchronous. */
export interface Proofs {
  /**
   * The thumbprint of the key that a request proves which begins or goes on with a login.
   *
   * @throws ProofRefused, errors.OverloadedError
   */
  keyOf (proof: string, target: ProofTarget): string
  /**
   * The proof of a request with a bound access token.
   *
   * @throws ProofRefused
   * @throws errors.OverloadedError when it cannot be told whether a proof has come before
   */
  check (proof: string, target: ProofTarget, binding: Binding): void
  /** Null where no nonces are asked for. */
  readonly nonces: ProofNonces | null
}

export interface ProofParts {
  readonly options: ResolvedDpop
  readonly issuer: string
  readonly material: KeyMaterial
  readonly replays?: ReplayMemory
}

const longestProof = 4096
const longestJti = 128
/** Seconds that a client's clock may be ahead. */
const tolerance = 5

/** RFC 9449, 4.3: the twelve checks, cheap ones first. */
export function createProofs ({ options, issuer, material, replays }: ProofParts): Proofs {
  const { maxAge, nonce: whoAsks, algorithms } = options
  const keys = createProofKeys(algorithms)
  const isTarget = createTargetCheck(issuer)
  // One is good until the second after its last has begun.
  const seen = replays ?? createReplayMemory((maxAge + tolerance + 1) * 1000)
  const nonces = whoAsks === null ? null : createProofNonces(material)

  const ofRequest = new WeakMap<ProofTarget, string>()

  function keyOf (proof: string, target: ProofTarget): string {
    return verified(proof, target, null, nonces)
  }

  function check (proof: string, target: ProofTarget, binding: Binding): void {
    verified(proof, target, binding, whoAsks === 'always' ? nonces : null)
  }

  function verified (
    proof: string,
    target: ProofTarget,
    binding: Binding | null,
    asked: ProofNonces | null
  ): string {
    const { header, payload, signature, signed } = segmentsOf(proof)
    const key = keys.read(header)
    if (binding !== null && key.jkt !== binding.jkt) throw new ProofRefused('the key', 'invalid_token')
    const name = proofName(key.jkt, checkClaims(payload, target, binding, asked))
    const isKnown = seen.has(name)
    // A login with an access token at hand: one proof is for both.
    if (isKnown && ofRequest.get(target) !== proof) throw refused('jti: it was used before')
    if (!key.signed(Buffer.from(signed, 'latin1'), bytesOf(signature))) throw refused('signature')
    if (!isKnown) seen.add(name)
    ofRequest.set(target, proof)
    keys.remember(header, key)
    return key.jkt
  }

  /** @returns its `jti` */
  function checkClaims (
    payload: string,
    { method, originalUrl }: ProofTarget,
    binding: Binding | null,
    asked: ProofNonces | null
  ): string {
    const { htm, htu, iat, jti, ath, nonce } = claimsIn(bytesOf(payload))
    if (htm !== method) throw refused('htm')
    if (typeof htu !== 'string' || !isTarget(htu, originalUrl)) {
      throw refused(`htu: not ${withoutQuery(originalUrl)} of ${issuer}`)
    }
    if (typeof iat !== 'number') throw refused('iat')
    checkAge(Math.floor(Date.now() / 1000) - iat)
    if (typeof jti !== 'string' || jti === '' || jti.length > longestJti) throw refused('jti')
    if (binding !== null && ath !== binding.ath) throw refused('ath')
    if (asked !== null && !(typeof nonce === 'string' && asked.ageOf(nonce) !== null)) {
      throw new ProofRefused('nonce', 'use_dpop_nonce')
    }
    return jti
  }

  function checkAge (seconds: number): void {
    const isInTime = seconds <= maxAge && seconds >= -tolerance
    if (!isInTime) throw refused(`iat: ${seconds} s old`)
  }

  return { keyOf, check, nonces }
}

/** Nothing is read of them but the outermost members. */
function claimsIn (bytes: Buffer): JsonObject {
  try {
    return parseMembers(decodeUtf8(bytes))
  } catch {
    throw refused('form')
  }
}

interface Segments { header: string, payload: string, signature: string, signed: string }

/** RFC 7515, 7.1. What is longer, or of another form, is read no further. */
function segmentsOf (proof: string): Segments {
  const first = proof.indexOf('.')
  const second = proof.indexOf('.', first + 1)
  if (proof.length > longestProof || first === -1 || second === -1) throw refused('form')
  return {
    header: proof.slice(0, first),
    payload: proof.slice(first + 1, second),
    signature: proof.slice(second + 1),
    signed: proof.slice(0, second)
  }
}
