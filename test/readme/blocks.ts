import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const root = join(import.meta.dirname, '../..')
export const readme = readFileSync(join(root, 'README.md'), 'utf8')

export interface Block {
  readonly language: string
  readonly text: string
  /** The title of the second level that it stands under. */
  readonly section: string
}

/** The blocks of code by the heading that they stand under; the second below one heading is called `heading 2`. */
export function readBlocks (page = readme): ReadonlyMap<string, Block> {
  const blocks = new Map<string, Block>()
  const headings = [...page.matchAll(/^(#+) (.*)$|^```(\w*)\n([^]*?)^```$/gm)]
  let section = ''
  let heading = ''
  for (const [, depth, title, language, text] of headings) {
    if (title !== undefined) heading = title.replaceAll('`', '')
    if (depth === '##') section = heading
    if (language === undefined || text === undefined) continue
    let name = heading
    for (let count = 2; blocks.has(name); count++) name = `${heading} ${count}`
    blocks.set(name, { language, text, section })
  }
  return blocks
}

/** Sections that are many blocks each: test/readme-sessions.test.ts runs them. */
export const sectionsOfSessions: readonly string[] = ['Sessions', 'For other services']

export interface Workshop {
  readonly directory: string
  write (file: string, text: string): void
  remove (): void
}

/** A directory that looks like an application's: the package by its name, its dependencies, the README's key files. */
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
