import type pg from 'pg'
import type { Session } from '../../src/sessions/store.js'

/** The tables of the first version, as its servers made them. */
export const firstTables = [
  `CREATE TABLE IF NOT EXISTS "token_exchange_sessions" (
  id text COLLATE "C" PRIMARY KEY,
  issuer text NOT NULL,
  user_id text NOT NULL,
  identity text NOT NULL,
  secret_id text NOT NULL,
  counter bigint NOT NULL,
  arrived_at bigint,
  created_at bigint NOT NULL,
  last_used_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  ended boolean NOT NULL,
  version bigint NOT NULL
) WITH (fillfactor = 85)`,
  'CREATE INDEX IF NOT EXISTS "token_exchange_sessions_user" ON "token_exchange_sessions" (user_id)',
  `CREATE TABLE IF NOT EXISTS "token_exchange_sessions_revocations" (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL,
  issuer text NOT NULL,
  id text NOT NULL,
  at bigint NOT NULL,
  expires_at bigint NOT NULL
)`,
  `CREATE TABLE IF NOT EXISTS "token_exchange_sessions_spent" (
  key text COLLATE "C" PRIMARY KEY,
  expires_at bigint NOT NULL
)`
]

const row = `id, issuer, user_id AS "userId", identity, secret_id AS "secretId", counter, arrived_at AS "arrivedAt",
  created_at AS "createdAt", last_used_at AS "lastUsedAt", expires_at AS "expiresAt", ended, version`

/** A server of the first version: its statements, as they were. */
export function firstStore (pool: pg.Pool) {
  const table = 'token_exchange_sessions'
  const valuesOf = (session: Session) => [
    session.id, session.issuer, session.userId, session.identity, session.secretId, session.counter, session.arrivedAt,
    session.createdAt, session.lastUsedAt, session.expiresAt, session.ended, session.version
  ]
  return {
    async create (session: Session) {
      await pool.query(`INSERT INTO ${table} (id, issuer, user_id, identity, secret_id, counter, arrived_at, created_at,
        last_used_at, expires_at, ended, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
      valuesOf(session))
    },
    async read (id: string): Promise<Record<string, unknown>> {
      return (await pool.query(`SELECT ${row} FROM ${table} WHERE id = $1`, [id])).rows[0]
    },
    async replace (session: Session) {
      const { rows } = await pool.query(
        `UPDATE ${table} SET user_id = $3, identity = $4, secret_id = $5, counter = $6, arrived_at = $7,
        created_at = $8, last_used_at = $9, expires_at = $10, ended = $11, version = $12
        WHERE id = $1 AND issuer = $2 AND version = $12::bigint - 1 RETURNING id`,
        valuesOf(session)
      )
      return rows.length === 1
    },
    async list (issuer: string, userId: string): Promise<{ id: string }[]> {
      const text = `SELECT ${row} FROM ${table} WHERE user_id = $1 AND issuer = $2 AND NOT ended`
      return (await pool.query(text, [userId, issuer])).rows
    },
    async end (ids: string[]) {
      await pool.query(`UPDATE ${table} SET ended = true, identity = '', version = version + 1
        WHERE id = ANY($1::text[]) RETURNING id`, [ids])
    },
    async revoke (id: string) {
      await pool.query(
        `WITH turn AS MATERIALIZED (SELECT pg_advisory_xact_lock(hashtext($2))),
        entries AS (INSERT INTO ${table}_revocations (kind, issuer, id, at, expires_at)
          SELECT entry->>0, entry->>1, entry->>2, (entry->>3)::bigint, (entry->>4)::bigint
          FROM turn, jsonb_array_elements($1::jsonb) AS entry RETURNING seq)
        SELECT pg_notify($3, '') FROM (SELECT count(*) FROM entries) AS written`,
        [JSON.stringify([['session', 'i', id, Date.now(), Date.now() + 1000]]), `"${table}_revocations"`, table]
      )
    }
  }
}
