import { createHash } from 'node:crypto'
import t from 'tap'
import { createKeyMaterial } from '../../src/key-material.js'
import { createOneTimeCodes } from '../../src/login/one-time-codes.js'
import { createSeals } from '../../src/login/seals.js'

const seals = createSeals(createKeyMaterial(['a'.repeat(40)], 'https://api.example.com'))
const codes = createOneTimeCodes(seals)
const verifier = 'v'.repeat(43)
const challenge = createHash('sha256').update(verifier).digest('base64url')
const content = { id: 'c1', challenge, identity: { provider: 'corp', subject: 'u1' }, granted: {} }

t.test('a code that does not say when its login began is refused', async t => {
  const by = { provider: 'corp', verifier }
  const good = await seals.seal('login-code', { ...content, mark: 1000 }, 60)
  t.equal(await codes.redeem(good, by, async ({ mark }) => mark), 1000)
  for (const mark of [undefined, null, '1000']) {
    const old = await seals.seal('login-code', { ...content, id: `without ${mark}`, mark }, 60)
    // Compared with no time that a user was revoked at, it would pass for later than all of them.
    await t.rejects(codes.redeem(old, by, async () => 'redeemed'), { code: 'AUTH_ERR_GRANT_REJECTED' }, String(mark))
  }
})
