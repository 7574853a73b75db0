import { errors } from './errors.js'
import { isObject } from './strict-json.js'

/** One value of an option each: read it or refuse it by name. Nothing here echoes a value that could be a secret. */

export function refused (path: string, why: string): Error {
  return new errors.OptionInvalidError(`${path} ${why}`)
}

/** An object of entries by name. A Map or an instance of a class would read as an empty one, and leave out what it holds. */
export function isDictionary (value: unknown): value is Record<string, unknown> {
  if (!isObject(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}

/** The members of an object of options, of which each has to be known. */
export function members<const Name extends string> (
  value: unknown,
  path: string,
  known: readonly Name[]
): Partial<Record<Name, unknown>> {
  if (!isObject(value)) throw refused(path, 'must be an object')
  const unknown = Object.keys(value).find(name => !known.some(one => one === name))
  if (unknown !== undefined) throw refused(path === 'options' ? unknown : `${path}.${unknown}`, 'is not an option')
  const read: Partial<Record<Name, unknown>> = {}
  for (const name of known) read[name] = value[name]
  return read
}

export function text (value: unknown, path: string, otherwise: string): string {
  if (value === undefined) return otherwise
  if (typeof value !== 'string' || value.trim() === '') throw refused(path, 'must be a non-empty string')
  return value
}

export function integer (
  value: unknown,
  path: string,
  { least, most, otherwise }: { least: number, most: number, otherwise: number }
): number {
  if (value === undefined) return otherwise
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
    throw refused(path, `must be a whole number from ${least} to ${most}`)
  }
  return value
}

/** https, or http on a loopback host; as it will be compared, letter by letter: no trailing slash, query or fragment. */
export function publicUrl (value: unknown, path: string): string {
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : null
  if (typeof value !== 'string' || url === null) throw refused(path, 'must be a URL')
  const secure = url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname))
  if (!secure) throw refused(path, 'must be https (plain http on a loopback host only)')
  if (url.username !== '' || url.password !== '' || /[?#\s\\]/.test(value) || value.endsWith('/')) {
    throw refused(path, 'must have no trailing slash, query, fragment or credentials')
  }
  if (url.href !== value && url.href !== `${value}/`) {
    throw refused(path, 'must be in normal form (RFC 3986, 6.2.2): lower case, no default port, no dot segments')
  }
  return value
}

function isLoopback (hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname)
}

/** An origin as browsers send it (RFC 6454, 6.1), compared letter by letter; apps in a web view have schemes of their own. */
export function origin (value: unknown, path: string): string {
  const shape = /^([a-z][a-z0-9+.-]*):\/\/[a-z0-9.-]+(?::\d+)?$|^https?:\/\/\[[0-9a-f:]+\](?::\d+)?$/
  const web = typeof value === 'string' && /^https?:/.test(value)
  if (
    typeof value !== 'string' ||
    !shape.test(value) ||
    (web && (!URL.canParse(value) || new URL(value).origin !== value))
  ) {
    throw refused(path, 'must be an exact origin such as https://www.example.com, neither * nor null')
  }
  return value
}

/** Fastify's default `maxParamLength`: it answers 404 to a longer segment of a path before any route sees it. */
const longestName = 100

export function providerName (name: string): string {
  if (!/^[a-z0-9_-]+$/.test(name)) throw refused(`providers.${name}`, 'must be named by a-z, 0-9, _ and - only')
  if (name.length > longestName) {
    throw refused(`providers.${name.slice(0, longestName)}…`, `must have a name of at most ${longestName} characters`)
  }
  return name
}

/** A label in words that can be logged: where label and key were mistaken for each other, the label is the secret. */
export function labelled (path: string, label: string): string {
  return label.length < 16 ? `${path}.${label}` : `${path} with a label of ${label.length} characters`
}

/** A key that a header can carry: RFC 9110, 5.5, visible characters and inner blanks. */
export function printableKey (value: unknown, path: string): string {
  if (typeof value !== 'string' || value.length < 16) throw refused(path, 'must be a key of at least 16 characters')
  if (!/^[!-~](?:[ -~]*[!-~])?$/.test(value)) {
    throw refused(path, 'must hold visible ASCII characters only, a header carries it')
  }
  return value
}

export function headerName (value: unknown, path: string): string {
  if (typeof value !== 'string' || !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(value)) {
    throw refused(path, 'must be a header name')
  }
  if (value.toLowerCase() === 'authorization') throw refused(path, 'must not be Authorization, which is read anyway')
  return value.toLowerCase()
}

export function pathPrefix (value: unknown, path: string): string {
  if (value === undefined || value === '') return ''
  if (typeof value !== 'string' || !/^(?:\/[^\s?#/:*]+)+$/.test(value)) {
    throw refused(path, "must be a path such as '/v1', without a trailing slash")
  }
  return value
}
