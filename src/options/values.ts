import { errors } from '../errors.js'
import { isObject } from '../strict-json.js'
import { isWellKnownSecret } from './well-known-secrets.js'

/**
 * Reads one value of an option, or refuses it by its path. Nothing here echoes a value: it could be a secret.
 *
 * @throws errors.OptionInvalidError
 */
export type Reader<Value> = (value: unknown, path: string) => Value

/** An object of options whose names are all known. Each reader throws errors.OptionInvalidError, naming the option. */
export interface Given<Name extends string> {
  has (name: Name): boolean
  /** The option, read; `otherwise` where it was not given. Without that it has to be given. */
  read<Value> (name: Name, reader: Reader<Value>, ...otherwise: [otherwise?: Value]): Value
  /** For what concerns two options together. */
  refuse (name: Name, why: string): Error
}

/**
 * Opens an object of options. An unknown name is refused: a misspelt option would be a check that is not made.
 *
 * @param path of the object, before the names of its members; empty for the plugin's own options
 * @throws errors.OptionInvalidError
 */
export function open<const Name extends string> (value: unknown, path: string, known: readonly Name[]): Given<Name> {
  if (!isObject(value)) throw refused(path || 'options', 'must be an object')
  const pathOf = (name: string): string => path === '' ? name : `${path}.${name}`
  for (const name of Object.keys(value)) {
    if (!known.some(one => one === name)) throw refused(pathOf(name), `is not an option${hint(name, known)}`)
  }
  return {
    has: name => value[name] !== undefined,
    read (name, reader, ...otherwise) {
      const given = value[name]
      if (given !== undefined) return reader(given, pathOf(name))
      const [byDefault] = otherwise
      if (byDefault !== undefined) return byDefault
      const why = name in value ? 'is undefined: is the variable set that it comes from?' : 'is missing'
      throw refused(pathOf(name), why)
    },
    refuse: (name, why) => refused(pathOf(name), why)
  }
}

export function refused (path: string, why: string): Error {
  return new errors.OptionInvalidError(`${path} ${why}`)
}

/** What a name was meant to be, where one that is known is a slip of two letters away. */
function hint (name: string, known: readonly string[]): string {
  const meant = known.find(one => distance(one.toLowerCase(), name.toLowerCase()) <= 2)
  return meant === undefined ? '' : `: did you mean ${meant}?`
}

/** Levenshtein's: letters to change, add or leave out. */
function distance (one: string, other: string): number {
  if (Math.abs(one.length - other.length) > 2) return 3
  let row = Array.from({ length: other.length + 1 }, (_, column) => column)
  for (const [line, letter] of [...one].entries()) {
    const next = [line + 1]
    for (const [column, counterpart] of [...other].entries()) {
      const changed = (row[column] ?? 0) + (letter === counterpart ? 0 : 1)
      next.push(Math.min(changed, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1))
    }
    row = next
  }
  return row.at(-1) ?? 0
}

export const text: Reader<string> = (value, path) => {
  if (typeof value !== 'string' || value.trim() === '') throw refused(path, 'must be a non-empty string')
  return value
}

export function integer (least: number, most: number): Reader<number> {
  return (value, path) => {
    const isInRange = typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most
    if (!isInRange) throw refused(path, `must be a whole number from ${least} to ${most}`)
    return value
  }
}

export function oneOf<const Value extends string | boolean> (...values: readonly Value[]): Reader<Value> {
  return (value, path) => {
    const found = values.find(one => one === value)
    const names = values.map(one => typeof one === 'string' ? `'${one}'` : String(one)).join(', ')
    if (found === undefined) {
      throw refused(path, `must be one of ${names}${typeof value === 'string' ? hint(value, values.map(String)) : ''}`)
    }
    return found
  }
}

/** A list with at least one entry. */
export function list<Value> (reader: Reader<Value>): Reader<readonly Value[]> {
  const entries = listOrEmpty(reader)
  return (value, path) => {
    if (!Array.isArray(value) || value.length === 0) throw refused(path, 'must be a non-empty list')
    return entries(value, path)
  }
}

export function listOrEmpty<Value> (reader: Reader<Value>): Reader<readonly Value[]> {
  return (value, path) => {
    if (!Array.isArray(value)) throw refused(path, 'must be a list')
    return Object.freeze(Array.from(value, (entry: unknown, index) => reader(entry, `${path}[${index}]`)))
  }
}

/**
 * Entries by name, in their order. A Map or an instance of a class would read as an empty one, and leave out what it
 * holds.
 *
 * @param pathOf the path of an entry, where its name may not be shown
 */
export function dictionary<Value> (
  reader: (value: unknown, path: string, name: string) => Value,
  pathOf = (path: string, name: string): string => `${path}.${name}`
): Reader<ReadonlyMap<string, Value>> {
  return (value, path) => {
    const prototype: unknown = isObject(value) ? Object.getPrototypeOf(value) : undefined
    if (!isObject(value) || (prototype !== null && prototype !== Object.prototype)) {
      throw refused(path, 'must be a plain object')
    }
    return new Map(Object.entries(value).map(([name, entry]) => [name, reader(entry, pathOf(path, name), name)]))
  }
}

