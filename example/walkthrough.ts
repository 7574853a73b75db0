import type { IdentityServer } from 'fastify-token-exchange/testing'
import { people, type Person } from './people.js'
import type { Settings } from './settings.js'

export interface Walk {
  /** Of the running server. */
  settings: Settings
  idp: IdentityServer
  /** Where sessions live. */
  sessions: string
  /** What a known user is told who may not: the dialect of Azure says 401. */
  forbidden: 401 | 403
  /** The address of a table, where there is one. */
  table?: string
}

/** Commands for a shell, in order; each group with what it shows. */
export async function walkthrough ({ settings, idp, sessions, forbidden, table }: Walk): Promise<string> {
  const { address: { url }, applicationKey, masterKey } = settings
  const tokenOf = ({ subjects, name }: Person) => idp.facebook.accessToken({ id: subjects.facebook, name })
  const user = `access_token=${tokenOf(people.grace)}`
  const admin = `access_token=${tokenOf(people.ada)}`
  const ofAnotherApp = `access_token=${idp.facebook.accessToken({}, { appId: '999' })}`
  const withApplicationKey = header('X-ZUMO-APPLICATION', applicationKey)
  const login = (provider: string, grant: string) => request(`${url}/login/${provider}`, `-d ${grant}`)
  const keepToken = (name: string, grant: string) =>
    `${name}=$(curl -s ${url}/login/facebook -d ${grant} | ${member('access_token')})`
  const refresh = request(`${url}/token`, '-d grant_type=refresh_token', '-d "refresh_token=$REFRESH"')
  const allFour = (...headers: string[]) =>
    ['everyone', 'app', 'auth', 'admin'].map(api => request(`${url}/api/${api}`, ...headers))

  return [
    `The server listens on ${url} and keeps sessions in ${sessions}. Paste these lines into a shell, in this order:`,
    group('Log in with a Facebook token: 200', login('facebook', user)),
    group('A token that Facebook gave to another app: 401', login('facebook', ofAnotherApp)),
    group('Without a credential: 200 401 401 401', ...allFour()),
    group('With the application key: 200 200 401 401', ...allFour(withApplicationKey)),
    group(
      'Keep the access token of the user and that of an administrator',
      keepToken('TOKEN', user),
      keepToken('ADMIN', admin)
    ),
    group(`With the token of the user: 200 401 200 ${forbidden}`, ...allFour(bearer('$TOKEN'))),
    group(
      `With the application key and the token of the user: 200 200 200 ${forbidden}`,
      ...allFour(withApplicationKey, bearer('$TOKEN'))
    ),
    group('With the token of an administrator: 200 401 200 200', ...allFour(bearer('$ADMIN'))),
    group('With the master key: 200 200 200 200', ...allFour(header('X-ZUMO-MASTER', masterKey))),
    group('With a token that this server did not write: 401 401 401 401', ...allFour(bearer('x$TOKEN'))),
    group(
      'Log in once more, and keep both tokens of the session',
      `SESSION=$(curl -s ${url}/login/facebook -d ${user})`,
      `ACCESS=$(printf %s "$SESSION" | ${member('access_token')})`,
      `REFRESH=$(printf %s "$SESSION" | ${member('refresh_token')})`
    ),
    group(
      'New tokens for the refresh token, and the same again for a phone that lost the answer: 200 200',
      refresh,
      refresh
    ),
    group('Where this user is logged in: 200', request(`${url}/sessions`, bearer('$ACCESS'))),
    group(
      'Log out; then both tokens are refused: 204 401 400',
      request(`${url}/logout`, '-X POST', bearer('$ACCESS')),
      request(`${url}/api/auth`, bearer('$ACCESS')),
      refresh
    ),
    ...(table === undefined ? [] : [tableGroup(url + table)]),
    group(
      'Log in with the tokens of other providers: 200 200 200 200 200 200',
      login('google', `id_token=${await idp.google.idToken()}`),
      login('apple', `id_token=${await idp.apple.idToken()}`),
      login('microsoft', `id_token=${await idp.microsoft.idToken()}`),
      login('github', `access_token=${idp.github.accessToken()}`),
      login('oidc', `id_token=${await idp.oidc.idToken()}`),
      login('introspection', `access_token=${idp.introspection.accessToken()}`)
    )
  ].join('\n\n')
}

function group (title: string, ...commands: string[]): string {
  return [`# ${title}`, ...commands].join('\n')
}

function tableGroup (url: string): string {
  const row = `${header('Content-Type', 'application/json')} -d ${quoted('{"text":"buy milk"}')}`
  return group(
    'A table, by the headers of the SDKs; rows belong to who made them: 201 200 200',
    request(url, zumoAuth('$TOKEN'), row),
    request(url, zumoAuth('$TOKEN')),
    request(url, zumoAuth('$ADMIN'))
  )
}

/** Takes one member of the JSON that it reads. */
function member (name: string): string {
  return `node -pe 'JSON.parse(fs.readFileSync(0)).${name}'`
}

/** Prints the answer and its status. */
function request (url: string, ...options: string[]): string {
  return ["curl -s -w ' %{http_code}\\n'", url, ...options].join(' ')
}

function header (name: string, value: string): string {
  return `-H ${quoted(`${name}: ${value}`)}`
}

/** In double quotes: the shell puts in the value of the variable. */
function bearer (token: string): string {
  return `-H "Authorization: Bearer ${token}"`
}

function zumoAuth (token: string): string {
  return `-H "X-ZUMO-AUTH: ${token}"`
}

/** A word of the shell (POSIX, 2.2.2). */
function quoted (text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
