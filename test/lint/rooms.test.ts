import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'

const root = join(import.meta.dirname, '../..')

type Row = readonly [file: string, text: string]

// ESLint in a process of its own: what loads TypeScript for tests stands in the way of the packages that it loads.
// The files of the tables of rooms do not exist, so they are read without types.
const program = `
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ESLint } from 'eslint'
const { rows, isTyped, root } = JSON.parse(readFileSync(0, 'utf8'))
const untyped = {
  ruleFilter: ({ ruleId }) => ruleId === 'rooms/imports',
  overrideConfig: { files: ['**/*.ts'], languageOptions: { parserOptions: { projectService: false } } }
}
const eslint = new ESLint({ cwd: root, ...(!isTyped && untyped) })
const found = []
for (const [file, text] of rows) {
  const [result] = await eslint.lintText(text + '\\n', { filePath: join(root, file) })
  found.push((result?.messages ?? []).map(({ ruleId, message }) => ruleId ?? message))
}
console.log(JSON.stringify(found))`

/** The rules that each row breaks. */
function refusalsOf (rows: readonly Row[], isTyped = false): string[][] {
  const { NODE_OPTIONS: _ours, ...env } = process.env
  const input = JSON.stringify({ rows, isTyped, root })
  const printed = execFileSync(process.execPath, ['--input-type=module', '-e', program], { cwd: root, env, input })
  return JSON.parse(printed.toString())
}

const forbidden: readonly Row[] = [
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
  ['src/sessions/session-options.ts', "import { memoryStore } from './stores/memory.js'"],
  ['src/sessions/stores/redis.ts', "import { decide } from '../../guards/decide.js'"],
  ['src/sessions/refresh-token.ts', "import plugin from 'fastify-plugin'"],
  ['src/login/login.ts', "import { createGuards } from '../guards/guards.js'"],
  ['src/guards/decide.ts', "import fastify from 'fastify'"],
  ['src/guards/guards.ts', "import { login } from '../login/login.js'"],
  ['src/routes/token.ts', "import { azure } from '../azure/dialect.js'"],
  ['src/routes/token.ts', "import { createServer } from '../server.js'"],
  ['src/azure/login.ts', "import { google } from '../providers/index.js'"],
  ['src/azure/login.ts', "import type { TokenExchangePlugin } from '../plugin.js'"],
  ['src/plugin-options.ts', "import { createServer } from './server.js'"],
  ['src/guards/guards.ts', "import type { Server } from '../server.js'"],
  ['src/server.ts', "import { tokenExchange } from './plugin.js'"],
  ['src/server.ts', "import { azureDialect } from './azure/dialect.js'"],
  ['src/server.ts', "import { mountRoutes } from './routes/own-scope.js'"],
  ['src/server.ts', "import { google } from './providers/index.js'"],
  ['src/plugin.ts', "import { tokenExchange } from './index.js'"],
  ['src/openapi/document.ts', "import { createServer } from '../server.js'"],
  ['src/guards/guards.ts', "import { createSecurity } from '../openapi/security.js'"],
  ['src/index.ts', "export { google } from './providers/index.js'"],
  ['src/testing/site.ts', "import { createGuards } from '../guards/guards.js'"],
  ['src/client/client.ts', "import { codes } from '../errors.js'"],
  ['src/client/client.ts', "import { randomBytes } from 'node:crypto'"],
  ['src/telemetry/instrument.ts', "import { createSessions } from '../sessions/sessions.js'"],
  ['src/shed/shed.ts', 'export const shed = null']
]

const allowed: readonly Row[] = [
  ['src/providers/google.ts', "import { fetchKeys } from '../http/key-set.js'"],
  ['src/providers/google.ts', "import type { FastifyRequest } from 'fastify'"],
  ['src/providers/google.ts', "import { type FastifyRequest } from 'fastify'"],
  ['src/providers/oidc.ts', "import { redirect } from './redirect.js'"],
  ['src/tokens/claims.ts', "import { parse } from '../strict-json.js'"],
  ['src/routes/token.ts', "import type { Server } from '../server.js'"],
  ['src/routes/token.ts', "import { login } from '../login/login.js'"],
  ['src/plugin.ts', "import { createServer } from './server.js'"],
  ['src/plugin-options.ts', "import { readSessions } from './sessions/session-options.js'"],
  ['src/client/client.ts', "import { storage } from './storage.js'"]
]

t.test('a room that imports what is closed to it fails lint', async t => {
  const found = refusalsOf(forbidden)
  for (const [index, [file, text]] of forbidden.entries()) t.same(found[index], ['rooms/imports'], `${file}: ${text}`)
})

t.test('and what is open to it does not', async t => {
  const found = refusalsOf(allowed)
  for (const [index, [file, text]] of allowed.entries()) t.same(found[index], [], `${file}: ${text}`)
})

t.test('no room enters another that enters it', async t => {
  const { rooms: table, typesOf } = await import(join(root, 'eslint.rooms.js'))
  const imports = new Map<string, readonly string[]>(Object.entries(table))
  const types = new Map<string, readonly string[]>(Object.entries(typesOf))
  for (const [room, others] of types) imports.set(room, [...imports.get(room) ?? [], ...others])
  const below = (room: string, path: readonly string[]): readonly string[] => {
    if (path.includes(room)) throw new Error(`a circle: ${[...path, room].join(' → ')}`)
    return [room, ...(imports.get(room) ?? []).flatMap(other => below(other, [...path, room]))]
  }
  for (const room of imports.keys()) t.ok(below(room, []).length > 0, room)
})

t.test('promises that nobody waits for, long lines and shouted constants fail lint', async t => {
  const rows: ReadonlyArray<readonly [rule: string, text: string]> = [
    ['@typescript-eslint/no-floating-promises', 'Promise.resolve(1)'],
    ['@typescript-eslint/no-misused-promises', '[1].forEach(async () => await Promise.resolve())'],
    ['@typescript-eslint/await-thenable', 'await 1'],
    ['@typescript-eslint/naming-convention', 'export const MAX_LENGTH = 1'],
    ['@stylistic/max-len', `// ${'x'.repeat(120)}`]
  ]
  const found = refusalsOf(rows.map(([, text]) => ['src/errors.ts', text] as const), true)
  for (const [index, [rule, text]] of rows.entries()) t.same(found[index], [rule], text)
})
