import { integer, list, oneOf, open, type Reader } from '../options/values.js'
import { isObject } from '../strict-json.js'

/** What proofs may be signed with (RFC 9449, 4.2; RFC 9864, 2.2 names EdDSA with the curve anew). */
export type ProofAlgorithm = 'ES256' | 'EdDSA' | 'Ed25519' | 'RS256'

/** What is bound to the key of a client: its refresh token, or its access tokens too. */
export type DpopMode = 'refresh' | 'all'

/** Proof of possession (RFC 9449). */
export interface DpopOptions {
  /** `refresh`: access tokens stay Bearer, and cost nothing. `all`: each request with one needs a proof. */
  mode: DpopMode
  /** Refuses logins without a proof. @default false: a login without one is as before */
  required?: boolean
  /** @default ['ES256', 'EdDSA', 'Ed25519'] */
  algorithms?: readonly ProofAlgorithm[]
  /** Seconds that a proof is good for, 1 to 3600. @default 60 */
  maxAge?: number
  /** Asks for a nonce of this server in proofs: at logins and `/token`, or at guards too. @default none */
  nonce?: 'token' | 'always'
}

/** Complete and read-only. */
export interface ResolvedDpop {
  readonly mode: DpopMode
  readonly required: boolean
  readonly algorithms: readonly ProofAlgorithm[]
  /** Seconds. */
  readonly maxAge: number
  readonly nonce: 'token' | 'always' | null
}

const modes = oneOf('refresh', 'all')
const algorithm = oneOf('ES256', 'EdDSA', 'Ed25519', 'RS256')

/** Reads the option `dpop`: a mode, or an object that has one. @throws errors.OptionInvalidError */
export const readDpop: Reader<ResolvedDpop> = (value, path) => {
  const given = open(isObject(value) ? value : { mode: modes(value, path) }, path, [
    'mode', 'required', 'algorithms', 'maxAge', 'nonce'
  ])
  return Object.freeze({
    mode: given.read('mode', modes),
    required: given.read('required', oneOf(true, false), false),
    algorithms: given.read<readonly ProofAlgorithm[]>('algorithms', list(algorithm), ['ES256', 'EdDSA', 'Ed25519']),
    maxAge: given.read('maxAge', integer(1, 3600), 60),
    nonce: given.read<'token' | 'always' | null>('nonce', oneOf('token', 'always'), null)
  })
}
