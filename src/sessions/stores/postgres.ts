import { createHash } from 'node:crypto'
import { codeOf, errors } from '../../errors.js'
import { open, refused, type Reader } from '../../options/values.js'
import { isObject } from '../../strict-json.js'
import {
  keptAfterExpiry,
  listLimit,
  revocationsKept,
  spendUntil,
  type ListedSession,
  type Revocation,
  type RevocationPage,
  type Session,
  type SessionStore,
  type SpentKey
} from '../store.js'
import {
  decodeFields,
  encodeRevocation,
  integerOf,
  listedOf,
  recordOf,
  revocationOf,
  sessionOf,
  type Fields
} from './codec.js'
import { postgresListener } from './postgres-listener.js'
import { identityKeyInRow, prepareTables, remedyFor, tableName, tablesOf } from './postgres-schema.js'

const uniqueViolation = '23505'
/** Entries of the list of revocations that one call looks at. */
const pageSize = 5000

/** What is sent as a parameter. */
export type PostgresValue = string | number | boolean | null | string[] | number[]

/** What the store needs of a `pg` Pool, of PGlite, or of another client behind such a function. */
export interface PostgresPool {
  /** Answers the rows, or something that holds them. */
  query (text: string, values?: PostgresValue[]): PromiseLike<{ readonly rows: unknown[] } | readonly unknown[]>
  /** Where it is there, a connection is taken to listen for revocations. */
  connect? (): Promise<unknown>
}

export interface PostgresStoreOptions {
  /**
   * The application's own pool: it is not ended here. With `query_timeout` and `connectionTimeoutMillis` (pg) it
   * notices that the network has dropped a connection; without, it waits as long as the kernel tries, 15 minutes.
   */
  pool: PostgresPool
  /** `name` or `schema.name`; four more tables begin with the same name. @default 'token_exchange_sessions' */
  table?: string
}

const listed = `id, issuer, user_id AS "userId", secret_id AS "secretId", counter, arrived_at AS "arrivedAt",
  created_at AS "createdAt", last_used_at AS "lastUsedAt", expires_at AS "expiresAt", ended, version,
  identity_key AS "identityKey", provider_session AS "providerSession", data`

// A server of an earlier version writes none.
const ofIdentity = `(identity_key = $1 OR (identity_key IS NULL AND ${identityKeyInRow} = $1))`

/**
 * Sessions in PostgreSQL 12 or later, through statements that each are one atomic step. Creates its tables if they are
 * missing, and upgrades those of an earlier version.
 *
 * @example
 * ```ts
 * const store = postgresStore({ pool, table: 'shop_sessions' })
 * ```
 * @throws errors.OptionInvalidError
 */
