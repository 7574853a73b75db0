import { codeOf, errors } from '../../errors.js'
import { refused, type Reader } from '../../options/values.js'
import { integerOf, type Fields } from './codec.js'

/** The names of the tables, quoted, and of the channel. */
export interface PostgresTables {
  readonly sessions: string
  readonly revocations: string
  readonly spent: string
  readonly kept: string
  readonly schema: string
  readonly channel: string
}

/** `name` or `schema.name`, which may stand in a statement as they are. */
export const tableName: Reader<string> = (value, path) => {
  if (typeof value !== 'string' || !/^[A-Za-z_][A-Za-z0-9_]{0,39}(\.[A-Za-z_][A-Za-z0-9_]{0,39})?$/.test(value)) {
    throw refused(path, 'must be a name, or schema.name, of letters, digits and underscores')
  }
  return value
}

export function tablesOf (table: string): PostgresTables {
  return {
    sessions: quoted(table),
    revocations: quoted(`${table}_revocations`),
    spent: quoted(`${table}_spent`),
    kept: quoted(`${table}_kept`),
    schema: quoted(`${table}_schema`),
    channel: table.replace('.', '/')
  }
}

/** `identityKey` out of the identity, whose text begins with what it is made of; null where there is none. */
export const identityKeyInRow =
  String.raw`'[' || substring(identity FROM '^{"provider":("[^"\\]*"),"subject":"') || ',' ||
  substring(identity FROM '^{"provider":"[^"\\]*","subject":("(?:[^"\\]|\\.)*")') || ']'`

/** How many migrations there are: what the tables have to be for this release. */
const schemaVersion = 3

/**
 * The DDL of {@link postgresStore}, one statement each, for those who create and upgrade their tables themselves: for
 * none, and for those of any earlier version. Servers of the version before go on working on the upgraded tables.
 * The role that the servers connect with needs SELECT, INSERT, UPDATE and DELETE on them.
 *
 * @param table @default 'token_exchange_sessions'
 * @throws errors.OptionInvalidError
 */
export function postgresSchema (table = 'token_exchange_sessions'): string[] {
  return migrationsOf(tableName(table, 'table')).flat()
}

type Query = (text: string) => Promise<Fields[]>

/**
 * Creates and upgrades the tables where they are not as they have to be.
 *
 * @throws errors.StoreUnavailableError where the role lacks rights that each statement of the store needs
 */
export async function prepareTables (query: Query, table: string): Promise<void> {
  const found = await query(inventoryOf(tablesOf(table)))
  const lacking = found.filter(row => row.lacking !== null)
  if (lacking.length > 0) {
    const grants = lacking.map(row => `GRANT ${row.lacking} ON ${row.name}`).join(', ')
    throw new errors.StoreUnavailableError(`the role of the pool lacks rights: ${grants} to it`)
  }
  const isThere = found.every(({ exists }) => exists === true)
  if (!isThere || await versionOf(query, table) < schemaVersion) await query(migrationOf(table))
}

/** What an operator has to do about an error of PostgreSQL; undefined where that is not known. */
export function remedyFor (error: unknown, table: string): string | undefined {
  return new Map([
    ['42501', `the role of the pool may not do this: run the statements of postgresSchema('${table}') as one that ` +
      'may, and GRANT SELECT, INSERT, UPDATE, DELETE on the tables to that of the pool'],
    ['42P01', `tables are missing: run the statements of postgresSchema('${table}')`],
    ['42703', `the tables are of another version: run the statements of postgresSchema('${table}')`],
    ['3F000', `the schema of ${table} does not exist: CREATE SCHEMA`],
    ['25006', 'the database is read-only: connect the pool to the primary']
  ]).get(codeOf(error) ?? '')
}

