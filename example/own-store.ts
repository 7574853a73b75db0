import {
  keptAfterExpiry,
  revocationsKept,
  type Revocation,
  type Session,
  type SessionStore
} from 'fastify-token-exchange/stores'
import type { Database } from './database.js'

export const ownTables = [
  `CREATE TABLE IF NOT EXISTS app_session (id text PRIMARY KEY, issuer text NOT NULL, user_id text NOT NULL,
    identity text NOT NULL, body text NOT NULL, ended boolean NOT NULL, version bigint NOT NULL,
    created_at bigint NOT NULL, expires_at bigint NOT NULL, identity_key text, provider_session text)`,
  'CREATE INDEX IF NOT EXISTS app_session_user ON app_session (user_id, created_at) WHERE NOT ended',
  'CREATE INDEX IF NOT EXISTS app_session_identity ON app_session (identity_key) WHERE NOT ended',
  'CREATE INDEX IF NOT EXISTS app_session_provider ON app_session (provider_session) WHERE NOT ended',
  'CREATE TABLE IF NOT EXISTS app_revocation (number bigint PRIMARY KEY, body text NOT NULL, at bigint NOT NULL)',
  'CREATE TABLE IF NOT EXISTS app_counter (name text PRIMARY KEY, value bigint NOT NULL)',
  'CREATE TABLE IF NOT EXISTS app_spent (key text PRIMARY KEY, expires_at bigint NOT NULL)',
  'CREATE TABLE IF NOT EXISTS app_kept (key text PRIMARY KEY, value text NOT NULL, expires_at bigint NOT NULL)'
]

/** Sessions in tables of the application's own. Each operation is one statement, which the database makes atomic. */
export function ownStore (database: Pick<Database, 'query'>): SessionStore {
  const query = (text: string, values: unknown[]) => database.query(text, values)
  const readSession = ({ body, ended, version, ...identity }: Record<string, unknown>): Session =>
    ({ ...JSON.parse(String(body)), ended: ended === true, version: Number(version), ...identity })
  const valuesOf = ({ identity, ...session }: Session): unknown[] => [
    session.id,
    session.issuer,
    session.userId,
    identity,
    JSON.stringify(session),
    session.ended,
    session.version,
    session.createdAt,
    session.expiresAt,
    session.identityKey,
    session.providerSession
  ]

  // One statement writes the list and the rows, so that neither is there without the other. The counter's row is
  // locked until it has committed: whoever reads number 7 has been able to read 6.
  async function append (revocations: readonly Revocation[], ended: readonly string[]): Promise<void> {
    await query(
      `WITH ended AS (
        UPDATE app_session SET ended = true, identity = '', version = version + 1 WHERE id = ANY ($3) AND NOT ended
      ), next AS (
        INSERT INTO app_counter SELECT 'revocation', 1 WHERE $1 <> '[]'
        ON CONFLICT (name) DO UPDATE SET value = app_counter.value + 1 RETURNING value
      ) INSERT INTO app_revocation (number, body, at) SELECT value, $1, $2 FROM next`,
      [JSON.stringify(revocations), Date.now(), ended]
    )
  }

  async function listBy (column: string, value: string, issuer: string, limit = 1000): Promise<Session[]> {
    const { rows } = await query(
      `SELECT body, ended, version FROM app_session WHERE ${column} = $1 AND issuer = $2 AND NOT ended
      ORDER BY created_at LIMIT $3`,
      [value, issuer, limit]
    )
    return rows.map(readSession)
  }

  return {
    async create (session) {
      await query('INSERT INTO app_session VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)', valuesOf(session))
    },
    async read (id) {
      const { rows: [row] } = await query('SELECT identity, body, ended, version FROM app_session WHERE id = $1', [id])
      return row === undefined ? null : readSession(row)
    },
    // The compare-and-set: of many callers with one version, one finds the row as it was.
    async replace (session) {
      const { rows } = await query(
        `UPDATE app_session SET user_id = $3, identity = $4, body = $5, ended = $6, version = $7, created_at = $8,
        expires_at = $9, identity_key = $10, provider_session = $11
        WHERE id = $1 AND issuer = $2 AND version = $7::bigint - 1 RETURNING id`,
        valuesOf(session)
      )
      return rows.length === 1
    },
    list: (issuer, userId, limit) => listBy('user_id', userId, issuer, limit),
    listByIdentity: (issuer, key, limit) => listBy('identity_key', key, issuer, limit),
    listByProviderSession: (issuer, key, limit) => listBy('provider_session', key, issuer, limit),
    end: (ids, revocations) => append(revocations, ids),
    revoke: revocations => append(revocations, []),
    // A cursor beyond the end is one of the list before the database was restored: begin again.
    async revocations (cursor) {
      const { rows } = await query(
        `SELECT number, body FROM app_revocation
        WHERE number > (SELECT CASE WHEN value >= $1::bigint THEN $1::bigint ELSE 0 END FROM app_counter)
        ORDER BY number LIMIT 1000`,
        [cursor ?? 0]
      )
      return {
        revocations: rows.flatMap(({ body }) => JSON.parse(String(body))),
        cursor: String(rows.at(-1)?.number ?? cursor ?? 0)
      }
    },
    // All or nothing: a key that is there undoes the whole statement.
    async spend (keys) {
      const inOrder = keys.toSorted((one, other) => one.key < other.key ? -1 : 1)
      try {
        await query('INSERT INTO app_spent SELECT * FROM unnest($1::text[], $2::bigint[])', [
          inOrder.map(({ key }) => key),
          inOrder.map(({ expiresAt }) => expiresAt)
        ])
        return true
      } catch (error) {
        if (error instanceof Error && Reflect.get(error, 'code') === '23505') return false
        throw error
      }
    },
    async keep (key, value, expiresAt) {
      await query(
        `INSERT INTO app_kept VALUES ($1, $2, $3)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at`,
        [key, value, expiresAt]
      )
    },
    async take (key) {
      const { rows: [row] } = await query('DELETE FROM app_kept WHERE key = $1 RETURNING value, expires_at', [key])
      return row === undefined || Number(row.expires_at) <= Date.now() ? null : String(row.value)
    },
    async sweep (now) {
      await query('DELETE FROM app_session WHERE expires_at <= $1', [now - keptAfterExpiry])
      await query('DELETE FROM app_revocation WHERE at <= $1', [now - revocationsKept])
      await query('DELETE FROM app_spent WHERE expires_at <= $1', [now])
      await query('DELETE FROM app_kept WHERE expires_at <= $1', [now])
    }
  }
}