export function postgresStore (options: PostgresStoreOptions): SessionStore {
  const given = open(options, 'postgresStore', ['pool', 'table'])
  const pool = given.read('pool', postgresPool)
  const table = given.read('table', tableName, 'token_exchange_sessions')
  const tables = tablesOf(table)
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

  async function create (session: Session): Promise<void> {
    await query(
      `INSERT INTO ${tables.sessions} (id, issuer, user_id, identity, secret_id, counter, arrived_at, created_at,
        last_used_at, expires_at, ended, version, identity_key, provider_session, data)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
      valuesOf(session)
    )
  }

  async function read (id: string): Promise<Session | null> {
    if (!isStorable(id)) return null
    const [row] = await query(`SELECT ${listed}, identity FROM ${tables.sessions} WHERE id = $1`, [id])
    return row === undefined ? null : sessionOf(fieldsIn(row))
  }

  async function replace (session: Session): Promise<boolean> {
    const rows = await query(
      `UPDATE ${tables.sessions} SET user_id = $3, identity = $4, secret_id = $5, counter = $6, arrived_at = $7,
        created_at = $8, last_used_at = $9, expires_at = $10, ended = $11, version = $12,
        identity_key = $13, provider_session = $14, data = $15
      WHERE id = $1 AND issuer = $2 AND version = $12::bigint - 1 RETURNING id`,
      valuesOf(session)
    )
    return rows.length === 1
  }

  async function listWhere (
    condition: string,
    name: string,
    issuer: string,
    limit: number
  ): Promise<ListedSession[]> {
    if (!isStorable(issuer) || !isStorable(name)) return []
    const rows = await query(
      `SELECT ${listed} FROM ${tables.sessions} WHERE ${condition} AND issuer = $2 AND NOT ended
      ORDER BY created_at LIMIT $3`,
      [name, issuer, limit]
    )
    return rows.map(fieldsIn).map(listedOf).filter(session => session !== null)
  }

  // One writer of the list at a time, until it has committed: a reader that saw a number has seen all smaller ones.
  async function end (ids: readonly string[], revocations: readonly Revocation[]): Promise<void> {
    await query(
      `WITH turn AS MATERIALIZED (SELECT pg_advisory_xact_lock(hashtext($3))),
      entries AS (INSERT INTO ${tables.revocations} (kind, issuer, id, at, expires_at)
        SELECT entry->>0, entry->>1, entry->>2, (entry->>3)::bigint, (entry->>4)::bigint
        FROM turn, jsonb_array_elements($2::text::jsonb) AS entry RETURNING seq),
      ended AS (UPDATE ${tables.sessions} SET ended = true, identity = '', version = version + 1
        FROM turn WHERE id = ANY($1::text[]) AND NOT ended)
      SELECT pg_notify($4, '') FROM (SELECT count(*) AS number FROM entries) AS written WHERE number > 0`,
      [[...ids], `[${revocations.map(encodeRevocation).join()}]`, tables.revocations, tables.channel]
    )
  }

  // The entry at the cursor is read again. Where it is another one, or none, this is another list, or it was silent for
  // a day. The last entry says where the next call begins, even where it has expired.
  async function revocations (cursor: string | null, since: number): Promise<RevocationPage> {
    const rows = await query(
      `WITH page AS (SELECT * FROM ${tables.revocations} WHERE seq >= $1::bigint ORDER BY seq LIMIT ${pageSize})
      SELECT seq, kind, issuer, id, at, expires_at AS "expiresAt" FROM page
      WHERE seq = $1::bigint OR expires_at > $2::bigint OR seq = (SELECT max(seq) FROM page) ORDER BY seq`,
      [cursor?.split('.')[0] ?? '0', since]
    )
    if (cursor !== null && cursorOf(rows[0]) !== cursor) return await revocations(null, since)
    const entries = rows.slice(cursor === null ? 0 : 1).map(revocationOf)
    return { revocations: entries.filter(entry => entry !== null), cursor: cursorOf(rows.at(-1)) }
  }

  // A unique violation undoes the whole statement: all or nothing.
  async function spend (keys: readonly SpentKey[]): Promise<boolean> {
    if (keys.length === 0) return true
    const until = await spendUntil(now)
    try {
      const rows = await query(
        `INSERT INTO ${tables.spent} (key, expires_at) SELECT * FROM unnest($1::text[], $2::bigint[])
        WHERE extract(epoch FROM clock_timestamp()) * 1000 <= $3::bigint RETURNING key`,
        [keys.map(({ key }) => digest(key)), keys.map(({ expiresAt }) => expiresAt), until]
      )
      if (rows.length === 0) throw new errors.StoreUnavailableError('the store was too late to spend a nonce')
      return true
    } catch (error) {
      if (codeOf(error) === uniqueViolation) return false
      throw error
    }
  }

  async function keep (key: string, value: string, expiresAt: number): Promise<void> {
    await query(
      `INSERT INTO ${tables.kept} (key, value, expires_at) VALUES ($1, $2, $3)
      ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at`,
      [digest(key), value, expiresAt]
    )
  }

  async function take (key: string): Promise<string | null> {
    const [row] = await query(
      `DELETE FROM ${tables.kept} WHERE key = $1
      RETURNING CASE WHEN expires_at > extract(epoch FROM clock_timestamp()) * 1000 THEN value END AS value`,
      [digest(key)]
    )
    return typeof row?.value === 'string' ? row.value : null
  }

  async function sweep (time: number): Promise<void> {
    await query(`DELETE FROM ${tables.sessions} WHERE expires_at <= $1`, [time - keptAfterExpiry])
    await query(`DELETE FROM ${tables.spent} WHERE expires_at <= $1`, [time])
    await query(`DELETE FROM ${tables.kept} WHERE expires_at <= $1`, [time])
    // One that ends old sessions is as old as they are, and needed until the last token has expired.
    await query(`DELETE FROM ${tables.revocations} WHERE at <= $1 AND expires_at <= $2`, [time - revocationsKept, time])
  }

  async function now (): Promise<number> {
    const [row] = await query('SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now', [])
    return integerOf(row?.now) ?? Date.now()
  }

  return {
    create,
    read,
    replace,
    list: (issuer, userId, limit) => listWhere('user_id = $1', userId, issuer, limit),
    listByIdentity: (issuer, identityKey, limit = listLimit) => listWhere(ofIdentity, identityKey, issuer, limit),
    listByProviderSession: (issuer, providerSession, limit = listLimit) =>
      listWhere('provider_session = $1', providerSession, issuer, limit),
    end,
    revoke: async entries => await end([], entries),
    revocations,
    spend,
    keep,
    take,
    sweep,
    now,
    subscribe: wake => postgresListener(pool, tables.channel, wake)
  }
}

const postgresPool: Reader<PostgresPool> = (value, path) => {
  if (!isPool(value)) throw refused(path, 'must have query(text, values)')
  return value
}

function isPool (value: unknown): value is PostgresPool {
  return isObject(value) && typeof value.query === 'function'
}

// What has no column is in `data`.
function valuesOf (session: Session): PostgresValue[] {
  const { id, issuer, userId, identity, secretId, counter, arrivedAt, ...later } = session
  const { createdAt, lastUsedAt, expiresAt, ended, version, identityKey, providerSession, ...others } = later
  const row = [id, issuer, userId, identity, secretId, counter, arrivedAt, createdAt, lastUsedAt, expiresAt]
  return [...row, ended, version, identityKey, providerSession, JSON.stringify(others)]
}

function fieldsIn ({ data, ...placed }: Fields): Fields {
  return { ...decodeFields(data), ...placed }
}

function cursorOf (row: Fields | undefined): string | null {
  return row === undefined ? null : `${row.seq}.${row.at}`
}

function digest (key: string): string {
  return createHash('sha256').update(key.isWellFormed() ? key : JSON.stringify(key)).digest('base64url')
}

// It refuses NUL, and halves of surrogate pairs would all be written as one and the same character.
function isStorable (value: PostgresValue): boolean {
  return typeof value !== 'string' || (value.isWellFormed() && !value.includes('\0'))
}
