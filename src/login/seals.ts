import { EncryptJWT, jwtDecrypt } from 'jose'
import { errors } from '../errors.js'
import type { KeyMaterial } from '../key-material.js'
import { isObject } from '../strict-json.js'

/** What is sealed for one use opens for no other. */
export type Use = 'login-flow' | 'login-code' | 'kept-login' | 'form-answer'

/** Values that travel through a browser, which can neither read nor change them: servers with the same keys can. */
export interface Seals {
  /** @param seconds that it is good for */
  seal (use: Use, content: Readonly<Record<string, unknown>>, seconds: number): Promise<string>
  /** @throws errors.GrantRejectedError for what this server's keys did not seal for this use, or what is too old */
  open (use: Use, sealed: string): Promise<Readonly<Record<string, unknown>>>
}

export function createSeals (material: KeyMaterial): Seals {
  const keys = material.keysFor('seal').map(key => new Uint8Array(key))

  async function seal (use: Use, content: Readonly<Record<string, unknown>>, seconds: number): Promise<string> {
    const [key] = keys
    if (key === undefined) throw new errors.OptionInvalidError('keys holds none that can sign')
    const expiresAt = Math.floor(Date.now() / 1000) + seconds
    return await new EncryptJWT({ content })
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
      .setAudience(use)
      .setExpirationTime(expiresAt)
      .encrypt(key)
  }

  async function open (use: Use, sealed: string): Promise<Readonly<Record<string, unknown>>> {
    for (const key of keys) {
      const content = await openWith(key, use, sealed)
      if (content !== null) return content
    }
    throw new errors.GrantRejectedError(`no seal of this server for ${use}, or one that has expired`)
  }

  async function openWith (
    key: Uint8Array,
    use: Use,
    sealed: string
  ): Promise<Readonly<Record<string, unknown>> | null> {
    try {
      const rules = {
        audience: use,
        requiredClaims: ['exp'],
        keyManagementAlgorithms: ['dir'],
        contentEncryptionAlgorithms: ['A256GCM']
      }
      const { payload } = await jwtDecrypt(sealed, key, rules)
      return isObject(payload.content) ? payload.content : null
    } catch {
      return null
    }
  }

  return { seal, open }
}
