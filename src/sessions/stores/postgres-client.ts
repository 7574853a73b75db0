import { errors } from '../../errors.js'
import { refused, type Reader } from '../../options/values.js'
import { isObject } from '../../strict-json.js'
import { recordOf, type Fields } from './codec.js'
import { prepareTables, remedyFor } from './postgres-schema.js'

/** What is sent as a parameter. */
export type PostgresValue = string | number | boolean | null | string[] | number[]

/** What the store needs of a `pg` Pool, of PGlite, or of another client behind such a function. */
export interface PostgresPool {
  /** Answers the rows, or something that holds them. */
  query (text: string, values?: PostgresValue[]): PromiseLike<{ readonly rows: unknown[] } | readonly unknown[]>
  /** Where it is there, a connection is taken to listen for revocations. */
  connect? (): Promise<unknown>
}

/** One statement; its rows. */
export type PostgresQuery = (text: string, values: PostgresValue[]) => Promise<Fields[]>

/** Prepares the tables before the first statement; what an operator can mend rejects with words for it. */
export function queryOf (pool: PostgresPool, table: string): PostgresQuery {
  let ready: Promise<void> | undefined

  async function query (text: string, values: PostgresValue[]): Promise<Fields[]> {
    if (!values.flat().every(isStorable)) throw new errors.StoreUnavailableError('PostgreSQL cannot hold such a text')
    ready ??= prepareTables(rowsOf, table).catch(error => { ready = undefined; throw error })
    try {
      await ready
      return await rowsOf(text, values)
    } catch (error) {
      const reason = remedyFor(error, table)
      if (reason === undefined) throw error
      ready = undefined
      throw new errors.StoreUnavailableError(reason)
    }
  }

  async function rowsOf (text: string, values: PostgresValue[] = []): Promise<Fields[]> {
    const answer = await pool.query(text, values)
    return ('rows' in answer ? answer.rows : answer).map(recordOf)
  }

  return query
}

export const postgresPool: Reader<PostgresPool> = (value, path) => {
  if (!isPool(value)) throw refused(path, 'must have query(text, values)')
  return value
}

function isPool (value: unknown): value is PostgresPool {
  return isObject(value) && typeof value.query === 'function'
}

// It refuses NUL, and halves of surrogate pairs would all be written as one and the same character.
export function isStorable (value: PostgresValue): boolean {
  return typeof value !== 'string' || (value.isWellFormed() && !value.includes('\0'))
}
