import { isUtf8 } from 'node:buffer'

export type JsonObject = Readonly<Record<string, unknown>>

export function isObject (value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A JSON text, read twice: as JSON.parse reads it, and with every integer that a double cannot hold as its digits. */
export interface ParsedJson { plain: unknown, exact: unknown }

// Far from where a recursive walk over the value would exhaust the stack.
const deepestNesting = 64
// Sixteen digits may be more than a double holds; in a string they are seen here too, which does no harm.
const longNumber = /(?:^|[\s:,[-])\d{16}/
const stringOrNumber = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g

/**
 * Parses a JSON text, strictly: a repeated member name (RFC 8259, 4: behaviour "unpredictable") and nesting deeper
 * than `deepest` are errors. User ids larger than 2^53 stay exact in `exact`, as strings of digits.
 *
 * Nearly every text is shallow, repeats no name and has no long number. Counting shows that, and is far cheaper than to
 * read every text twice. A text that only looks suspicious is read twice, and passes.
 *
 * @throws SyntaxError
 */
export function parseJson (text: string, deepest = deepestNesting): ParsedJson {
  // Before the parser, to which half a megabyte of brackets is 80 ms and 25 MB of work.
  if (count(text, '{') + count(text, '[') > deepest) countColons(text, deepest)
  const plain: unknown = JSON.parse(text)
  const names = countNames(plain)
  if (namesAtMost(text) !== names && countColons(text, deepest) !== names) throw repeated()
  return { plain, exact: longNumber.test(text) ? JSON.parse(text.replace(stringOrNumber, exactly)) : plain }
}

/**
 * Parses a JSON object of which only the outermost members will be read: none of their names is repeated, and what is
 * nested in them makes no difference.
 *
 * @throws SyntaxError, TypeError for what is no object
 */
export function parseMembers (text: string): JsonObject {
  const members: unknown = JSON.parse(text)
  if (!isObject(members)) throw new TypeError('no object')
  const names = Object.keys(members).length
  if (namesAtMost(text) !== names && countColons(text, Infinity, 1) !== names) throw repeated()
  return members
}

function repeated (): Error {
  return new SyntaxError('a member name is repeated')
}

/** How many member names a JSON text holds, at most: a colon follows each, and `:/` stands in strings only. */
function namesAtMost (text: string): number {
  return count(text, ':') - count(text, ':/')
}

function count (text: string, part: string): number {
  let found = 0
  for (let at = text.indexOf(part); at !== -1; at = text.indexOf(part, at + 1)) found++
  return found
}

/** The members of all objects in a value that is not nested deeply. */
function countNames (value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const members: unknown[] = Object.values(value)
  return members.reduce<number>((sum, member) => sum + countNames(member), Array.isArray(value) ? 0 : members.length)
}

/**
 * The colons between names and values, down to a depth of `counted`.
 *
 * @throws SyntaxError where a text, JSON or not, is nested more deeply than `deepest`
 */
function countColons (text: string, deepest: number, counted = deepest): number {
  let depth = 0
  let colons = 0
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (character === '"') at = endOfString(text, at)
    else if (character === ':') colons += depth > counted ? 0 : 1
    else if (character === '}' || character === ']') depth--
    else if ((character === '{' || character === '[') && ++depth > deepest) throw new SyntaxError('nested too deeply')
  }
  return colons
}

function endOfString (text: string, start: number): number {
  let at = start + 1
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at
}

function exactly (literal: string): string {
  const isLarge = literal.length > 15 && /^-?\d+$/.test(literal) && !Number.isSafeInteger(Number(literal))
  return isLarge ? `"${literal}"` : literal
}

const byteOrderMark = '\ufeff'

/** Bytes to text, RFC 8259, 8.1: UTF-8 or nothing, without the byte order mark. @throws TypeError */
export function decodeUtf8 (bytes: Uint8Array): string {
  if (!isUtf8(bytes)) throw new TypeError('not UTF-8')
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
  return text.startsWith(byteOrderMark) ? text.slice(1) : text
}
