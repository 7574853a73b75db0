import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readBlocks, root } from './readme/blocks.js'

const pages = readdirSync(join(root, 'docs')).filter(file => file.endsWith('.md'))
const fileOf = (path: string): string => readFileSync(join(root, path), 'utf8')

t.test('every block of code of a page is part of a file of the example, which has tests of its own', async t => {
  t.ok(pages.length > 0)
  for (const page of pages) {
    const blocks = [...readBlocks(fileOf(`docs/${page}`)).values()]
    const recipe = `example/recipes/${page.replace('.md', '.ts')}`
    t.ok(blocks.length > 0, page)
    for (const { text } of blocks) t.ok(fileOf(recipe).includes(text), page)
    t.ok(existsSync(join(root, `test/recipes/${page.replace('.md', '.test.ts')}`)), page)
  }
})

t.test('the pages are found from the README, and their links lead somewhere', async t => {
  const readme = fileOf('README.md')
  for (const page of pages) {
    t.ok(readme.includes(`](docs/${page})`), page)
    for (const [, target = ''] of fileOf(`docs/${page}`).matchAll(/\]\(([\w-]+\.md)\)/g)) {
      t.ok(pages.includes(target), `${page}: ${target}`)
    }
  }
})
