import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { run } from './program.js'
import { paste } from './shell.js'

const { scripts } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'))

const everyone = '200 Hello, everyone'
const missing = '401 AUTH_ERR_CREDENTIAL_MISSING'
const application = '200 Hello, application example'
const user = '200 Hello, user facebook:10158000000000008'
const invalid = '401 AUTH_ERR_TOKEN_INVALID'

const table: [string, string[]] = [
  'A table, by the headers of the SDKs; rows belong to who made them',
  ['201 buy milk', '200 1 rows', '200 0 rows']
]

/** What the groups of printed lines show, by their title. @param forbidden what a known user is told who may not */
const expectedWith = (forbidden: 401 | 403, hasTable: boolean): ReadonlyArray<[string, string[]]> => [
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
  ...(hasTable ? [table] : []),
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

interface Walk { in: string, env?: Record<string, string>, program?: 'start' | 'example:azure', forbidden?: 401 | 403 }

/** Does what the program prints, in order. */
export async function walk (
  t: Test,
  { in: place, env = {}, program: script = 'start', forbidden = 403 }: Walk
): Promise<void> {
  const expected = expectedWith(forbidden, script === 'example:azure')
  const program = run(`${scripts[script]} --curl`, { PORT: '0', ...env })
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
  const answer = JSON.parse(printed.slice(0, -4))
  if (Array.isArray(answer)) return `${status} ${answer.length} rows`
  const { message, text = message, code, errorCode = code, user, sessions } = answer
  if (sessions !== undefined) return `${status} ${sessions.length} sessions`
  return user === undefined
    ? `${status} ${errorCode ?? text}`
    : `${status} ${user.userId} ${user.level} ${user.permissions}`
}
