import { createHash } from 'node:crypto'
import { codeOf, errors } from '../../errors.js'
import {
  keptAfterExpiry,
  revocationsKept,
  spendUntil,
  type Revocation,
  type RevocationPage,
  type Session,
  type SessionStore
} from '../store.js'
import { postgresListener } from './postgres-listener.js'
import { postgresSchema, tablesOf } from './postgres-schema.js'

import { integerOf, listedOf, recordOf, revocationOf, sessionOf } from './row.js'

const UNIQUE_VIOLATION = '23505'
const EXISTS_ALREADY = [UNIQUE_VIOLATION, '42P07', '42710']
const PAGE = 1000

/** What the store needs of a `pg` Pool, or of PGlite. */
export interface PostgresPool {
  query (text: string, values?: unknown[]): Promise<{ rows: unknown[] }>
  /** Where it is there, a connection is taken to listen for revocations. */
  connect? (): Promise<unknown>
}

export interface PostgresStoreOptions {
  /** The application's own pool, which stays the application's: it is not ended here. */
  pool: PostgresPool
  /** `name` or `schema.name`; two more tables begin with the same name. @default 'token_exchange_sessions' */
  table?: string
}

const COLUMNS =
  'id, issuer, user_id, identity, secret_id, counter, arrived_at, created_at, last_used_at, expires_at, ended, version'
const LISTED = `id, issuer, user_id AS "userId", secret_id AS "secretId", counter, arrived_at AS "arrivedAt",
  created_at AS "createdAt", last_used_at AS "lastUsedAt", expires_at AS "expiresAt", ended, version`
const ROW = `${LISTED}, identity`

