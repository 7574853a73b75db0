import { listLimit, type ListedSession, type Session, type SessionStore } from '../store.js'
import { decodeFields, listedOf, sessionOf, type Fields } from './codec.js'
import { isStorable, type PostgresQuery, type PostgresValue } from './postgres-client.js'
import { identityKeyInRow, type PostgresTables } from './postgres-schema.js'

const listed = `id, issuer, user_id AS "userId", secret_id AS "secretId", counter, arrived_at AS "arrivedAt",
  created_at AS "createdAt", last_used_at AS "lastUsedAt", expires_at AS "expiresAt", ended, version,
  identity_key AS "identityKey", provider_session AS "providerSession", data`

// A server of an earlier version writes none.
const ofIdentity = `(identity_key = $1 OR (identity_key IS NULL AND ${identityKeyInRow} = $1))`

/** The rows of sessions. */
export type PostgresSessions = Pick<
  SessionStore, 'create' | 'read' | 'replace' | 'list' | 'listByIdentity' | 'listByProviderSession'
>

export function postgresSessions (query: PostgresQuery, tables: PostgresTables): PostgresSessions {
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

  return {
    create,
    read,
    replace,
    list: (issuer, userId, limit) => listWhere('user_id = $1', userId, issuer, limit),
    listByIdentity: (issuer, identityKey, limit = listLimit) => listWhere(ofIdentity, identityKey, issuer, limit),
    listByProviderSession: (issuer, providerSession, limit = listLimit) =>
      listWhere('provider_session = $1', providerSession, issuer, limit)
  }
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