// What each statement of the store needs, and no more.
function inventoryOf ({ sessions, revocations, spent, kept, schema }: PostgresTables): string {
  const rights = [[sessions, 'SELECT INSERT UPDATE DELETE'], [revocations, 'SELECT INSERT DELETE'],
    [spent, 'SELECT INSERT DELETE'], [kept, 'SELECT INSERT UPDATE DELETE'], [schema, 'SELECT']] as const
  const needed = rights.flatMap(([name, all]) => all.split(' ').map(right => `('${name}', '${right}')`))
  return `SELECT name, to_regclass(name) IS NOT NULL AS exists,
  string_agg(privilege, ', ') FILTER (WHERE NOT has_table_privilege(to_regclass(name), privilege)) AS lacking
FROM (VALUES ${needed.join(', ')}) AS needed (name, privilege) GROUP BY name`
}

async function versionOf (query: Query, table: string): Promise<number> {
  const [row] = await query(`SELECT max(version) AS version FROM ${tablesOf(table).schema}`)
  return integerOf(row?.version) ?? 0
}

/** One atomic statement; of servers that start at once one does it, and the others wait for it. */
function migrationOf (table: string): string {
  return `DO $migration$ BEGIN
PERFORM pg_advisory_xact_lock(hashtext('${table} schema')), set_config('client_min_messages', 'warning', true);
${postgresSchema(table).join(';\n')};
END $migration$`
}

// A migration only adds. It can be repeated, and leaves a version that the release before can work with.
function migrationsOf (table: string): string[][] {
  const { sessions, revocations, spent, kept, schema } = tablesOf(table)
  const name = table.split('.').at(-1)
  const first = [
    // Space is left in the pages, and no index is on what a refresh changes: updates stay within their page (HOT).
    `CREATE TABLE IF NOT EXISTS ${sessions} (
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
    `CREATE TABLE IF NOT EXISTS ${revocations} (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL,
  issuer text NOT NULL,
  id text NOT NULL,
  at bigint NOT NULL,
  expires_at bigint NOT NULL
)`,
    `CREATE TABLE IF NOT EXISTS ${spent} (
  key text COLLATE "C" PRIMARY KEY,
  expires_at bigint NOT NULL
)`
  ]
  const second = [
    // Whatever is not queried and came later is in `data`. What the first version has a column for stays in it.
    `ALTER TABLE ${sessions} ADD COLUMN IF NOT EXISTS data text NOT NULL DEFAULT '{}'`,
    `CREATE INDEX IF NOT EXISTS "${name}_of_user" ON ${sessions} (user_id, created_at) WHERE NOT ended`,
    `DROP INDEX IF EXISTS ${quoted(`${table}_user`)}`,
    `CREATE TABLE IF NOT EXISTS ${schema} (version integer PRIMARY KEY)`,
    `INSERT INTO ${schema} VALUES (2) ON CONFLICT DO NOTHING`
  ]
  const third = [
    `ALTER TABLE ${sessions} ADD COLUMN IF NOT EXISTS identity_key text`,
    `ALTER TABLE ${sessions} ADD COLUMN IF NOT EXISTS provider_session text`,
    // An index holds 2704 bytes of a text at most.
    `UPDATE ${sessions} SET identity_key = ${identityKeyInRow}
  WHERE identity_key IS NULL AND NOT ended AND octet_length(${identityKeyInRow}) < 2000`,
    `CREATE INDEX IF NOT EXISTS "${name}_of_identity" ON ${sessions} (identity_key, created_at) WHERE NOT ended`,
    `CREATE INDEX IF NOT EXISTS "${name}_of_provider_session" ON ${sessions} (provider_session, created_at)
  WHERE provider_session IS NOT NULL AND NOT ended`,
    `CREATE TABLE IF NOT EXISTS ${kept} (
  key text COLLATE "C" PRIMARY KEY,
  value text NOT NULL,
  expires_at bigint NOT NULL
)`,
    `INSERT INTO ${schema} VALUES (3) ON CONFLICT DO NOTHING`
  ]
  return [first, second, third]
}

function quoted (name: string): string {
  return name.split('.').map(part => `"${part}"`).join('.')
}