/** Sessions in PostgreSQL 12 or later, through statements that each are one atomic step. Creates its tables if they are missing. */
export function postgresStore ({ pool, table = 'token_exchange_sessions' }: PostgresStoreOptions): SessionStore {
  if (typeof pool?.query !== 'function') {
    throw new errors.OptionInvalidError('postgresStore: pool must have query(text, values)')
  }
  const { sessions, revocations, spent, channel } = tablesOf(table)
  let created: Promise<void> | undefined

  async function query (text: string, values: unknown[]): Promise<Readonly<Record<string, unknown>>[]> {
    created ??= createTables().catch(error => { created = undefined; throw error })
    await created
    return await rowsOf(text, values)
  }

  async function rowsOf (text: string, values: unknown[]): Promise<Readonly<Record<string, unknown>>[]> {
    const { rows } = await pool.query(text, values)
    return rows.map(recordOf)
  }

  // Asked first: a role that may not create tables can use those that are there.
  async function createTables (): Promise<void> {
    const found = await rowsOf(
      'SELECT to_regclass($1) IS NOT NULL AND to_regclass($2) IS NOT NULL AND to_regclass($3) IS NOT NULL AS ready',
      [sessions, revocations, spent]
    )
    if (found[0]?.ready === true) return
    for (const statement of postgresSchema(table)) await rowsOf(statement, []).catch(passOverExisting)
  }

  // One writer of the list at a time, until it has committed: a reader that saw a number has seen all smaller ones.
  async function append (entries: readonly Revocation[], ended: readonly string[]): Promise<void> {
    await query(
      `WITH turn AS MATERIALIZED (SELECT pg_advisory_xact_lock(hashtext($2)) WHERE $1::text <> '[]'),
      entries AS (INSERT INTO ${revocations} (kind, issuer, id, at, expires_at)
        SELECT entry->>0, entry->>1, entry->>2, (entry->>3)::bigint, (entry->>4)::bigint
        FROM turn, jsonb_array_elements($1::text::jsonb) AS entry RETURNING seq),
      ended AS (UPDATE ${sessions} SET ended = true, identity = '', version = version + 1
        WHERE id = ANY($4::text[]) AND NOT ended RETURNING id)
      SELECT pg_notify($3, '') FROM (SELECT count(*) AS number FROM entries) AS written WHERE number > 0`,
      [
        JSON.stringify(entries.map(({ kind, issuer, id, at, expiresAt }) => [kind, issuer, id, at, expiresAt])),
        revocations,
        channel.slice(1, -1),
        ended
      ]
    )
  }

  // The entry at the cursor is read again: where it is another one, or none, this is another list, or an old end of it
  // that has been swept. With the last entry the next read begins behind all that were left out.
  async function revocationsAfter (cursor: string | null, since: number): Promise<RevocationPage> {
    const rows = await query(
      `SELECT seq, kind, issuer, id, at, expires_at AS "expiresAt" FROM ${revocations}
      WHERE seq >= $1::bigint AND (expires_at > $2::bigint OR seq = (SELECT max(seq) FROM ${revocations}))
      ORDER BY seq LIMIT ${PAGE + 1}`,
      cursor === null ? ['0', since] : [cursor.split('.')[0], 0]
    )
    if (cursor !== null && cursorOf(rows[0]) !== cursor) return await revocationsAfter(null, since)
    const entries = cursor === null ? rows : rows.slice(1)
    return {
      revocations: entries.map(revocationOf).filter(entry => entry !== null),
      cursor: cursorOf(rows.at(-1))
    }
  }

  return {
    async create (session) {
      await query(
        `INSERT INTO ${sessions} (${COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
        valuesOf(session)
      )
    },
    async read (id) {
      const [row] = await query(`SELECT ${ROW} FROM ${sessions} WHERE id = $1`, [id])
      return row === undefined ? null : sessionOf(row)
    },
    async replace (session) {
      const rows = await query(
        `UPDATE ${sessions} SET user_id = $3, identity = $4, secret_id = $5, counter = $6, arrived_at = $7,
        created_at = $8, last_used_at = $9, expires_at = $10, ended = $11, version = $12
        WHERE id = $1 AND issuer = $2 AND version = $12::bigint - 1 RETURNING id`,
        valuesOf(session)
      )
      return rows.length === 1
    },
    async list (issuer, userId, limit) {
      const rows = await query(
        `SELECT ${LISTED} FROM ${sessions} WHERE user_id = $1 AND issuer = $2 AND NOT ended
        ORDER BY created_at LIMIT $3`,
        [userId, issuer, limit]
      )
      return rows.map(listedOf).filter(session => session !== null)
    },
    end: async (ids, entries) => await append(entries, ids),
    revoke: async entries => await append(entries, []),
    revocations: revocationsAfter,
    async spend (keys) {
      if (keys.length === 0) return true
      const until = await spendUntil(now)
      const digests = keys.map(({ key }) => createHash('sha256').update(key).digest('base64url'))
      const rows = await query(`INSERT INTO ${spent} (key, expires_at) SELECT * FROM unnest($1::text[], $2::bigint[])
        WHERE extract(epoch FROM clock_timestamp()) * 1000 <= $3::bigint RETURNING key`,
      [digests, keys.map(({ expiresAt }) => expiresAt), until]).catch(noneIfSpent)
      if (rows?.length === 0) throw new errors.StoreUnavailableError('the store was too late to spend a nonce')
      return rows !== null
    },
    async sweep (time) {
      await query(`DELETE FROM ${sessions} WHERE expires_at <= $1`, [time - keptAfterExpiry])
      await query(`DELETE FROM ${spent} WHERE expires_at <= $1`, [time])
      await query(`DELETE FROM ${revocations} WHERE at <= $1`, [time - revocationsKept])
    },
    now,
    subscribe: wake => postgresListener(pool, channel, wake)
  }

  async function now (): Promise<number> {
    const [row] = await query('SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now', [])
    return integerOf(row?.now) ?? Date.now()
  }
}

function valuesOf (session: Session): unknown[] {
  const {
    id,
    issuer,
    userId,
    identity,
    secretId,
    counter,
    arrivedAt,
    createdAt,
    lastUsedAt,
    expiresAt,
    ended,
    version
  } = session
  return [id, issuer, userId, identity, secretId, counter, arrivedAt, createdAt, lastUsedAt, expiresAt, ended, version]
}

function cursorOf (row: Readonly<Record<string, unknown>> | undefined): string | null {
  return row === undefined ? null : `${row.seq}.${row.at}`
}

// A unique violation undoes the whole statement: all or nothing.
function noneIfSpent (error: unknown): null {
  if (codeOf(error) === UNIQUE_VIOLATION) return null
  throw error
}

// IF NOT EXISTS does not keep two servers that start together apart: one of them hits the other's catalogue rows.
function passOverExisting (error: unknown): [] {
  if (EXISTS_ALREADY.includes(codeOf(error) ?? '')) return []
  throw error
}
