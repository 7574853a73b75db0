import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const root = join(import.meta.dirname, '../..')

/** The pages by their names: README.md is `README`, docs/guards.md `guards`. Those of docs/api are generated. */
export const pages: ReadonlyMap<string, string> = new Map(
  ['README.md', ...markdownBelow('docs').filter(path => !path.startsWith('docs/api/'))]
    .map(path => [path.replace(/^docs\//, '').replace(/\.md$/, ''), readFileSync(join(root, path), 'utf8')])
)

export function markdownBelow (directory: string): string[] {
  return readdirSync(join(root, directory), { recursive: true, encoding: 'utf8' })
    .filter(path => path.endsWith('.md'))
    .map(path => `${directory}/${path}`)
}

/**
 * Which test runs the blocks of a page: test/readme.test.ts, or test/readme-sessions.test.ts. Of every other page each
 * block is a part of a file of the example, which has tests of its own (test/docs.test.ts).
 */
export const pagesOf = {
  readme: [
    'README', 'getting-started', 'login', 'guards', 'own-provider', 'testing', 'security', 'deployment',
    'redirect-logins', 'observability', 'migrating', 'azure-dialect', 'providers/README', 'providers/facebook',
    'providers/google', 'providers/apple', 'providers/microsoft', 'providers/github', 'providers/oidc',
    'providers/introspection'
  ],
  sessions: ['sessions', 'own-store', 'other-services']
} as const

/** The blocks of code of a page, in order, by the heading that they stand under: the second there is `heading 2`. */
export function readBlocks (text: string): ReadonlyMap<string, string> {
  const blocks = new Map<string, string>()
  let heading = ''
  for (const [, title, code] of text.matchAll(/^#+ (.*)$|^```\w*\n([^]*?)^```$/gm)) {
    if (title !== undefined) heading = title.replaceAll('`', '')
    if (code === undefined) continue
    let name = heading
    for (let count = 2; blocks.has(name); count++) name = `${heading} ${count}`
    blocks.set(name, code)
  }
  return blocks
}

/** The blocks of some pages, each by its page and its heading: `guards#Types of your own`. */
export interface Blocks {
  /** The text of one, which is then tested. */
  block (name: string): string
  /** Those that no test has asked for. */
  left (): string[]
}

export function openBlocks (names: readonly string[]): Blocks {
  const blocks = new Map<string, string>(names.flatMap(name =>
    Array.from(readBlocks(page(name)), ([heading, text]) => [`${name}#${heading}`, text] as const)))
  const asked = new Set<string>()
  return {
    block (name) {
      asked.add(name)
      return blocks.get(name) ?? `there is no block ${name}`
    },
    left: () => [...blocks.keys()].filter(name => !asked.has(name))
  }
}

/** A page of the documentation, of which a table is read. */
export function page (name: string): string {
  return pages.get(name) ?? ''
}

export interface Workshop {
  readonly directory: string
  write (file: string, text: string): void
  remove (): void
}

/** A directory like an application's: the package by its name, its dependencies, the key files of the pages. */
export function openWorkshop (): Workshop {
  const directory = mkdtempSync(join(tmpdir(), 'readme-'))
  const write = (file: string, text: string): void => writeFileSync(join(directory, file), text)
  mkdirSync(directory, { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'))
  write('package.json', JSON.stringify({ type: 'module' }))
  write(
    'tsconfig.json',
    JSON.stringify({
      extends: join(root, 'example/tsconfig.json'),
      compilerOptions: { allowJs: true },
      include: ['*.ts']
    })
  )
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  write('signing-key.pem', privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
  write('signing-key.pub.pem', publicKey.export({ type: 'spki', format: 'pem' }).toString())
  write(
    'AuthKey_FGHIJ67890.p8',
    generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  )
  return { directory, write, remove: () => rmSync(directory, { recursive: true, force: true }) }
}

/** The variables that the blocks read. */
export function blockVariables (): Record<string, string> {
  const secret = (): string => randomBytes(32).toString('hex')
  return {
    SIGNING_SECRET: secret(),
    OLD_SIGNING_SECRET: secret(),
    FACEBOOK_APP_SECRET: secret(),
    GITHUB_CLIENT_SECRET: secret(),
    INTROSPECTION_SECRET: secret(),
    REFRESH_SECRET: secret(),
    OLD_REFRESH_SECRET: secret()
  }
}
