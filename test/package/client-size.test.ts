import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import t from 'tap'

// As an application's bundler takes it, from the build that is published.
t.test('the client is at most 4 KiB gzipped, and asks for nothing else', async t => {
  const { outputFiles: [bundle], metafile } = await build({
    entryPoints: [join(import.meta.dirname, '../../dist/client/index.js')],
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    write: false,
    metafile: true
  })
  const size = gzipSync(bundle?.contents ?? '').length
  t.ok(size > 1000 && size <= 4096, `${size} bytes`)
  t.equal(Object.keys(metafile.inputs).length, 1)
  t.strictSame(Object.values(metafile.inputs).flatMap(({ imports }) => imports), [])
})
