import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Redis } from 'ioredis'
import pg from 'pg'
import t, { type Test } from 'tap'
import { postgresMissing, redisMissing, startPostgres, startRedis } from '../sessions/servers.js'
import { run } from './program.js'
import { curlMissing, paste } from './shell.js'

const { scripts } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'))

const everyone = '200 Hello, everyone'
const missing = '401 AUTH_ERR_CREDENTIAL_MISSING'
const application = '200 Hello, application example'
const user = '200 Hello, user facebook:10158000000000008'
const invalid = '401 AUTH_ERR_TOKEN_INVALID'

/** What the groups of printed lines show, by their title. @param forbidden what a known user is told who may not */
const expectedWith = (forbidden: 401 | 403): ReadonlyArray<[string, string[]]> => [
  ['Log in with a Facebook token', ['200 facebook:10158000000000008 authenticated todo:read']],
  ['A token that Facebook gave to another app', ['401 AUTH_ERR_GRANT_REJECTED']],
  ['Without a credential', [everyone, missing, missing, missing]],
  ['With the application key', [everyone, application, missing, missing]],
  ['Keep the access token of the user and that of an administrator', ['', '']],
  ['With the token of the user', [everyone, missing, user, `${forbidden} AUTH_ERR_LEVEL_INSUFFICIENT`]],
  [
    'With the application key and the token of the user',
    [everyone, application, user, `${forbidden} AUTH_ERR_LEVEL_INSUFFICIENT`]
  ],
  [
    'With the token of an administrator',
    [
      everyone,
      missing,
      '200 Hello, user facebook:10158000000000007',
      '200 Hello, administrator facebook:10158000000000007'
    ]
  ],
  [
    'With the master key',
    [everyone, '200 Hello, application operations', '200 Hello, user operations', '200 Hello, administrator operations']
  ],
  ['With a token that this server did not write', [invalid, invalid, invalid, invalid]],
  ['Log in once more, and keep both tokens of the session', ['', '', '']],
  [
    'New tokens for the refresh token, and the same again for a phone that lost the answer',
    ['200 facebook:10158000000000008 authenticated todo:read', '200 facebook:10158000000000008 authenticated todo:read']
  ],
  ['Where this user is logged in', ['200 3 sessions']],
  ['Log out; then both tokens are refused', ['204', '401 AUTH_ERR_TOKEN_REVOKED', '400 AUTH_ERR_SESSION_REVOKED']],
  [
    'Log in with the tokens of other providers',
    [
      '200 google:110169484474386276334 authenticated todo:read',
      '200 apple:001234.5a1b2c3d4e5f60718293a4b5c6d7e8f9.1234 authenticated todo:read',
      '200 microsoft:72f988bf-0000-4000-8000-2d7cd011db47:690222be-ff1a-4d56-abd1-7e4f7d38e474 authenticated todo:read',
      '200 github:583231 authenticated todo:read',
      '200 oidc:user-1 authenticated todo:read',
      '200 introspection:user-1 authenticated todo:read'
    ]
  ]
]

t.test('npm start prints one address, which answers as the documentation says, and ends when asked to', async t => {
  const program = run(scripts.start, { PORT: '0' })
  t.teardown(() => program.kill())
  const [, url = ''] = await program.until(/^Open (http:\/\/127\.0\.0\.1:\d+)\n.*\n/)
  t.equal(program.output().match(/http:/g)?.length, 1, 'one address')
  const metadata = await answerOf(`${url}/.well-known/oauth-authorization-server`)
  t.match(metadata.body, { issuer: url, authorization_endpoint: `${url}/authorize` }, 'host and issuer agree')
  t.match(await answerOf(`${url}/api/auth`), { status: 401, body: { code: 'AUTH_ERR_CREDENTIAL_MISSING' } })

  const taken = run(scripts.start, { PORT: new URL(url).port })
  t.teardown(() => taken.kill())
  t.equal(await taken.ended(), 1)
  t.match(taken.output(), /^Port \d+ is taken by another program: .* PORT=\d+\.\n$/, 'one sentence, with the remedy')
  t.equal(await program.interrupt(), 0, 'Ctrl-C ends it in order')
})

for (const [name, value, sentence] of [
  ['PORT', 'http', /^PORT is "http": .*\n$/],
  ['HOST', 'nowhere.invalid', /^HOST is "nowhere.invalid", .*\n$/]
] as const) {
  t.test(`${name}=${value} is refused in one sentence`, async t => {
    const program = run(scripts.start, { PORT: '0', [name]: value })
    t.teardown(() => program.kill())
    t.equal(await program.ended(), 1)
    t.match(program.output(), sentence)
  })
}

