import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, symlinkSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { build } from 'tsup'
import type { Identity } from '../src/identity.js'
import type { Sessions, SessionsContext } from '../src/sessions/sessions.js'
import type { SessionStore } from '../src/sessions/store.js'
import type { memoryStore, postgresStore, redisStore } from '../src/sessions/stores/index.js'

// Sessions as they are, and as the first release had them: both bundled in the same way, from their sources.

/** What is compared with: the rooms moved since, the work did not. */
const firstRelease = '04fa716'

const modules = ['sessions/sessions', 'sessions/session-options', 'sessions/stores/index']

/** Puts both into the folder, for the processes under test to find. */
export async function bundleReleases (folder: string): Promise<void> {
  const source = join(folder, 'source')
  mkdirSync(source)
  for (const place of [folder, source]) symlinkSync(resolve('node_modules'), join(place, 'node_modules'))
  const archive = execFileSync('git', ['archive', firstRelease], { maxBuffer: 1e9 })
  execFileSync('tar', ['-x', '-C', source], { input: archive })
  await bundle(source, join(folder, 'first'))
  await bundle(resolve('.'), join(folder, 'now'))
}

async function bundle (root: string, outDir: string): Promise<void> {
  await build({
    config: false,
    silent: true,
    entry: Object.fromEntries(modules.map(module => [module, join(root, 'src', `${module}.ts`)])),
    format: 'esm',
    outExtension: () => ({ js: '.mjs' }),
    target: 'node20',
    outDir
  })
}

/** The stores of a release. */
export interface Stores {
  memoryStore: typeof memoryStore
  redisStore: typeof redisStore
  postgresStore: typeof postgresStore
}

interface Release<Api> extends Stores {
  /** @param defaults for what the options leave out; each release has its own form, and here nothing is left out */
  resolveSessionOptions (options: object, defaults: readonly string[]): unknown
  createSessions (options: unknown, context: SessionsContext): Api
}

/** One chain of refresh tokens. */
export interface Chains {
  begin (): Promise<string>
  /** The next refresh token. */
  refresh (token: string): Promise<string>
}

type MakeStore = (stores: Stores) => SessionStore

interface FirstSessions {
  start (identity: Identity, userId: string): Promise<{ refreshToken: string }>
  refresh (token: string, lookup: () => Promise<{ userId: string }>): Promise<{ refreshToken: string }>
}

const lookup = async (): Promise<{ userId: string }> => ({ userId: 'google:1' })

export async function sessionsNow (folder: string, makeStore: MakeStore, identity: Identity): Promise<Chains> {
  const sessions = await load<Sessions>(join(folder, 'now'), makeStore)
  return {
    begin: async () => (await sessions.begin(identity, 'google:1', sessions.mark())).refreshToken,
    async refresh (token) {
      const claim = await sessions.present(token)
      return (await claim.advance((await lookup()).userId)).refreshToken
    }
  }
}

export async function firstSessions (folder: string, makeStore: MakeStore, identity: Identity): Promise<Chains> {
  const sessions = await load<FirstSessions>(join(folder, 'first'), makeStore)
  return {
    begin: async () => (await sessions.start(identity, 'google:1')).refreshToken,
    refresh: async token => (await sessions.refresh(token, lookup)).refreshToken
  }
}

async function load<Api> (folder: string, makeStore: MakeStore): Promise<Api> {
  const parts = await Promise.all(modules.map(module => import(join(folder, `${module}.mjs`))))
  const release: Release<Api> = Object.assign({}, ...parts)
  const options = { store: makeStore(release), secrets: [randomBytes(32).toString('base64url')] }
  return release.createSessions(release.resolveSessionOptions(options, []), {
    issuer: 'https://api.example.com',
    accessTokenLifetime: 3600,
    clockTolerance: 5,
    report: () => {},
    events: { isHeard: () => false, publish: () => {} }
  })
}
