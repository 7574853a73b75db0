import type { FastifyInstance } from 'fastify'
import tokenExchange, {
  authoritativeEmail, errors, userOf, type Identity, type PermissionLookup, type TokenExchangeOptions
} from 'fastify-token-exchange'

/** PGlite as it is. With pg: `{ query: (text, values) => pool.query(text, values) }`. */
export interface Database {
  query<Row extends Record<string, unknown>> (text: string, values?: unknown[]): Promise<{ rows: Row[] }>
}

const schema = [
  `CREATE TABLE IF NOT EXISTS users (
    id       uuid PRIMARY KEY,
    email    text UNIQUE, -- only an address whose provider is an authority for it
    is_admin boolean NOT NULL DEFAULT false,
    blocked  boolean NOT NULL DEFAULT false
  )`,
  `CREATE TABLE IF NOT EXISTS identities (
    provider text,
    subject  text,
    user_id  uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    PRIMARY KEY (provider, subject)
  )`
]

const selectUser = `
  SELECT users.* FROM users JOIN identities ON user_id = id WHERE provider = $1 AND subject = $2`

// One statement, identity first: of two first logins at once, one writes its row, and the other makes no user.
const insertUser = `
  WITH fresh AS (
    INSERT INTO identities (provider, subject, user_id)
    VALUES ($1, $2, coalesce((SELECT id FROM users WHERE email = $3), gen_random_uuid()))
    ON CONFLICT DO NOTHING RETURNING user_id
  )
  INSERT INTO users (id, email) SELECT user_id, $3 FROM fresh ON CONFLICT (id) DO NOTHING`

const insertIdentity = `
  INSERT INTO identities (provider, subject, user_id) SELECT $1, $2, id FROM users WHERE id = $3
  ON CONFLICT DO NOTHING`

const makeFirst = `
  UPDATE users SET is_admin = true WHERE NOT EXISTS (SELECT FROM users WHERE is_admin)
  AND id = (SELECT user_id FROM identities WHERE provider = $1 AND subject = $2) RETURNING id`

// The rows of all administrators are locked: two who dismiss each other at once do not both succeed.
const dismiss = `
  WITH others AS (SELECT id FROM users WHERE is_admin ORDER BY id FOR UPDATE)
  UPDATE users SET is_admin = false WHERE id = $1 AND (SELECT count(*) FROM others WHERE id <> $1) > 0 RETURNING id`

/** @param first the first administrator, `provider:subject`: the variable FIRST_ADMINISTRATOR */
export async function registerUsers (
  app: FastifyInstance,
  options: TokenExchangeOptions,
  database: Database,
  first: string | undefined
): Promise<void> {
  for (const statement of schema) await database.query(statement)
  const { rows } = await database.query('SELECT FROM users WHERE is_admin LIMIT 1')
  if (rows.length === 0) app.log.warn(await makeFirstAdministrator(database, first))

  await app.register(tokenExchange, { ...options, permissions: permissionsIn(database) })
  app.get('/me', { onRequest: app.requireUser() }, request => userOf(request))
  administratorRoutes(app, database)
}

/** Whoever the operator names, and never who comes first. @returns what to write into the log */
async function makeFirstAdministrator (database: Database, first: string | undefined): Promise<string> {
  if (first === undefined) return 'There is no administrator: set FIRST_ADMINISTRATOR to provider:subject'
  const [, provider = '', subject = ''] = /^([^:]+):(.+)$/.exec(first) ?? []
  if (subject === '') throw new Error('FIRST_ADMINISTRATOR must be provider:subject, as GET /me answers them')
  await database.query(insertUser, [provider, subject, null])
  await database.query(makeFirst, [provider, subject])
  return `There was no administrator: now it is ${first}`
}

interface User extends Record<string, unknown> { id: string, is_admin: boolean, blocked: boolean }

function permissionsIn (database: Database): PermissionLookup {
  return async (identity, { reason, user }) => {
    // A refresh makes nothing new: an identity that was unlinked meanwhile ends its session.
    const found = await find(identity) ?? (reason === 'refresh' ? null : await add(identity, user?.id))
    if (found === null || found.blocked) return null
    // The login carried the token of another user: this identity has an account of its own.
    if (user !== null && user.id !== found.id) return null
    return { userId: found.id, level: found.is_admin ? 'admin' : 'authenticated' }
  }

  async function find ({ provider, subject }: Identity): Promise<User | null> {
    const { rows: [row] } = await database.query<User>(selectUser, [provider, subject])
    return row ?? null
  }

  async function add (identity: Identity, userId: string | undefined): Promise<User | null> {
    if (userId === undefined) await register(identity)
    else await database.query(insertIdentity, [identity.provider, identity.subject, userId])
    return await find(identity)
  }

  async function register (identity: Identity): Promise<void> {
    const email = authoritativeEmail(identity)?.toLowerCase() ?? null
    if (email === null && await isTaken(identity.email)) throw new errors.LinkRequiredError()
    const values = [identity.provider, identity.subject, email]
    try {
      await database.query(insertUser, values)
    } catch (error) {
      // The same person, by two providers at once: an address is there once. Now there is a user to be found by it.
      if (Reflect.get(Object(error), 'code') !== '23505') throw error
      await database.query(insertUser, values)
    }
  }

  async function isTaken (email: string | null): Promise<boolean> {
    const { rows } = await database.query('SELECT FROM users WHERE email = $1', [email?.toLowerCase() ?? null])
    return rows.length > 0
  }
}

function administratorRoutes (app: FastifyInstance, database: Database): void {
  const one = {
    schema: { params: { type: 'object', properties: { id: { type: 'string', format: 'uuid' } } } },
    // A phone that was left on a table makes no administrators.
    onRequest: [app.requireLevel('admin'), app.requireRecentLogin({ maxAge: 300 })]
  }

  // It counts from the next refresh on, which the app may make at once.
  app.put<{ Params: { id: string } }>('/administrators/:id', one, async ({ params: { id } }, reply) => {
    const { rows } = await database.query('UPDATE users SET is_admin = true WHERE id = $1 RETURNING id', [id])
    return await reply.code(rows.length === 0 ? 404 : 204).send()
  })

  // It counts now: every token of this user is refused, on every server, and the lookup is asked at the next login.
  app.delete<{ Params: { id: string } }>('/administrators/:id', one, async ({ params: { id } }, reply) => {
    const { rows } = await database.query(dismiss, [id])
    if (rows.length === 0) return await reply.code(409).send({ message: 'No such user, or the last administrator' })
    await app.tokenExchange.revokeUser(id)
    return await reply.code(204).send()
  })
}
