import { isUtf8 } from 'node:buffer'

export type JsonObject = Readonly<Record<string, unknown>>

export function isObject (value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A JSON text, read twice: as JSON.parse reads it, and with every integer that a double cannot hold as its digits. */
export interface ParsedJson { plain: unknown, exact: unknown }

// Deeper than any provider's answer, far from where a recursive walk over it would exhaust the stack.
const MAX_DEPTH = 32
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
  if (isCanonical(text, plain) && !mayBeDeep(text)) return { plain, exact: plain }
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
 * Whether a text is what JSON.stringify writes for its value: then no member of it stands twice and no number lost a digit.
 * Most clients send such texts, and comparing is far cheaper than looking for the exceptions.
 */
export function isCanonical (text: string, value: unknown): boolean {
  try {
    return JSON.stringify(value) === text
  } catch {
    // Nested too deeply for the writer; the reader has no such limit.
    return false
  }
}

function mayBeDeep (text: string): boolean {
  return text.split(/[[{]/, MAX_DEPTH + 2).length > MAX_DEPTH
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
      if (typeof name !== 'string' || names === undefined || names.has(name)) throw new SyntaxError('a member name is repeated')
      names.add(name)
    }
  }
}
