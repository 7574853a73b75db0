import { base64url, bytesOf, random, sha256 } from './encoding.js'
import { proofKeys } from './own-key.js'
import type { ProofKeys } from './platform.js'

/** Proofs of possession (RFC 9449), each for one request. */
export interface Proofs {
  /** @param token the access token that goes along, if one does */
  make (method: string, href: string, token: string | undefined): Promise<string>
  /** Takes what an answer brings for later proofs. True where it refuses the proof, and another may be accepted. */
  learn (answer: Response): Promise<boolean>
}

/** Words of the refusals that this server answers, in a challenge or in a body. */
const refusal = /use_dpop_nonce|invalid_dpop_proof|AUTH_ERR_DPOP_INVALID/
/** Milliseconds: `Date` counts seconds, and answers take their time. */
const clockTolerance = 3000

export function createProofs (name: string): Proofs {
  let keys: Promise<ProofKeys> | undefined
  let nonce: string | undefined
  // Milliseconds that the server's clock is ahead of ours.
  let ahead = 0

  function keyPair (): Promise<ProofKeys> {
    keys ??= proofKeys(name).catch(error => {
      keys = undefined
      throw error
    })
    return keys
  }

  return {
    async make (method, href, token) {
      const { privateKey, publicKey } = await keyPair()
      const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', publicKey)
      const input = [
        { typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } },
        {
          jti: random(),
          htm: method,
          htu: href.replace(/[?#].*/s, ''),
          iat: Math.floor((Date.now() + ahead) / 1000),
          ath: token && await sha256(token),
          nonce
        }
      ].map(part => base64url(bytesOf(JSON.stringify(part)))).join('.')
      const signature = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, privateKey, bytesOf(input))
      return `${input}.${base64url(new Uint8Array(signature))}`
    },

    async learn (answer) {
      const { status, headers } = answer
      const [before, behind] = [nonce, ahead]
      nonce = headers.get('dpop-nonce') ?? nonce
      if (status !== 400 && status !== 401) return false
      const words = `${headers.get('www-authenticate')} ${await answer.clone().text()}`
      if (!refusal.test(words)) return false
      const difference = Date.parse(headers.get('date') ?? '') - Date.now()
      if (Math.abs(difference - ahead) > clockTolerance) ahead = difference
      return nonce !== before || ahead !== behind
    }
  }
}
