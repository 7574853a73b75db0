import { errors } from '../../errors.js'

const TABLE = /^[A-Za-z_][A-Za-z0-9_]{0,39}(\.[A-Za-z_][A-Za-z0-9_]{0,39})?$/

/** The names of the three tables, quoted, and of the channel. */
export interface PostgresTables {
  readonly sessions: string
  readonly revocations: string
  readonly spent: string
  readonly channel: string
}

/** @throws errors.OptionInvalidError for anything but `name` or `schema.name` of letters, digits and underscores */
export function tablesOf (table: string): PostgresTables {
  if (typeof table !== 'string' || !TABLE.test(table)) {
    throw new errors.OptionInvalidError(
      'postgresStore: table must be a name, or schema.name, of letters, digits and underscores'
    )
  }
  const quoted = (suffix: string): string => `${table}${suffix}`.split('.').map(part => `"${part}"`).join('.')
  return {
    sessions: quoted(''),
    revocations: quoted('_revocations'),
    spent: quoted('_spent'),
    channel: `"${table.replace('.', '/')}"`
  }
}

/**
 * The DDL of {@link postgresStore}, one statement each, for those who create their tables themselves.
 * Space is left in the pages, and no index is on what a refresh changes: updates stay within their page (HOT).
 * @param table @default 'token_exchange_sessions'
 */
export function postgresSchema (table = 'token_exchange_sessions'): string[] {
  const { sessions, revocations, spent } = tablesOf(table)
  const index = `"${table.split('.').at(-1)}_user"`
  return [
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
    `CREATE INDEX IF NOT EXISTS ${index} ON ${sessions} (user_id)`,
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
}
