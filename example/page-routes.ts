import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { build } from 'esbuild'
import type { FastifyInstance } from 'fastify'

const directory = join(import.meta.dirname, 'page')
const require = createRequire(import.meta.url)

/** Nothing runs, loads or is called but what this server serves itself. */
const contentSecurityPolicy = [
  "default-src 'none'", "script-src 'self'", "style-src 'self'", "font-src 'self'", "img-src 'self'",
  "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"
].join('; ')

const fonts = {
  'geist.woff2': '@fontsource-variable/geist/files/geist-latin-wght-normal.woff2',
  'geist-mono.woff2': '@fontsource-variable/geist-mono/files/geist-mono-latin-wght-normal.woff2'
}

/** No part of the API. */
const hidden = { schema: { hide: true } }

/** The page at `/`: HTML, a style sheet, fonts, and a script that is bundled here. */
export async function pageRoutes (app: FastifyInstance, issuer: string): Promise<void> {
  const files: Array<[path: string, type: string, body: Buffer | string]> = [
    ['/page.css', 'text/css', await readFile(join(directory, 'page.css'))],
    ['/page.js', 'text/javascript', await bundle()],
    ['/icon.svg', 'image/svg+xml', await readFile(join(directory, 'icon.svg'))]
  ]
  for (const [name, path] of Object.entries(fonts)) {
    files.push([`/fonts/${name}`, 'font/woff2', await readFile(require.resolve(path))])
  }
  for (const [path, type, body] of files) {
    app.get(path, hidden, async (_request, reply) =>
      reply.type(type).header('x-content-type-options', 'nosniff').send(body))
  }

  const html = await readFile(join(directory, 'index.html'))
  app.get('/', hidden, async (request, reply) => {
    // The server is called by the name that its tokens have: logins by redirect come back to it.
    if (request.hostname === 'localhost') return reply.redirect(`${issuer}/`)
    return reply
      .type('text/html; charset=utf-8')
      .headers({
        'content-security-policy': contentSecurityPolicy,
        'referrer-policy': 'no-referrer',
        'x-content-type-options': 'nosniff',
        'cache-control': 'no-store'
      })
      .send(html)
  })
}

async function bundle (): Promise<string> {
  const { outputFiles: [script] } = await build({
    entryPoints: [join(directory, 'page.ts')],
    tsconfig: join(directory, 'tsconfig.json'),
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022'
  })
  return script?.text ?? ''
}
