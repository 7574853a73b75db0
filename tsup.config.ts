import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { defineConfig } from 'tsup'

const entries = [
  'index', 'applications/index', 'client/index', 'providers/index', 'sessions/stores/index', 'telemetry/index',
  'testing/index'
]

export default defineConfig({
  entry: Object.fromEntries(entries.map(entry => [entry, `src/${entry}.ts`])),
  format: ['esm', 'cjs'],
  target: 'node20',
  clean: true,
  dts: false,
  // Names and lines stay, for stack traces; only what JavaScript can say more shortly is shortened.
  esbuildOptions (options) { options.minifySyntax = true },
  onSuccess: writeTypes
})

// Declarations come from tsc, file by file: a bundler of declarations turns interfaces into aliases,
// and an application could no longer merge its own members into TokenExchangeTypes.
async function writeTypes (): Promise<void> {
  const { status } = spawnSync('npx', ['tsc', '-p', 'tsconfig.build.json'], { stdio: 'inherit' })
  if (status !== 0) throw new Error('tsc could not emit the declarations')
  removeUnreachable()
  for (const entry of entries) writeFileSync(`dist/${entry}.d.cts`, typesOfCommonJs(entry))
}

/** Most of the rooms are nobody's business outside: only what an entry names, however indirectly, is published. */
function removeUnreachable (): void {
  const reachable = new Set<string>()
  const visit = (path: string): void => {
    if (reachable.has(path)) return
    reachable.add(path)
    const imports = readFileSync(path, 'utf8').matchAll(/(?:from |import\()'(\.[^']*)\.js'/g)
    for (const [, source = ''] of imports) visit(join(dirname(path), `${source}.d.ts`))
  }
  for (const entry of entries) visit(join('dist', `${entry}.d.ts`))
  const all = readdirSync('dist', { recursive: true, encoding: 'utf8' }).map(path => join('dist', path))
  for (const path of all) if (path.endsWith('.d.ts') && !reachable.has(path)) rmSync(path)
}

/**
 * The types of what `require` answers: those of the ES module, by reference. With declarations of their own, a program
 * of both kinds of modules would augment Fastify's interfaces twice, and TypeScript refuses that.
 */
function typesOfCommonJs (entry: string): string {
  const module = `'./${entry.split('/').at(-1)}.js' with { 'resolution-mode': 'import' }`
  const values = Object.keys(createRequire(import.meta.url)(resolve(`dist/${entry}.cjs`)))
  const declarations = values.map(name => name === 'default'
    ? 'declare const main: typeof esm.default\nexport { main as default }'
    : `export declare const ${name}: typeof esm.${name}`)
  return `import type * as esm from ${module}\nexport type * from ${module}\n${declarations.join('\n')}\n`
}
