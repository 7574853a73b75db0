import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose'

export interface IssuerKey { kid: string, algorithm: string, privateKey: CryptoKey, jwk: JWK }

export async function issuerKey (
  kid: string,
  algorithm = 'RS256',
  options: { modulusLength?: number } = {}
): Promise<IssuerKey> {
  const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true, ...options })
  return { kid, algorithm, privateKey, jwk: { ...(await exportJWK(publicKey)), kid } }
}

/** A member that is undefined is left out. */
export function sign (
  key: IssuerKey,
  claims: Record<string, unknown>,
  header: Record<string, unknown> = {}
): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: key.algorithm, kid: key.kid, typ: 'JWT', ...header })
    .sign(key.privateKey)
}
