import { createHash } from 'node:crypto'
import { codeOf, errors } from '../../errors.js'
import { open } from '../../options/values.js'
import {
  keptAfterExpiry, revocationsKept, spendUntil, type Revocation, type RevocationPage, type SessionStore, type SpentKey
} from '../store.js'
import { encodeRevocation, integerOf, revocationOf, type Fields } from './codec.js'
import { postgresPool, queryOf, type PostgresPool } from './postgres-client.js'
import { postgresListener } from './postgres-listener.js'
import { tableName, tablesOf } from './postgres-schema.js'
import { postgresSessions } from './postgres-sessions.js'

const uniqueViolation = '23505'
/** Entries of the list of revocations that one call looks at. */
const pageSize = 5000

export interface PostgresStoreOptions {
  /**
   * The application's own pool: it is not ended here. With `query_timeout` and `connectionTimeoutMillis` (pg) it
   * notices that the network has dropped a connection; without, it waits as long as the kernel tries, 15 minutes.
   */
  pool: PostgresPool
  /** `name` or `schema.name`; four more tables begin with the same name. @default 'token_exchange_sessions' */
  table?: string
}

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
  const query = queryOf(pool, table)

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
    // A cast alone would round, and be ahead of this server's clock on one machine.
    const [row] = await query('SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now', [])
    return integerOf(row?.now) ?? Date.now()
  }

  return {
    ...postgresSessions(query, tables),
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

function cursorOf (row: Fields | undefined): string | null {
  return row === undefined ? null : `${row.seq}.${row.at}`
}

function digest (key: string): string {
  return createHash('sha256').update(key.isWellFormed() ? key : JSON.stringify(key)).digest('base64url')
}
