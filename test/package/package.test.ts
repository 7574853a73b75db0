import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'

const run = promisify(execFile)
const root = join(import.meta.dirname, '..', '..')
const stories = join(import.meta.dirname, 'stories')

// `npm test` has built it: a build during the tests would take it away from those that run at the same time.
// An empty application with the packed tarball in it, and of other packages only what package.json declares:
// a dependency that was forgotten there is missing here.
async function installPacked (folder: string): Promise<{ files: string[], size: number }> {
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
    cwd: root
  })
  const [{ filename, files, size }] = JSON.parse(stdout)
  const modules = join(folder, 'node_modules')
  const target = join(modules, 'fastify-token-exchange')
  mkdirSync(target, { recursive: true })
  await run('tar', ['-xzf', join(folder, filename), '-C', target, '--strip-components=1'])
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  for (const name of Object.keys({ ...dependencies, ...peerDependencies })) {
    mkdirSync(dirname(join(modules, name)), { recursive: true })
    symlinkSync(join(root, 'node_modules', name), join(modules, name))
  }
  return { files: files.map(({ path }: { path: string }) => path), size }
}

t.test('the packed tarball, in an empty application', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'fastify-token-exchange-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const { files, size } = await installPacked(folder)

  t.test('holds the build, the licence, the change log and nothing else', async t => {
    const strange = files.filter(
      path => !/^(?:dist\/.*\.(?:js|cjs|d\.ts|d\.cts)|LICENSE|README\.md|CHANGELOG\.md|package\.json)$/.test(path)
    )
    t.same(strange, [])
    for (const path of [
      'LICENSE',
      'README.md',
      'package.json',
      'dist/index.js',
      'dist/index.cjs',
      'dist/index.d.ts',
      'dist/index.d.cts'
    ]) { t.ok(files.includes(path), path) }
  })

  t.test('is at most 350 kB', async t => {
    t.ok(size <= 350_000, `${size} bytes`)
  })

  for (const [file, says] of [['story.mjs', 'ES module'], ['story.cjs', 'CommonJS']] as const) {
    t.test(`is imported and does the main job: ${says}`, async t => {
      copyFileSync(join(stories, file), join(folder, file))
      const { stdout } = await run(process.execPath, [file], { cwd: folder })
      t.match(stdout, `the story holds: ${says}`)
    })
  }
})
