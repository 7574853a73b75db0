// Secrets of 32 bytes and more that stand in public documentation: anybody can sign with them.
const printed = new Set([
  'a-string-secret-at-least-256-bits-long', // jwt.io
  'a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long', // jwt.io
  'cc7e0d44fd473002f1c42167459001140ec6389b7353f8088f4d9a95f2f596f2', // jose
  'AyM1SysPpbyfDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow', // RFC 7515, A.1
  'hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg', // RFC 7520, 3.5
  'qwertyuiopasdfghjklzxcvbnm123456', // jwt.io, earlier
  // jasonwatmore.com
  'THIS IS USED TO SIGN AND VERIFY JWT TOKENS, REPLACE IT WITH YOUR OWN SECRET, IT CAN BE ANY STRING',
  'a secret with minimum length of 32 characters', // @fastify/session
  'averylogphrasebiggerthanthirtytwochars', // @fastify/secure-session
  'this-is-a-secret-of-at-least-32-bytes'
])

const placeholder = /^(?:change|replace)[-_ ]?(?:me|this)|^your[-_ ]|^<.*>$|^\s*$|^…+$/i

/** Whether a secret is one that documentation prints, or the text that should have been replaced by one. */
export function isWellKnownSecret (secret: string): boolean {
  return printed.has(secret.trim()) || placeholder.test(secret)
}
