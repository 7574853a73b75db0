import { mock } from 'node:test'
import t from 'tap'
import { createKeyMaterial } from '../../src/key-material.js'
import { createSeals } from '../../src/login/seals.js'

const issuer = 'https://api.example.com'
const [first, second] = ['a'.repeat(40), 'b'.repeat(40)]
const rejected = { code: 'AUTH_ERR_GRANT_REJECTED' }

t.test('a seal opens for its use, on every server with the key', async t => {
  const sealed = await createSeals(createKeyMaterial([first], issuer)).seal('login-flow', { state: 'x' }, 60)
  t.same(await createSeals(createKeyMaterial([first], issuer)).open('login-flow', sealed), { state: 'x' })
  t.same(
    await createSeals(createKeyMaterial([second, first], issuer)).open('login-flow', sealed),
    { state: 'x' },
    'an older key still opens'
  )
  t.notMatch(Buffer.from(sealed.split('.')[3] ?? '', 'base64url').toString('latin1'), 'state', 'nobody can read it')
})

t.test('and for nothing else', async t => {
  const seals = createSeals(createKeyMaterial([first], issuer))
  const sealed = await seals.seal('login-flow', {}, 60)
  const parts = sealed.split('.')
  const rows: Array<[string, () => Promise<unknown>]> = [
    ['another use', () => seals.open('login-code', sealed)],
    ['another key', () => createSeals(createKeyMaterial([second], issuer)).open('login-flow', sealed)],
    [
      'another server',
      () => createSeals(createKeyMaterial([first], 'https://other.example.com')).open('login-flow', sealed)
    ],
    ['no keys', () => createSeals(createKeyMaterial([], issuer)).open('login-flow', sealed)],
    ['junk', () => seals.open('login-flow', 'junk')],
    ['nothing', () => seals.open('login-flow', '')],
    ...parts.map((part, index): [string, () => Promise<unknown>] => [
      `part ${index} changed`,
      () =>
        seals.open(
          'login-flow',
          parts
            .map((same, at) => (at === index ? `${part.slice(0, -1)}${part.endsWith('A') ? 'B' : 'A'}x` : same))
            .join('.')
        )
    ])
  ]
  for (const [name, open] of rows) await t.rejects(open, rejected, name)
})

t.test('until it is too old', async t => {
  const seals = createSeals(createKeyMaterial([first], issuer))
  mock.timers.enable({ apis: ['Date'], now: Date.now() })
  t.teardown(() => mock.timers.reset())
  const sealed = await seals.seal('login-code', {}, 60)
  mock.timers.tick(59_000)
  await seals.open('login-code', sealed)
  mock.timers.tick(2_000)
  await t.rejects(seals.open('login-code', sealed), rejected)
})

t.test('a server that only verifies seals nothing', async t => {
  await t.rejects(createSeals(createKeyMaterial([], issuer)).seal('login-flow', {}, 60), {
    code: 'AUTH_ERR_OPTION_INVALID'
  })
})