t.test('npm start -- --curl prints commands, and each answers as it says', { skip: curlMissing }, async t => {
  await walk(t, { in: 'memory' })
})

t.test('npm run example:azure prints them too; a known user is told 401', { skip: curlMissing }, async t => {
  await walk(t, { in: 'memory', command: scripts['example:azure'], forbidden: 401 })
})

t.test('on PostgreSQL the same commands answer the same', { skip: curlMissing || postgresMissing }, async t => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.remove())
  const url = `postgres://postgres@127.0.0.1:${postgres.port}/postgres`
  const client = await connect(url)
  t.teardown(() => client.end())
  await walk(t, { in: 'PostgreSQL', env: { DATABASE_URL: url } })

  const users = "SELECT subject, level, blocked FROM users WHERE provider = 'facebook' ORDER BY subject"
  const { rows } = await client.query(users)
  t.strictSame(
    rows,
    [
      { subject: '10158000000000007', level: 'admin', blocked: false },
      { subject: '10158000000000008', level: 'authenticated', blocked: false },
      { subject: '10158000000000009', level: 'authenticated', blocked: true }
    ],
    'users are kept in it'
  )
  const sessions = await client.query('SELECT count(*)::int AS ended FROM token_exchange_sessions WHERE ended')
  t.strictSame(sessions.rows, [{ ended: 1 }], 'and sessions, of which one has ended')
})

t.test('with Redis, sessions are kept in it', { skip: curlMissing || redisMissing }, async t => {
  const redis = await startRedis('no')
  t.teardown(() => redis.remove())
  const client = new Redis(redis.port, '127.0.0.1')
  t.teardown(() => client.disconnect())
  await walk(t, { in: 'Redis', env: { REDIS_URL: `redis://127.0.0.1:${redis.port}` } })
  t.equal(await client.xlen('token-exchange:{revocations}'), 1, 'the logout')
})

interface Walk { in: string, env?: Record<string, string>, command?: string, forbidden?: 401 | 403 }

async function walk (
  t: Test,
  { in: place, env = {}, command = `${scripts.start} --curl`, forbidden = 403 }: Walk
): Promise<void> {
  const expected = expectedWith(forbidden)
  const program = run(command, { PORT: '0', ...env })
  t.teardown(() => program.kill())
  await program.until(/^curl .*\/login\/introspection .*\n/m)
  t.match(program.output(), `keeps sessions in ${place}.`)
  const groups = groupsOf(program.output())
  t.strictSame(groups.map(({ title }) => title), expected.map(([title]) => title))

  const answers = await paste(groups.flatMap(({ commands }) => commands))
  for (const { title, statuses, commands } of groups) {
    const got = answers.splice(0, commands.length).map(brief)
    t.strictSame(got, new Map(expected).get(title), title)
    t.equal(statuses, got.map(answer => answer.slice(0, 3)).join(' ').trim(), `${title}: the statuses that it promises`)
  }
  t.equal(await program.stop(), 0, 'SIGTERM ends it in order')
}

interface Group { title: string, statuses: string, commands: string[] }

function groupsOf (output: string): Group[] {
  return output.trim().split('\n\n').slice(1).map(group => {
    const [heading = '', ...commands] = group.split('\n')
    const [, title = '', statuses = ''] = /^# ([^:]*)(?:: ([\d ]+))?$/.exec(heading) ?? []
    return { title, statuses, commands }
  })
}

/** A printed answer such as `{"message":"Hello"} 200`, in a few words. */
function brief (printed: string): string {
  if (printed === '') return ''
  const status = printed.slice(-3)
  if (printed === status) return status
  const { message, code, errorCode = code, user, sessions } = JSON.parse(printed.slice(0, -4))
  if (sessions !== undefined) return `${status} ${sessions.length} sessions`
  return user === undefined
    ? `${status} ${errorCode ?? message}`
    : `${status} ${user.userId} ${user.level} ${user.permissions}`
}

async function answerOf (url: string): Promise<{ status: number, body: unknown }> {
  const answer = await fetch(url)
  return { status: answer.status, body: await answer.json() }
}

// A server that has just been made accepts connections before it accepts logins.
async function connect (url: string): Promise<pg.Client> {
  for (let attempt = 0; ; attempt++) {
    const client = new pg.Client(url)
    try {
      await client.connect()
      return client
    } catch (error) {
      if (attempt === 100) throw error
      await pause(50)
    }
  }
}
