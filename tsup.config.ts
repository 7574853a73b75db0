import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'tsup'

export default defineConfig({
  entry: {
    index: 'src/index.ts',
    'providers/index': 'src/providers/index.ts',
    'sessions/stores/index': 'src/sessions/stores/index.ts',
    'testing/index': 'src/testing/index.ts'
  },
  format: ['esm', 'cjs'],
  target: 'node20',
  clean: true,
  sourcemap: true,
  dts: false,
  onSuccess: emitTypes
})

// Declarations come from tsc, file by file: a bundler of declarations turns interfaces into aliases,
// and an application could no longer merge its own members into TokenExchangeTypes.
async function emitTypes (): Promise<void> {
  const { status } = spawnSync('npx', ['tsc', '-p', 'tsconfig.build.json'], { stdio: 'inherit' })
  if (status !== 0) throw new Error('tsc could not emit the declarations')
  for (const path of declarations('dist')) {
    writeFileSync(
      path.replace(/\.d\.ts$/, '.d.cts'),
      readFileSync(path, 'utf8').replaceAll(/(from '|import\(')(\.[^']*)\.js'/g, "$1$2.cjs'")
    )
  }
}

function declarations (folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(path => path.endsWith('.d.ts'))
    .map(path => join(folder, path))
}
