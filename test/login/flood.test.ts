import { once } from 'node:events'
import { mock } from 'node:test'
import t from 'tap'
import { google } from '../../src/providers/index.js'
import { fakeServer, json } from '../http/fake-server.js'
import { startIdentityServer } from '../../src/testing/index.js'
import { loginServer } from '../routes/login-server.js'
import { ownProvider } from '../server.js'

const idp = await startIdentityServer()
t.teardown(() => idp.close())

/** As many logins of one address as it likes, whose answers are counted by status and code. */
async function counted (logins: Array<Promise<{ statusCode: number, json: () => { code?: string } }>>) {
  const counts: Record<string, number> = {}
  for (const answer of await Promise.all(logins)) {
    const name = `${answer.statusCode} ${answer.json().code ?? ''}`.trim()
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

function flood <Answer> (times: number, attack: (i: number) => Promise<Answer>): Array<Promise<Answer>> {
  return Array.from({ length: times }, (_, i) => attack(i))
}

t.test('garbage ID tokens take no place: whoever floods from one address stops nobody', async t => {
  const { app, login } = await loginServer({ concurrency: 2, providers: { own: google(idp.google.options) } })
  t.teardown(() => app.close())
  const good = await idp.google.idToken()
  t.equal((await login({ id_token: good })).statusCode, 200)
  const garbage = [
    'x', 'a.b.c', `${good}x`, await idp.google.idToken({ aud: 'another' }), await idp.google.idToken({ exp: 1 }),
    good.slice(0, good.lastIndexOf('.') + 1) + 'A'.repeat(342)
  ]
  const attack = flood(100, i => login({ id_token: garbage[i % garbage.length] }, { remoteAddress: '192.0.2.66' }))
  const honest = flood(10, () => login({ id_token: good }, { remoteAddress: '192.0.2.66' }))
  t.same(await counted(honest), { 200: 10 }, 'of that very address')
  t.same(await counted(attack), { '401 AUTH_ERR_GRANT_REJECTED': 100 })
})

t.test('while keys are fetched, who knows his key and who comes from elsewhere is let in', async t => {
  const { app, login } = await loginServer({ concurrency: 4, providers: { own: google(idp.google.options) } })
  t.teardown(() => app.close())
  const good = await idp.google.idToken()
  t.equal((await login({ id_token: good })).statusCode, 200)
  const unknown = await idp.google.idToken({}, { kid: 'unknown' })
  idp.google.outage('hang')
  const attack = flood(20, () => login({ id_token: unknown }, { remoteAddress: '192.0.2.66' }))
  // The refused ones are there at once, all but those that wait.
  const first = await Promise.race(attack)
  t.same(first.json().code, 'AUTH_ERR_OVERLOADED')
  t.equal((await login({ id_token: good }, { remoteAddress: '192.0.2.66' })).statusCode, 200)
  const elsewhere = login({ id_token: unknown }, { remoteAddress: '192.0.2.2' })
  await app.close()
  idp.google.outage(false)
  t.same(await counted(attack), { '503 AUTH_ERR_OVERLOADED': 17, '503 AUTH_ERR_PROVIDER_UNAVAILABLE': 3 })
  t.equal((await elsewhere).json().code, 'AUTH_ERR_PROVIDER_UNAVAILABLE', 'it had a place')
})

t.test('a provider of the application is asked within its places, whatever it does', async t => {
  const started = new EventTarget()
  const inner = google(idp.google.options)
  const waiting: Array<() => void> = []
  const wrapper = ownProvider(async (grant, context) => {
    started.dispatchEvent(new Event('start'))
    await new Promise<void>(resolve => waiting.push(resolve))
    return await inner.verify(grant, { ...context })
  })
  const { app, login } = await loginServer({ concurrency: 1, providers: { own: wrapper } })
  t.teardown(() => app.close())
  const start = once(started, 'start')
  const first = login({ id_token: await idp.google.idToken() })
  await start
  t.equal((await login({ id_token: 'x' })).json().code, 'AUTH_ERR_OVERLOADED')
  waiting.forEach(go => go())
  t.equal((await first).statusCode, 200, 'what it asks within is part of its place')
})

t.test('old keys are as good as new ones, and what fetches new ones behind a login ends with the server', async t => {
  const { keys: good } = Object(await (await fetch(idp.google.options.endpoints.jwks)).json())
  const keys = await fakeServer(t, json({ keys: good }))
  const own = google({ ...idp.google.options, endpoints: { jwks: keys.url } })
  const { app, login } = await loginServer({ providerTimeout: 1, providers: { own } })
  const token = await idp.google.idToken()
  while ((await login({ id_token: token })).statusCode !== 200);
  const hang = new Promise<{ ended: Promise<unknown> }>(resolve => {
    keys.answer = (_request, response) => resolve({ ended: once(response, 'close') })
  })
  // A fetch that goes on would end by itself after 5 s, of a clock that stands still from here on.
  mock.timers.enable({ apis: ['Date', 'setTimeout'], now: Date.now() + 3_000_000 })
  t.equal((await login({ id_token: token })).statusCode, 200, 'though nobody answers within providerTimeout')
  const { ended } = await hang
  await app.close()
  await ended
  mock.timers.reset()
})
