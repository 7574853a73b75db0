import { ESLint } from 'eslint'
import { join } from 'node:path'
import t from 'tap'

const root = join(import.meta.dirname, '../..')

// The files of the first table do not exist, so they are read without types.
const rooms = new ESLint({
  cwd: root,
  ruleFilter: ({ ruleId }) => ruleId === 'rooms/imports',
  overrideConfig: { files: ['**/*.ts'], languageOptions: { parserOptions: { projectService: false } } }
})

async function refusalsOf (eslint: ESLint, file: string, text: string): Promise<string[]> {
  const [result] = await eslint.lintText(`${text}\n`, { filePath: join(root, file) })
  return (result?.messages ?? []).map(({ ruleId, message }) => ruleId ?? message)
}

const forbidden: ReadonlyArray<readonly [file: string, text: string]> = [
  ['src/errors.ts', "import { identity } from './identity.js'"],
  ['src/options/values.ts', "import { createSessions } from '../sessions/sessions.js'"],
  ['src/http/client.ts', "import { google } from '../providers/google.js'"],
  ['src/providers/google.ts', "import { createSessions } from '../sessions/sessions.js'"],
  ['src/providers/google.ts', "import type { FetchError } from '../login/ask-provider.js'"],
  ['src/providers/google.ts', "import fastify from 'fastify'"],
  ['src/permissions/permissions.ts', "import { createIssuer } from '../tokens/issuer.js'"],
  ['src/permissions/permissions.ts', "export * from '../tokens/issuer.js'"],
  ['src/permissions/permissions.ts', "export { createIssuer } from '../tokens/issuer.js'"],
  ['src/permissions/permissions.ts', "export const late = () => import('../tokens/issuer.js')"],
  ['src/permissions/permissions.ts', "export type Issuer = import('../tokens/issuer.js').Issuer"],
  ['src/tokens/claims.ts', "import cors from '@fastify/cors'"],
  ['src/tokens/verifier.ts', "import { createSessions } from '../sessions/sessions.js'"],
  ['src/sessions/sessions.ts', "import { login } from '../login/login.js'"],
  ['src/sessions/stores/redis.ts', "import { decide } from '../../guards/decide.js'"],
  ['src/sessions/refresh-token.ts', "import plugin from 'fastify-plugin'"],
  ['src/login/login.ts', "import { createGuards } from '../guards/guards.js'"],
  ['src/guards/decide.ts', "import fastify from 'fastify'"],
  ['src/guards/guards.ts', "import { login } from '../login/login.js'"],
  ['src/routes/token.ts', "import { azure } from '../azure/dialect.js'"],
  ['src/routes/token.ts', "import { createServer } from '../server.js'"],
  ['src/azure/login.ts', "import { google } from '../providers/index.js'"],
  ['src/azure/login.ts', "import type { TokenExchangePlugin } from '../plugin.js'"],
  ['src/options/options.ts', "import { createServer } from '../server.js'"],
  ['src/server.ts', "import { tokenExchange } from './plugin.js'"],
  ['src/server.ts', "import { google } from './providers/index.js'"],
  ['src/plugin.ts', "import { tokenExchange } from './index.js'"],
  ['src/index.ts', "export { google } from './providers/index.js'"],
  ['src/testing/site.ts', "import { createGuards } from '../guards/guards.js'"],
  ['src/client/client.ts', "import { codes } from '../errors.js'"],
  ['src/client/client.ts', "import { randomBytes } from 'node:crypto'"],
  ['src/telemetry/instrument.ts', "import { createSessions } from '../sessions/sessions.js'"],
  ['src/shed/shed.ts', 'export const shed = null']
]

const allowed: ReadonlyArray<readonly [file: string, text: string]> = [
  ['src/providers/google.ts', "import { fetchKeys } from '../http/key-set.js'"],
  ['src/providers/google.ts', "import type { FastifyRequest } from 'fastify'"],
  ['src/providers/google.ts', "import { type FastifyRequest } from 'fastify'"],
  ['src/providers/oidc.ts', "import { redirect } from './redirect.js'"],
  ['src/tokens/claims.ts', "import { parse } from '../strict-json.js'"],
  ['src/routes/token.ts', "import type { Server } from '../server.js'"],
  ['src/routes/token.ts', "import { login } from '../login/login.js'"],
  ['src/plugin.ts', "import { createServer } from './server.js'"],
  ['src/options/options.ts', "import { readSessions } from '../sessions/session-options.js'"],
  ['src/client/client.ts', "import { storage } from './storage.js'"]
]

t.test('a room that imports what is closed to it fails lint', async t => {
  for (const [file, text] of forbidden) {
    t.same(await refusalsOf(rooms, file, text), ['rooms/imports'], `${file}: ${text}`)
  }
})

t.test('and what is open to it does not', async t => {
  for (const [file, text] of allowed) t.same(await refusalsOf(rooms, file, text), [], `${file}: ${text}`)
})

t.test('promises that nobody waits for, long lines and shouted constants fail lint', async t => {
  const typed = new ESLint({ cwd: root })
  const rows: ReadonlyArray<readonly [rule: string, text: string]> = [
    ['@typescript-eslint/no-floating-promises', 'Promise.resolve(1)'],
    ['@typescript-eslint/no-misused-promises', '[1].forEach(async () => await Promise.resolve())'],
    ['@typescript-eslint/await-thenable', 'await 1'],
    ['@typescript-eslint/naming-convention', 'export const MAX_LENGTH = 1'],
    ['@stylistic/max-len', `// ${'x'.repeat(120)}`]
  ]
  for (const [rule, text] of rows) t.same(await refusalsOf(typed, 'src/errors.ts', text), [rule], text)
})
