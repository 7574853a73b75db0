import { randomBytes } from 'node:crypto'
import { addressOf, urlOf, type Address } from './address.js'

/** What the programs of the example read from the environment. */
export interface Settings {
  readonly address: Address
  /** `iss` of the access tokens. */
  readonly issuer: string
  readonly logLevel: string
  /** Of browser apps elsewhere. */
  readonly origins: readonly string[]
  /** `postgres://…`; without it PGlite, an embedded PostgreSQL. */
  readonly databaseUrl: string | undefined
  /** Where PGlite keeps its files; without it in memory. */
  readonly pgliteDirectory: string | undefined
  /** `redis://…`, for sessions; without it they are in PostgreSQL, or in memory where there is none. */
  readonly redisUrl: string | undefined
  readonly signingSecret: string
  readonly applicationKey: string
  readonly masterKey: string
}

/** Reads them; one that cannot be is said in one sentence, and ends the program. */
export async function readSettings ({
  PORT = '3000', HOST = '127.0.0.1', ISSUER, LOG_LEVEL = 'warn', ORIGINS = '',
  DATABASE_URL, PGLITE_DIRECTORY, REDIS_URL,
  SIGNING_SECRET = random(), APPLICATION_KEY = random(), MASTER_KEY = random()
}: NodeJS.ProcessEnv): Promise<Settings> {
  const address = await addressOf(HOST, PORT).catch(giveUp)
  return {
    address,
    issuer: ISSUER ?? issuerAt(address),
    logLevel: LOG_LEVEL,
    origins: ORIGINS.split(' ').filter(origin => origin !== ''),
    databaseUrl: DATABASE_URL,
    pgliteDirectory: PGLITE_DIRECTORY,
    redisUrl: REDIS_URL,
    signingSecret: SIGNING_SECRET,
    applicationKey: APPLICATION_KEY,
    masterKey: MASTER_KEY
  }
}

/** Says in one sentence why the program cannot start. */
export function giveUp ({ message }: Error): never {
  console.error(message)
  process.exit(1)
}

/** Plain http is for this machine only: in a private network the issuer stays the loopback. */
function issuerAt ({ url, port }: Address): string {
  const { hostname } = new URL(url)
  return hostname === '[::1]' || hostname === '127.0.0.1' ? url : urlOf('127.0.0.1', port)
}

function random (): string {
  return randomBytes(32).toString('hex')
}
