import { KEPT_AFTER_EXPIRY, REVOCATIONS_KEPT, type Session, type SessionStore } from 'fastify-token-exchange/stores'
import type { Database } from './database.js'

export const ownTables = [
  `CREATE TABLE IF NOT EXISTS app_session (id text PRIMARY KEY, issuer text NOT NULL, user_id text NOT NULL,
    body text NOT NULL, ended boolean NOT NULL, version bigint NOT NULL, expires_at bigint NOT NULL)`,
  'CREATE INDEX IF NOT EXISTS app_session_user ON app_session (user_id)',
  'CREATE TABLE IF NOT EXISTS app_revocation (number bigint PRIMARY KEY, body text NOT NULL, at bigint NOT NULL)',
  'CREATE TABLE IF NOT EXISTS app_counter (name text PRIMARY KEY, value bigint NOT NULL)',
  'CREATE TABLE IF NOT EXISTS app_spent (key text PRIMARY KEY, expires_at bigint NOT NULL)'
]

/** Sessions in tables of the application's own. Each operation is one statement, which the database makes atomic. */
export function ownStore (database: Pick<Database, 'query'>): SessionStore {
  const query = (text: string, values: unknown[]) => database.query(text, values)
  const readSession = ({ body, ended, version }: Record<string, unknown>): Session =>
    ({ ...JSON.parse(String(body)), ended: ended === true, version: Number(version) })
  const valuesOf = (session: Session): unknown[] => [
    session.id,
    session.issuer,
    session.userId,
    JSON.stringify(session),
    session.ended,
    session.version,
    session.expiresAt
  ]

  return {
    async create (session) {
      await query(
        'INSERT INTO app_session (id, issuer, user_id, body, ended, version, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)',
        valuesOf(session)
      )
    },
    async read (id) {
      const { rows: [row] } = await query('SELECT body, ended, version FROM app_session WHERE id = $1', [id])
      return row === undefined ? null : readSession(row)
    },
    // The compare-and-set: of many callers with one version, one finds the row as it was.
    async replace (session) {
      const { rows } = await query(
        `UPDATE app_session SET user_id = $3, body = $4, ended = $5, version = $6, expires_at = $7
        WHERE id = $1 AND issuer = $2 AND version = $6::bigint - 1 RETURNING id`,
        valuesOf(session)
      )
      return rows.length === 1
    },
    async list (issuer, userId) {
      const { rows } = await query(
        'SELECT body, ended, version FROM app_session WHERE user_id = $1 AND issuer = $2 AND NOT ended',
        [userId, issuer]
      )
      return rows.map(readSession)
    },
    async end (ids) {
      await query('UPDATE app_session SET ended = true, version = version + 1 WHERE id = ANY ($1)', [ids])
    },
    // The counter's row is locked until the statement has committed: whoever reads number 7 has been able to read 6.
    async revoke (revocations) {
      await query(
        `WITH next AS (
          INSERT INTO app_counter VALUES ('revocation', 1) ON CONFLICT (name) DO UPDATE SET value = app_counter.value + 1 RETURNING value
        ) INSERT INTO app_revocation (number, body, at) SELECT value, $1, $2 FROM next`,
        [JSON.stringify(revocations), Date.now()]
      )
    },
    async revocations (cursor) {
      const { rows } = await query(
        'SELECT number, body FROM app_revocation WHERE number > $1 ORDER BY number LIMIT 1000',
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
    async sweep (now) {
      await query('DELETE FROM app_session WHERE expires_at <= $1', [now - KEPT_AFTER_EXPIRY])
      await query('DELETE FROM app_revocation WHERE at <= $1', [now - REVOCATIONS_KEPT])
      await query('DELETE FROM app_spent WHERE expires_at <= $1', [now])
    }
  }
}
