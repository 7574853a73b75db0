import { isUtf8 } from 'node:buffer'

export type JsonObject = Readonly<Record<string, unknown>>

export function isObject (value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A JSON text, read twice: as JSON.parse reads it, and with every integer that a double cannot hold as its digits. */
export interface ParsedJson { plain: unknown, exact: unknown }

// Deeper than any provider's answer, far from where a recursive walk over it would exhaust the stack.
const MAX_DEPTH = 32
// Sixteen digits may be more than a double holds; in a string they are seen here too, which does no harm.
const LONG_NUMBER = /(?:^|[\s:,[-])\d{16}/
const TOKEN = /("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|([{}[\]])|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g

/**
 * Parses a JSON text, strictly: a repeated member name (RFC 8259, 4: behaviour "unpredictable") and nesting deeper
 * than 32 are errors. User ids larger than 2^53 stay exact in `exact`, as strings of digits.
 *
 * @throws SyntaxError
 */
export function parseJson (text: string): ParsedJson {
  // Parsed first: on valid JSON the pattern below cannot lose its way, nor backtrack.
  const plain: unknown = JSON.parse(text)
  if (isPlain(text, plain)) return { plain, exact: plain }
  const shape = createShape()
  const rewritten = text.replace(TOKEN, (token, string?: string, colon?: string, bracket?: string) => {
    if (bracket !== undefined) shape.bracket(bracket)
    else if (string === undefined) return isLargeInteger(token) ? `"${token}"` : token
    else if (colon !== undefined) shape.name(string)
    return token
  })
  return { plain, exact: rewritten === text ? plain : JSON.parse(rewritten) }
}

/**
 * Whether a text has nothing of what makes the second reading necessary. Nearly all are like that, and counting is far
 * cheaper than reading; a text that only looks suspicious is read twice for nothing.
 */
function isPlain (text: string, value: unknown): boolean {
  const isDeep = count(text, '{') + count(text, '[') > MAX_DEPTH
  return !isDeep && namesAtMost(text) === countNames(value) && !LONG_NUMBER.test(text)
}

/** How many member names a JSON text holds, at most: a colon follows each, and `:/` stands in strings only. */
export function namesAtMost (text: string): number {
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

const byteOrderMark = '\ufeff'

/** Bytes to text, RFC 8259, 8.1: UTF-8 or nothing, without the byte order mark. @throws TypeError */
export function decodeUtf8 (bytes: Uint8Array): string {
  if (!isUtf8(bytes)) throw new TypeError('not UTF-8')
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
  return text.startsWith(byteOrderMark) ? text.slice(1) : text
}

function isLargeInteger (literal: string): boolean {
  return literal.length > 15 && /^-?\d+$/.test(literal) && !Number.isSafeInteger(Number(literal))
}

function createShape () {
  const open: Array<Set<string>> = []
  return {
    bracket (bracket: string): void {
      if (bracket === '}' || bracket === ']') open.pop()
      else if (open.push(new Set()) > MAX_DEPTH) throw new SyntaxError('nested too deeply')
    },
    name (literal: string): void {
      const name: unknown = JSON.parse(literal)
      const names = open.at(-1)
      if (typeof name !== 'string' || names === undefined || names.has(name)) {
        throw new SyntaxError('a member name is repeated')
      }
      names.add(name)
    }
  }
}
