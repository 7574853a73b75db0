import { defaultParser } from '@odata/parser'

/** A condition of SQL whose values are bound: `sql` holds `$1` and so on for each of `values`. */
export interface Condition { sql: string, values: unknown[] }

/** What a column holds, and so what it can be compared with. */
export type ColumnType = 'text' | 'boolean' | 'time' | 'version'

interface Node { type: string, value: unknown, raw: string }

const comparisons: Readonly<Record<string, string>> = {
  EqualsExpression: '=',
  NotEqualsExpression: '<>',
  GreaterThanExpression: '>',
  GreaterOrEqualsExpression: '>=',
  LesserThanExpression: '<',
  LesserOrEqualsExpression: '<='
}
const connectives: Readonly<Record<string, string>> = { AndExpression: 'AND', OrExpression: 'OR' }

/** A filter that cannot be answered; the message is for the client. */
export class FilterError extends Error {
  readonly statusCode = 400
}

/**
 * `$filter` as a condition: eq, ne, gt, ge, lt, le, and, or, not, startswith on these columns. Column names come from
 * `columns`, never from the filter.
 *
 * @param first number of the first bound value
 * @throws FilterError
 */
export function conditionOf (filter: string, columns: ReadonlyMap<string, ColumnType>, first: number): Condition {
  const { text, strings } = takeStrings(filter)
  const values: unknown[] = []
  return { sql: write(parse(text)), values }

  function write (node: Node): string {
    if (node.type === 'NotExpression') return writeNot(childOf(node))
    const connective = connectives[node.type]
    if (connective !== undefined) return `(${operandsOf(node).map(write).join(` ${connective} `)})`
    const operator = comparisons[node.type]
    if (operator !== undefined) return compare(operator, ...operandsOf(node))
    return node.type === 'MethodCallExpression' ? startsWith(node) : write(childOf(node))
  }

  // The parser lets `not` reach as far as it can; in OData it holds for what follows it (Part 2, 5.1.1.14).
  function writeNot (node: Node): string {
    const connective = connectives[node.type]
    if (connective === undefined) {
      return isWrapper(node)
        ? writeNot(childOf(node))
        : `NOT ${node.type === 'BoolParenExpression' ? write(childOf(node)) : write(node)}`
    }
    const [left, right] = operandsOf(node)
    return `(${writeNot(left)} ${connective} ${write(right)})`
  }

  function compare (operator: string, left: Node, right: Node): string {
    const [column, type] = columnOf(left)
    const value = literalOf(right, type)
    if (value === null) {
      if (operator === '=') return `${column} IS NULL`
      if (operator === '<>') return `${column} IS NOT NULL`
      throw new FilterError('null can only be compared with eq and ne')
    }
    return `${column} ${operator} ${bind(value)}`
  }

  function startsWith ({ value }: Node): string {
    const call = isRecord(value) ? value : {}
    const [column, prefix, ...more] = Array.isArray(call.parameters) ? call.parameters.map(nodeOf) : []
    if (call.method !== 'startswith' || column === undefined || prefix === undefined || more.length > 0) {
      throw new FilterError('startswith is the only function')
    }
    const [name, type] = columnOf(column)
    const start = literalOf(prefix, type)
    if (type !== 'text' || start === null) throw new FilterError('startswith takes a text and a string')
    return `starts_with(${name}, ${bind(start)})`
  }

  function columnOf (node: Node): [string, ColumnType] {
    const name = [...columns.keys()].find(column => column === node.raw)
    const type = columns.get(name ?? '')
    if (name === undefined || type === undefined) throw new FilterError('the filter names an unknown column')
    return [`"${name}"`, type]
  }

  function literalOf (node: Node, type: ColumnType): string | boolean | null {
    const literal = /^'\d+'$/.test(node.raw) ? strings[Number(node.raw.slice(1, -1))] : undefined
    if (node.raw === 'null') return null
    if (type === 'boolean' && (node.raw === 'true' || node.raw === 'false')) return node.raw === 'true'
    if (type === 'text' && literal !== undefined) return literal
    if (type === 'time' && literal !== undefined && Number.isFinite(Date.parse(literal))) {
      return new Date(literal).toISOString()
    }
    const number = literal ?? node.raw
    if (type === 'version' && /^\d{1,15}$/.test(number)) return number
    throw new FilterError('the filter compares a column with something of another type')
  }

  function bind (value: unknown): string {
    values.push(value)
    return `$${first + values.length - 1}`
  }
}

/** Strings are the client's, of any characters; the parser sees their numbers. */
function takeStrings (filter: string): { text: string, strings: string[] } {
  const strings: string[] = []
  const text = filter.replace(
    /(?:\bdatetime(?:offset)?)?'((?:[^']|'')*)'/g,
    (_whole, inner: string) => `'${strings.push(inner.replaceAll("''", "'")) - 1}'`
  )
  return { text: text.trim(), strings }
}

function parse (text: string): Node {
  try {
    return nodeOf(defaultParser.filter(text))
  } catch (cause) {
    throw new FilterError('the filter cannot be parsed', { cause })
  }
}

function isWrapper ({ type, value }: Node): boolean {
  return (
    type !== 'BoolParenExpression' &&
    type !== 'NotExpression' &&
    comparisons[type] === undefined &&
    isRecord(value) &&
    typeof value.type === 'string'
  )
}

function operandsOf ({ value }: Node): [Node, Node] {
  return isRecord(value) ? [nodeOf(value.left), nodeOf(value.right)] : [nodeOf(null), nodeOf(null)]
}

function childOf ({ value }: Node): Node {
  return nodeOf(value)
}

function nodeOf (value: unknown): Node {
  if (isRecord(value) && typeof value.type === 'string' && typeof value.raw === 'string') {
    return { type: value.type, value: value.value, raw: value.raw }
  }
  throw new FilterError('the filter is of a form that is not supported')
}

function isRecord (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
