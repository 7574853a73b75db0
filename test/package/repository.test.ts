import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'

const root = join(import.meta.dirname, '../..')
const fileOf = (path: string): string => readFileSync(join(root, path), 'utf8')
const { scripts, engines, exports, typesVersions } = JSON.parse(fileOf('package.json'))
const ci = parse(fileOf('.github/workflows/ci.yml'))
const release = parse(fileOf('.github/workflows/release.yml'))

const textsThatNameScripts = [
  '.ci/run',
  '.github/pull_request_template.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(root, '.github/workflows')).map(file => `.github/workflows/${file}`)
]

t.test('every script that the workflows and the papers name is there', async t => {
  for (const path of textsThatNameScripts) {
    const text = fileOf(path)
    for (const [, name = ''] of text.matchAll(/npm run ([\w:-]+)/g)) t.type(scripts[name], 'string', `${path}: ${name}`)
    for (const [script] of text.matchAll(/\.ci\/[\w-]+/g)) t.ok(existsSync(join(root, script)), `${path}: ${script}`)
  }
})

t.test('CONTRIBUTING.md has every room, and every benchmark', async t => {
  const text = fileOf('CONTRIBUTING.md')
  const rooms = readdirSync(join(root, 'src'), { withFileTypes: true }).filter(entry => entry.isDirectory())
  for (const { name } of rooms) t.ok(text.includes(`\`${name}/\``), name)
  for (const name of Object.keys(scripts).filter(script => script.startsWith('bench:'))) {
    t.ok(text.includes(`npm run ${name}`), name)
  }
})

t.test('each supported Node meets the first and the newest Fastify 5', async t => {
  t.same(ci.jobs.test.strategy.matrix, { node: [20, 22, 24], fastify: ['5.0.0', '5'] })
  t.match(engines.node, /^>=20\./)
  const steps: Array<{ run?: string, env?: object }> = ci.jobs.test.steps
  t.match(steps.find(({ run }) => run === 'npm test')?.env, { REQUIRE_SERVERS: 1 })
})

t.test('jobs read only, and what is published says where it comes from', async t => {
  for (const workflow of [ci, release]) {
    t.same(workflow.permissions, { contents: 'read' })
    for (const job of Object.values<object>(workflow.jobs)) t.hasOwnProps(job, ['timeout-minutes', 'steps'])
  }
  t.equal(release.jobs.publish.needs, 'check')
  t.equal(release.jobs.publish.permissions['id-token'], 'write')
  t.ok(release.jobs.publish.steps.some(({ run = '' }) => run.includes('npm publish --provenance')))
})

t.test('the other YAML of GitHub parses', async t => {
  t.equal(parse(fileOf('.github/dependabot.yml')).version, 2)
  for (const file of readdirSync(join(root, '.github/ISSUE_TEMPLATE'))) {
    t.type(parse(fileOf(`.github/ISSUE_TEMPLATE/${file}`)), 'object', file)
  }
})

// `moduleResolution: node10` does not read `exports`.
t.test('what the package exports has types for resolvers that know no exports', async t => {
  for (const [path, conditions] of Object.entries<{ import?: { types: string } }>(exports)) {
    if (path === '.' || conditions.import === undefined) continue
    t.same(typesVersions['*'][path.slice(2)], [conditions.import.types], path)
  }
})
