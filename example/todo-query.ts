import { conditionOf, FilterError, type ColumnType, type Condition } from './todo-filter.js'

/** The columns that clients see, by what they hold. */
export const columns: ReadonlyMap<string, ColumnType> = new Map([
  ['id', 'text'],
  ['text', 'text'],
  ['complete', 'boolean'],
  ['createdAt', 'time'],
  ['updatedAt', 'time'],
  ['version', 'version']
] as const)

/** A read of the table, as far as its query says. */
export interface TodoQuery {
  where: Condition | null
  orderBy: string
  select: string
  top: number
  skip: number
  isCounted: boolean
}

const longestPage = 1000
const page = 50

/**
 * Reads a query of OData as the SDKs write it.
 *
 * @param first number of the first bound value of the filter
 * @throws FilterError
 */
export function readTodoQuery (query: Readonly<Record<string, unknown>>, first: number): TodoQuery {
  const filter = text(query.$filter)
  return {
    where: filter === null ? null : conditionOf(filter, columns, first),
    orderBy: text(query.$orderby)?.split(',').map(readOrder).join(', ') ?? '"createdAt", "id"',
    select:
      text(query.$select)
        ?.split(',')
        .map(name => column(name.trim()))
        .join(', ') ?? [...columns.keys()].map(column).join(', '),
    top: Math.min(whole(query.$top) ?? page, longestPage),
    skip: whole(query.$skip) ?? 0,
    isCounted: text(query.$inlinecount) === 'allpages'
  }
}

function readOrder (order: string): string {
  const [name = '', direction = 'asc', ...more] = order.trim().split(/\s+/)
  if (more.length > 0 || (direction !== 'asc' && direction !== 'desc')) {
    throw new FilterError('$orderby is a list of columns, each with asc or desc')
  }
  return `${column(name)} ${direction.toUpperCase()}`
}

function column (name: string): string {
  if (!columns.has(name)) throw new FilterError('the query names an unknown column')
  return `"${name}"`
}

function text (value: unknown): string | null {
  if (value === undefined || value === '') return null
  if (typeof value !== 'string') throw new FilterError('a parameter stands twice')
  return value
}

function whole (value: unknown): number | null {
  const digits = text(value)
  if (digits === null) return null
  if (!/^\d{1,9}$/.test(digits)) throw new FilterError('$top and $skip are whole numbers')
  return Number(digits)
}
