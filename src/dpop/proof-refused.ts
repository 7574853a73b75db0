import { errors } from '../errors.js'

/** What a client is told of a proof that is refused (RFC 9449, 7.1 and 8). */
export type ProofError = 'invalid_dpop_proof' | 'use_dpop_nonce' | 'invalid_token'

/** A proof that does not hold, or that is missing. */
export class ProofRefused extends errors.DpopInvalidError {
  readonly word: ProofError

  constructor (reason: string, word: ProofError = 'invalid_dpop_proof') {
    super(reason)
    this.word = word
  }
}

/** @param check that failed, for the log: its first word, and what helps to mend it */
export function refused (check: string): ProofRefused {
  return new ProofRefused(check)
}
