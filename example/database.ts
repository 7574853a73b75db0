import { PGlite } from '@electric-sql/pglite'
import type { Identity, Permissions, UserLevel } from 'fastify-token-exchange'
import pg from 'pg'
import { people, providerNames } from './people.js'

/** What the application asks of its database: PostgreSQL, or PGlite, which is PostgreSQL in this process. */
export interface Database {
  query<Row extends Record<string, unknown>> (text: string, values?: unknown[]): Promise<{ rows: Row[] }>
  /** A connection of its own, to listen on. PGlite has but one. */
  connect? (): Promise<unknown>
  close (): Promise<void>
}

const schema = [
  `CREATE TABLE IF NOT EXISTS users (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider text NOT NULL,
    subject  text NOT NULL,
    name     text,
    level    text NOT NULL DEFAULT 'authenticated' CHECK (level IN ('authenticated', 'admin')),
    UNIQUE (provider, subject)
  )`,
  'ALTER TABLE users ADD COLUMN IF NOT EXISTS blocked boolean NOT NULL DEFAULT false',
  `CREATE TABLE IF NOT EXISTS user_permissions (
    user_id    bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    permission text NOT NULL,
    PRIMARY KEY (user_id, permission)
  )`
]

// One statement each: a user is never without the permissions that come with it, however many logins run at once.
const insertSeed = `
  WITH seeded AS (
    INSERT INTO users (provider, subject, name, level, blocked) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT DO NOTHING RETURNING id
  )
  INSERT INTO user_permissions
  SELECT id, permission FROM seeded, unnest(ARRAY['todo:read', 'todo:write']) AS permission`

const insertAtFirstLogin = `
  WITH registered AS (
    INSERT INTO users (provider, subject, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING id
  )
  INSERT INTO user_permissions SELECT id, 'todo:read' FROM registered`

const selectPermissions = `
  SELECT level,
    ARRAY(SELECT permission FROM user_permissions WHERE user_id = users.id ORDER BY permission) AS permissions
  FROM users WHERE provider = $1 AND subject = $2 AND NOT blocked`

/**
 * Opens PostgreSQL where there is a URL, else PGlite in a directory or, without one, in memory.
 *
 * @throws Error in one sentence, which names the remedy, where PostgreSQL does not answer
 */
export async function openDatabase (url: string | undefined, directory: string | undefined): Promise<Database> {
  const database: Database = url === undefined ? new PGlite(directory) : connect(url)
  if (url !== undefined) await database.query('SELECT 1').catch(failUnreachable)
  for (const statement of schema) await database.query(statement)
  for (const { name, seed, subjects } of Object.values(people)) {
    if (seed === null) continue
    for (const provider of providerNames) {
      await database.query(insertSeed, [provider, subjects[provider], name, seed.level, seed.blocked])
    }
  }
  return database
}

function failUnreachable ({ code, message }: NodeJS.ErrnoException): never {
  throw new Error(`DATABASE_URL names a PostgreSQL that says ${code ?? message}: start it, or leave it out for PGlite.`)
}

function connect (connectionString: string): Database {
  // A connection that the network drops without a word is given up after these, and replaced.
  const pool = new pg.Pool({ connectionString, query_timeout: 5_000, connectionTimeoutMillis: 5_000 })
  // A connection that breaks while idle: the pool replaces it, and without a listener Node would exit.
  pool.on('error', error => console.error(`PostgreSQL: ${error.message}`))
  return {
    query: (text, values) => pool.query(text, values),
    connect: () => pool.connect(),
    close: () => pool.end()
  }
}

/** The permission lookup: what the database says of this identity, whom it registers at the first login. */
export async function permissionsOf (
  database: Database,
  { provider, subject, name }: Identity
): Promise<Permissions | null> {
  await database.query(insertAtFirstLogin, [provider, subject, name])
  const {
    rows: [user]
  } = await database.query<{ level: UserLevel, permissions: string[] }>(selectPermissions, [provider, subject])
  return user ?? null
}
