import type { FastifyRequest } from 'fastify'
import { ProofRefused, type ProofError } from '../dpop/proof-refused.js'
import type { Proofs } from '../dpop/proofs.js'
import type { errors } from '../errors.js'
import { TokenExchangeError } from '../errors.js'

/** What the keys of clients have to do with logins and refresh tokens (RFC 9449, 5). */
export interface Possession {
  /**
   * The key that a request proves to hold, by its thumbprint; null without a proof, or where none are looked for.
   * @throws PossessionRefused, errors.OverloadedError
   */
  keyOf (request: FastifyRequest): string | null
  /** That of a login, which may have to have one. @throws as `keyOf` */
  keyOfLogin (request: FastifyRequest): string | null
}

/** A proof that is refused where tokens are handed out: nobody is asked to log in for it, so it is 400. */
export class PossessionRefused extends TokenExchangeError<typeof errors.DpopInvalidError.code, 400> {
  readonly word: ProofError

  constructor ({ code, message, reason, word }: ProofRefused) {
    super(code, 400, message, reason)
    this.word = word
  }
}

/** @param proofs null where `dpop` is off: a request's header is then nobody's business */
export function createPossession (proofs: Proofs | null, isRequired: boolean): Possession {
  if (proofs === null) return { keyOf: () => null, keyOfLogin: () => null }

  function keyOf (request: FastifyRequest): string | null {
    return reported(() => {
      const proof = proofIn(request.raw.rawHeaders)
      return proof === null || proofs === null ? null : proofs.keyOf(proof, request)
    })
  }

  function keyOfLogin (request: FastifyRequest): string | null {
    const key = keyOf(request)
    if (key === null && isRequired) throw new PossessionRefused(new ProofRefused('there is none'))
    return key
  }

  return { keyOf, keyOfLogin }
}

function reported<Found> (find: () => Found): Found {
  try {
    return find()
  } catch (thrown) {
    throw thrown instanceof ProofRefused ? new PossessionRefused(thrown) : thrown
  }
}

/** RFC 9449, 4.3, 1: at most one. Node joins two of them; only the raw list tells. */
function proofIn (rawHeaders: readonly string[]): string | null {
  const isProof = (at: number): boolean => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === 'dpop'
  const [proof = null, another] = rawHeaders.filter((_, at) => isProof(at))
  if (another !== undefined) throw new ProofRefused('more than one')
  return proof
}