/** A copy of an object whose members are somebody else's. */
export const object: Reader<object> = (value, path) => {
  if (!isObject(value)) throw refused(path, 'must be an object')
  return { ...value }
}

/** A function. What it takes and answers cannot be seen here: whoever calls it checks the answer. */
export function callback<Callback> (isCallback: (value: unknown) => value is Callback): Reader<Callback> {
  return (value, path) => {
    if (!isCallback(value)) throw refused(path, 'must be a function')
    return value
  }
}

/** A secret that keys are made of: bytes of UTF-8. */
export function secret (leastBytes: number): Reader<string> {
  return (value, path) => {
    if (typeof value !== 'string' || Buffer.byteLength(value) < leastBytes) {
      throw refused(path, `must be a secret of at least ${leastBytes} bytes`)
    }
    if (isWellKnownSecret(value)) throw refused(path, 'is printed in public documentation, anybody could use it')
    return value
  }
}

/**
 * https, or http on a loopback host; as it will be compared, letter by letter: no trailing slash, query or fragment.
 */
export const publicUrl: Reader<string> = (value, path) => {
  const url = parsed(value, path)
  const written = String(value)
  if (url.protocol === 'http:' && isPrivate(url.hostname)) {
    throw refused(path, 'must be https in a network, and may stay http://localhost while you develop: ' +
      'it is a name, the server listens where you say')
  }
  requireSecure(url, path)
  if (/[?#\s\\]|\/$/.test(written)) throw refused(path, 'must have no slash at its end, no query and no fragment')
  if (url.href !== written && url.href !== `${written}/`) {
    throw refused(path, 'must be in normal form (RFC 3986, 6.2.2): lower case, no default port, no dot segments')
  }
  return written
}

/** An address that this server calls: https, or http on a loopback host. As written. */
export const endpointUrl: Reader<string> = (value, path) => {
  const url = parsed(value, path)
  if (String(value).includes('#')) throw refused(path, 'must not have a fragment')
  requireSecure(url, path)
  return String(value)
}

/** An address to which paths are appended. OpenID Connect Discovery, 4: "any terminating / MUST be removed". */
export function withoutSlash (url: string): string {
  let end = url.length
  while (url[end - 1] === '/') end -= 1
  return url.slice(0, end)
}

function parsed (value: unknown, path: string): URL {
  if (typeof value !== 'string' || !URL.canParse(value)) throw refused(path, 'must be an absolute URL')
  const url = new URL(value)
  if (url.username !== '' || url.password !== '') throw refused(path, 'must not hold credentials')
  return url
}

function requireSecure (url: URL, path: string): void {
  if (!isSecure(url)) throw refused(path, 'must be https (plain http on a loopback host only)')
}

/** https, or http on a loopback host. */
export function isSecure ({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname))
}

function isLoopback (hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname)
}

/** RFC 1918 and RFC 6762: addresses that say nothing outside of their network. */
function isPrivate (hostname: string): boolean {
  return /^(?:10|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.[\d.]+$|\.(?:local|internal|lan|home)$/.test(hostname)
}

/**
 * An origin as browsers send it (RFC 6454, 6.1), compared letter by letter; apps in a web view have schemes of their
 * own.
 */
export const origin: Reader<string> = (value, path) => {
  const shape = /^[a-z][a-z0-9+.-]*:\/\/[a-z0-9.-]+(?::\d+)?$|^https?:\/\/\[[0-9a-f:]+\](?::\d+)?$/
  const isWeb = typeof value === 'string' && /^https?:/.test(value)
  if (typeof value === 'string' && value.endsWith('/') && shape.test(value.slice(0, -1))) {
    throw refused(path, 'must be an origin, without the slash at its end')
  }
  if (typeof value !== 'string' || !shape.test(value) || (isWeb && new URL(value).origin !== value)) {
    throw refused(path, 'must be an exact origin such as https://www.example.com, neither * nor null')
  }
  return value
}

export const pathPrefix: Reader<string> = (value, path) => {
  if (value === '') return ''
  if (typeof value !== 'string' || !/^(?:\/[^\s?#/:*]+)+$/.test(value)) {
    throw refused(path, "must be a path such as '/v1', without a trailing slash")
  }
  return value
}

export const headerName: Reader<string> = (value, path) => {
  if (typeof value !== 'string' || !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(value)) {
    throw refused(path, 'must be a header name')
  }
  if (value.toLowerCase() === 'authorization') throw refused(path, 'must not be Authorization, which is read anyway')
  return value.toLowerCase()
}

/** A key that a header can carry: RFC 9110, 5.5, visible characters and inner blanks. */
export const printableKey: Reader<string> = (value, path) => {
  if (typeof value !== 'string' || value.length < 16) throw refused(path, 'must be a key of at least 16 characters')
  if (!/^[!-~](?:[ -~]*[!-~])?$/.test(value)) {
    throw refused(path, 'must hold visible ASCII characters only, a header carries it')
  }
  if (isWellKnownSecret(value)) throw refused(path, 'is printed in public documentation, anybody could use it')
  return value
}

/**
 * The path of a key in words that can be logged: where label and key were mistaken for each other, the label is the
 * secret.
 */
export function labelled (path: string, label: string): string {
  return label.length < 16 ? `${path}.${label}` : `${path} with a label of ${label.length} characters`
}
