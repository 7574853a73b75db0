import t from 'tap'
import type { UserAuth } from '../../src/guards/decide.js'
import { createWarmTokens } from '../../src/guards/warm-tokens.js'
import { ask, startUsersApp } from '../server.js'

function caller (id: string): UserAuth {
  const user = {
    id,
    provider: null,
    subject: null,
    level: 'authenticated',
    permissions: [],
    claims: {},
    tokenId: id,
    sessionId: null,
    issuedAt: 0,
    expiresAt: 1
  } as const
  return { level: 'authenticated', user, application: null, master: null }
}

t.test('it remembers at most two generations of entries', async t => {
  const warm = createWarmTokens({ entries: 10, bytes: 1_000_000 })
  for (let i = 0; i < 1000; i++) warm.set(`token-${i}`, caller(`${i}`))
  const held = Array.from({ length: 1000 }, (_, i) => warm.get(`token-${i}`)).filter(found => found !== undefined)
  t.ok(held.length <= 20, `${held.length} of 1000`)
  t.equal(warm.get('token-999')?.user.id, '999')
})

t.test('it remembers at most two generations of bytes', async t => {
  const warm = createWarmTokens({ entries: 1_000_000, bytes: 4 * 1000 })
  for (let i = 0; i < 100; i++) warm.set(`${i}`.padEnd(250, '-'), caller(`${i}`))
  const held = Array.from({ length: 100 }, (_, i) => warm.get(`${i}`.padEnd(250, '-'))).filter(
    found => found !== undefined
  )
  t.ok(held.length <= 8, `${held.length} of 100`)
})

t.test('who is asked for stays, however many others come', async t => {
  const warm = createWarmTokens({ entries: 10, bytes: 1_000_000 })
  warm.set('regular', caller('regular'))
  for (let i = 0; i < 1000; i++) {
    warm.set(`token-${i}`, caller(`${i}`))
    if (i % 5 === 0) t.equal(warm.get('regular')?.user.id, 'regular')
  }
})

t.test('what is deleted is gone from both generations, and makes room', async t => {
  const warm = createWarmTokens({ entries: 2, bytes: 1_000_000 })
  for (const name of ['a', 'b', 'c']) warm.set(name, caller(name))
  for (const name of ['a', 'c', 'never']) warm.delete(name)
  t.equal(warm.get('a'), undefined)
  t.equal(warm.get('c'), undefined)
  t.equal(warm.get('b')?.user.id, 'b')
})

t.test('a flood of garbage neither stays nor pushes users out', async t => {
  const app = await startUsersApp(t)
  const headers = { authorization: `Bearer ${app.tokenExchange.issue({ userId: 'ada' }).access_token}` }
  const first = app.tokenExchange.verify(headers.authorization.slice(7))
  for (let i = 0; i < 3000; i++) {
    t.equal(
      (await ask(app, { authorization: `${headers.authorization.slice(0, -6)}${i}`.padEnd(800, 'A') })).status,
      401
    )
  }
  t.equal(app.tokenExchange.verify(headers.authorization.slice(7)), first, 'still the one that was proven at first')
})

t.test('another text that ends alike is another token', async t => {
  const warm = createWarmTokens()
  const end = '.the-end-of-a-signature'
  warm.set(`good${end}`, caller('good'))
  t.equal(warm.get(`forged${end}`), undefined)
  t.equal(warm.get(`good${end}`)?.user.id, 'good')
})
