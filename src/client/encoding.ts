/** Base64url without padding (RFC 7515, 2). */
export function base64url (bytes: Uint8Array): string {
  const text = btoa(String.fromCharCode(...bytes))
  return text.replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '')
}

/** 256 bits that nobody can guess. */
export function random (): string {
  return base64url(crypto.getRandomValues(new Uint8Array(32)))
}

export async function sha256 (text: string): Promise<string> {
  return base64url(new Uint8Array(await crypto.subtle.digest('SHA-256', bytesOf(text))))
}

export function bytesOf (text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text)
}
