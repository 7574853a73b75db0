import type { FastifyInstance } from 'fastify'

export interface Visit {
  status: number
  location: string
  body: string
  headers: Record<string, unknown>
  cookies: string[]
}

/** A browser of one user: it keeps one cookie, and follows no redirect by itself. */
export function openBrowser (app: FastifyInstance) {
  let cookie = ''

  async function visit (url: string, headers: Record<string, string> = {}): Promise<Visit> {
    const path = url.startsWith('/') ? url : url.slice(new URL(url).origin.length)
    const answer = await app.inject({ url: path, headers: { ...(cookie !== '' && { cookie }), ...headers } })
    const cookies = [answer.headers['set-cookie'] ?? []].flat()
    for (const set of cookies) cookie = /Max-Age=0/.test(set) ? '' : set.split(';')[0] ?? ''
    return {
      status: answer.statusCode,
      location: answer.headers.location ?? '',
      body: answer.body,
      headers: answer.headers,
      cookies
    }
  }

  /** To the provider's page, and where that sends the browser back to. */
  async function authorize (location: string): Promise<string> {
    const answer = await fetch(location, { redirect: 'manual' })
    return answer.headers.get('location') ?? `status ${answer.status}`
  }

  /** From the start of a login to its end. */
  async function login (start: string): Promise<Visit> {
    const begun = await visit(start)
    return begun.status === 302 && begun.cookies.some(set => !/Max-Age=0/.test(set))
      ? await visit(await authorize(begun.location))
      : begun
  }

  return { visit, authorize, login, get cookie () { return cookie }, set cookie (value: string) { cookie = value } }
}

/** What stands behind `#name=` in a URL, decoded as clients do it. */
export function fragment (url: string, name: string): string {
  const start = url.indexOf(`#${name}=`)
  return start === -1 ? '' : decodeURIComponent(url.slice(start + name.length + 2))
}
