import { dictionary, list, open, refused, type Reader } from '../options/values.js'

/** A public OAuth client of this server (RFC 6749, 2.1): a web page, a desktop program, an app. */
export interface ClientOptions {
  /**
   * Where its browser may be sent back to, compared as exact strings: https, a private-use scheme with a dot
   * (`com.example.app:/callback`), or `http://127.0.0.1/…` and `http://[::1]/…` without a port, which match any
   * port.
   */
  redirectUris: readonly string[]
}

/** The redirect URIs of each client, by its id. */
export type Clients = ReadonlyMap<string, readonly string[]>

/** Reads the option `clients`. @throws errors.OptionInvalidError */
export const readClients: Reader<Clients> = dictionary((value, path, id) => {
  if (!/^[A-Za-z0-9._~-]+$/.test(id)) throw refused('clients', 'must have ids of A-Z a-z 0-9 . _ ~ - only')
  return open(value, path, ['redirectUris']).read('redirectUris', list(redirectUri))
})

// In the browser's view the host of a client, and of nobody else.
const redirectUri: Reader<string> = (value, path) => {
  if (typeof value !== 'string' || !/^[!-~]+$/.test(value) || !URL.canParse(value)) {
    throw refused(path, "must be an absolute URI such as 'https://www.example.com/callback'")
  }
  if (value.includes('#')) throw refused(path, 'must not have a fragment (RFC 6749, 3.1.2)')
  if (/[*\\]/.test(value)) throw refused(path, 'must not have * or \\: redirect URIs are compared as exact strings')
  const { protocol, username, password, searchParams } = new URL(value)
  if (username !== '' || password !== '') throw refused(path, 'must not have a user name')
  for (const name of ['code', 'state', 'iss', 'error', 'error_description']) {
    if (searchParams.has(name)) throw refused(path, `must not have the parameter ${name}, which the answer has`)
  }
  if (protocol === 'http:') return loopbackUri(value, path)
  const isAllowed = value.startsWith('https://') || /^[a-z][a-z0-9+-]*\.[a-z0-9.+-]*:/.test(value)
  if (!isAllowed) throw refused(path, 'must be https, http://127.0.0.1, http://[::1], or a scheme with a dot in it')
  return value
}

function loopbackUri (value: string, path: string): string {
  if (/^http:\/\/localhost[:/]/.test(value)) throw refused(path, 'must name 127.0.0.1 or [::1], not localhost')
  if (/^http:\/\/(127\.0\.0\.1|\[::1\]):/.test(value)) {
    throw refused(path, 'must be without a port: it then matches any (RFC 8252, 7.3)')
  }
  if (!isLoopback(value)) throw refused(path, 'must be https: plain http is for http://127.0.0.1/ and http://[::1]/')
  return value
}

function isLoopback (uri: string): boolean {
  return /^http:\/\/(127\.0\.0\.1|\[::1\])\//.test(uri)
}

/** Whether one of a client's registered URIs is this one (RFC 9700, 4.1.3; RFC 8252, 7.3). */
export function isRegistered (registered: readonly string[], uri: string): boolean {
  return registered.includes(uri) || registered.filter(isLoopback).includes(withoutPort(uri))
}

function withoutPort (uri: string): string {
  const [, host, port, rest] = /^(http:\/\/(?:127\.0\.0\.1|\[::1\])):([1-9]\d{0,4})(\/.*)$/s.exec(uri) ?? []
  return host === undefined || Number(port) > 65_535 ? uri : `${host}${rest}`
}

/** Whether browsers come back with their cookies: those of apps and of programs often do not (RFC 8252, 7). */
export function keepsCookies (uri: string): boolean {
  return uri.startsWith('https:')
}
