import { createAccount } from './account.js'
import { showAnswers } from './answers.js'
import { createBoard } from './board.js'
import { createChoice, labelOf, type Choice } from './choice.js'
import { enable, find, onPress } from './elements.js'
import { followEvents } from './event-log.js'
import { showSessions } from './session-list.js'
import { showTickets, tick } from './tickets.js'
import { createWire, pulse, type Exchange } from './wire.js'

const wire = createWire()
const account = createAccount(wire)
const { client, held } = account
const { applicationKey, masterKey, issuer, switches } = await (await fetch('/demonstration')).json()
const board = createBoard(wire, held, { applicationKey, masterKey })
const choice = createChoice(describe)

/** The user is logging out, or has done so: an answer that comes in now says nothing about the session. */
let isLeaving = false

/** Buttons that are of use to somebody who is logged in. */
const ofUsers = [
  'refresh', 'lose-answer', 'send-old', 'show-sessions', 'logout-this', 'logout-others', 'logout-all'
]

describe(choice.current)
show()
account.onHeld(show)
client.onChange(user => { if (user === null) account.forget() })
followEvents()
setInterval(() => tick(held, Date.now()), 250)
setInterval(beat, 1000)

// 1: log in
onPress(find('login-as-app'), logInAsApp)
onPress(find('login-by-redirect'), async () => {
  const { provider } = choice.current
  await post('/demonstration/sign-in', choice.current)
  await client.loginWithRedirect({ provider, redirectUri: `${issuer}/` })
})

// 2: what the app holds
onPress(find('refresh'), () => act('held-answers', () => client.refresh()))
onPress(find('lose-answer'), () => act('held-answers', async () => {
  await sendRefreshToken(held.refreshTokens.at(-1))
  await client.refresh()
}))
onPress(find('send-old'), () => act('held-answers', async () => {
  const [old] = held.refreshTokens
  while (held.refreshTokens.length < 3) await client.refresh()
  await sendRefreshToken(old)
}))

// 4: where you are logged in
onPress(find('show-sessions'), listSessions)
for (const scope of ['this', 'others', 'all'] as const) {
  onPress(find(`logout-${scope}`), async () => {
    isLeaving = scope !== 'others'
    await act('session-answers', () => client.logout({ scope })).finally(() => { isLeaving &&= client.user === null })
    if (client.user !== null) await listSessions()
    else say('You have logged out.')
  })
}

// If the provider fails
for (const name of ['outage', 'slow'] as const) {
  const button = find(name)
  button.setAttribute('aria-checked', String(switches[name]))
  onPress(button, async () => {
    const isOn = button.getAttribute('aria-checked') !== 'true'
    await post('/demonstration/switches', { [name]: isOn })
    button.setAttribute('aria-checked', String(isOn))
  })
}
onPress(find('rotate'), () => post('/demonstration/rotation', {}))
onPress(find('try-login'), async () => {
  const { provider } = choice.current
  const grant = await grantFor({ ...choice.current, person: 'grace', flaw: 'none' })
  await act('weather-answers', () => wire.fetch(`/login/${provider}`, jsonOf(grant)))
})

await comeBack()

async function logInAsApp (): Promise<void> {
  const { provider } = choice.current
  const grant = await grantFor(choice.current)
  await startAnew(provider, grant)
  await act('login-answers', () => client.login(provider, grant))
}

/** After a login by redirect, or as a second tab. */
async function comeBack (): Promise<void> {
  const { searchParams } = new URL(location.href)
  const here = location.href
  history.replaceState(null, '', '/')
  if (searchParams.has('code') || searchParams.has('error')) {
    const { provider } = choice.current
    await startAnew(provider, { code: searchParams.get('code') ?? searchParams.get('error') ?? '' })
    await act('login-answers', () => client.completeRedirect(here))
  }
  if (searchParams.has('second')) await logInAsApp()
}

async function startAnew (provider: string, grant: Readonly<Record<string, string>>): Promise<void> {
  const [[kind = '', token = ''] = []] = Object.entries(grant)
  isLeaving = false
  account.forget()
  held.grant = { provider, kind, token }
  find('session-list').replaceChildren()
  for (const id of ['held-answers', 'session-answers']) showAnswers(id, [])
  say(null)
  show()
}

/** What the provider's SDK gives the app. */
async function grantFor (chosen: Choice): Promise<Record<string, string>> {
  return await (await post('/demonstration/grants', chosen)).json()
}

async function act (id: string, work: () => unknown): Promise<readonly Exchange[]> {
  const exchanges = await wire.record(work)
  showAnswers(id, exchanges)
  show()
  return exchanges
}

async function listSessions (): Promise<void> {
  const exchanges = await act('session-answers', () => client.fetch('/sessions'))
  const listed = exchanges.find(({ url, status }) => url.endsWith('/sessions') && status === 200)
  if (listed !== undefined) showSessions(listed.answer)
}

/** As somebody would who has found it: past the client. */
async function sendRefreshToken (token: string | undefined): Promise<void> {
  await wire.fetch('/token', jsonOf({ grant_type: 'refresh_token', refresh_token: token }))
}

/** Each second the page calls an API, as an app in use does. */
async function beat (): Promise<void> {
  if (client.user === null) return
  const answer = await client.fetch(`/api/auth${pulse}`).catch(() => null)
  if (isLeaving) return
  if (answer === null) return feel('away', 'The server does not answer')
  if (answer.ok) return feel('good', `/api/auth answers 200, each second, to ${client.user?.userId ?? 'nobody'}`)
  const { code } = await answer.json()
  feel('refused', `/api/auth answers ${answer.status} ${code}`)
  // What an app does that is refused: it asks for another token. Where the session has ended, there is none.
  const refused: unknown = await client.refresh().catch((error: unknown) => error)
  if (client.user !== null || isLeaving) return
  say(`This session has ended: ${String(Reflect.get(Object(refused), 'code'))}. The page was refused with ${code}.`)
  show()
}

function feel (state: string, text: string): void {
  const chip = find('pulse')
  if (chip.textContent === text) return
  chip.dataset.state = state
  chip.textContent = text
}

function say (text: string | null): void {
  const line = find('ended')
  line.hidden = text === null
  line.textContent = text
}

function show (): void {
  const { user } = client
  showTickets(held, user)
  tick(held, Date.now())
  board.update()
  for (const id of ofUsers) enable(find(id), user !== null)
  if (user === null) feel('idle', 'Nobody is logged in')
  else if (find('pulse').dataset.state === 'idle') feel('idle', `${user.userId} is logged in`)
  find('journey').dataset.reached = user !== null ? 'token' : held.grant !== null ? 'grant' : 'nothing'
}

function describe ({ provider, flaw, role }: Choice): void {
  enable(find('login-by-redirect'), flaw === 'none')
  find('login-hint').textContent = flaw === 'none'
    ? `POST /login/${provider}, or GET /authorize and ${labelOf(provider)}’s own pages.`
    : `POST /login/${provider}. A browser that is sent to ${labelOf(provider)} brings no such token.`
  find('second-tab').setAttribute('href', `/?${new URLSearchParams({ second: '', provider, role }).toString()}`)
  sessionStorage.setItem('choice', new URLSearchParams({ provider, role }).toString())
}

async function post (path: string, members: object): Promise<Response> {
  return await fetch(path, jsonOf(members))
}

function jsonOf (members: object): RequestInit {
  return { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(members) }
}
