/** A JSON Web Token, taken apart; nothing is checked, which is the server's affair. */
export interface TakenApart {
  readonly parts: readonly string[]
  readonly header: Readonly<Record<string, unknown>>
  readonly claims: Readonly<Record<string, unknown>>
}

export function takeApart (token: string): TakenApart {
  const parts = token.split('.')
  const [header = '', claims = ''] = parts
  return { parts, header: decode(header), claims: decode(claims) }
}

function decode (part: string): Readonly<Record<string, unknown>> {
  const binary = atob(part.replaceAll('-', '+').replaceAll('_', '/'))
  return Object(JSON.parse(new TextDecoder().decode(Uint8Array.from(binary, byte => byte.charCodeAt(0)))))
}

/** What each claim says, for who does not know them by heart. */
export const meanings: Readonly<Record<string, string>> = {
  iss: 'who wrote it: this server',
  aud: 'for whom',
  sub: 'who you are here',
  client_id: 'the app, as the provider calls it',
  idp: 'who vouched',
  idp_sub: 'your id there',
  level: 'which levels of guards you pass',
  permissions: 'what you may do',
  sid: 'the session',
  jti: 'this token',
  iat: 'written at',
  exp: 'good until',
  auth_time: 'logged in at the provider at',
  acr: 'how surely',
  amr: 'by what'
}

/** A claim as it is read; times as times of day. */
export function legible (name: string, value: unknown): string {
  const isTime = typeof value === 'number' && /^(iat|exp|auth_time)$/.test(name)
  if (isTime) return new Date(value * 1000).toLocaleTimeString()
  return typeof value === 'string' ? value : JSON.stringify(value)
}
