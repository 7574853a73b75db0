import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { markdownBelow, pages, pagesOf, readBlocks, root } from './readme/blocks.js'

const fileOf = (path: string): string => readFileSync(join(root, path), 'utf8')
const pathOf = (page: string): string => page === 'README' ? 'README.md' : `docs/${page}.md`

// A recipe is a file, or a folder that is laid out as a framework wants it.
const filesOfRecipes = (): string[] =>
  readdirSync(join(root, 'example/recipes'), { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.ts'))

t.test('the README can be read in one sitting', async t => {
  t.ok(Buffer.byteLength(fileOf('README.md')) <= 12 * 1024)
})

t.test('every block of code of a page is run: by a test of pages, or as part of a file of the example', async t => {
  const run: readonly string[] = Object.values(pagesOf).flat()
  for (const page of run) t.ok(pages.has(page), `${page} exists`)
  const recipes = filesOfRecipes().map(name => fileOf(`example/recipes/${name}`))
  for (const [page, text] of pages) {
    if (run.includes(page)) continue
    for (const [name, block] of readBlocks(text)) {
      t.ok(recipes.some(recipe => recipe.includes(block)), `${page}#${name}`)
    }
  }
})

t.test('every recipe has a test, and a page that links it', async t => {
  const text = [...pages.values()].join('\n')
  for (const name of readdirSync(join(root, 'example/recipes'))) {
    t.ok(existsSync(join(root, 'test/recipes', `${name.replace(/\.ts$/, '')}.test.ts`)), name)
    t.ok(text.includes(`](../example/recipes/${name})`), `a link to ${name}`)
  }
})

t.test('every page is found from the README', async t => {
  for (const page of pages.keys()) if (page !== 'README') t.ok(fileOf('README.md').includes(`](${pathOf(page)}`), page)
})

/** Anchors that stand there, and those that GitHub makes of headings. */
function anchorsOf (text: string): string[] {
  const seen = new Map<string, number>()
  const written = [...text.matchAll(/<a id="([^"]+)">/g)].map(([, name = '']) => name)
  const made = [...withoutCode(text).matchAll(/^#+ (.*)$/gm)].map(([, title = '']) => {
    const words = title.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase().replace(/[^\p{L}\p{N}_ -]/gu, '')
    const name = words.replaceAll(' ', '-')
    const count = seen.get(name) ?? 0
    seen.set(name, count + 1)
    return count === 0 ? name : `${name}-${count}`
  })
  return [...written, ...made]
}

function withoutCode (text: string): string {
  return text.replace(/^```[^]*?^```$/gm, '')
}

t.test('every relative link leads to a file, and to a heading of it', async t => {
  const files = [
    'README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md', 'bench/README.md', ...markdownBelow('docs')
  ]
  for (const file of files) {
    for (const [, link = ''] of withoutCode(fileOf(file)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link)) continue
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? file : join(dirname(file), path)
      if (!existsSync(join(root, target))) t.fail(`${file}: ${link}`)
      else if (anchor !== undefined) t.ok(anchorsOf(fileOf(target)).includes(anchor), `${file}: ${link}`)
    }
  }
})
