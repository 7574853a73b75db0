import { createPublicKey, type JsonWebKey } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { isSignedBy } from '../../src/providers/signed-token.js'

// https://github.com/C2SP/wycheproof: what a verifier of ID tokens accepts of these is what the vectors call valid,
// read as it reads them: three canonical parts, and the algorithm that its declaration and the header agree on.
interface Vector { tcId: number, comment: string, jws: string, result: 'valid' | 'invalid' }
interface Group { comment: string, public?: JsonWebKey & { alg?: string }, tests: Vector[] }

const { testGroups }: { testGroups: Group[] } = JSON.parse(
  await readFile(new URL('../vectors/wycheproof/json_web_signature_test.json', import.meta.url), 'utf8')
)

function algorithmOf (jws: string): string | null {
  try {
    const parts = jws.split('.')
    const isCanonical =
      parts.length === 3 &&
      parts.every(part => part !== '' && Buffer.from(part, 'base64url').toString('base64url') === part)
    const { alg, crit, b64 } = JSON.parse(Buffer.from(parts[0] ?? '', 'base64url').toString())
    return isCanonical && typeof alg === 'string' && crit === undefined && b64 === undefined ? alg : null
  } catch {
    return null
  }
}

for (const { comment, public: jwk, tests } of testGroups.filter(group => group.public !== undefined)) {
  t.test(`${comment} ${jwk?.alg ?? 'without an algorithm of its own'}`, async t => {
    const key = createPublicKey({ key: jwk ?? {}, format: 'jwk' })
    for (const { tcId, comment, jws, result } of tests) {
      const algorithm = algorithmOf(jws)
      // What is not read at all (an empty payload, another algorithm than the key's) comes not as far as a signature.
      if (algorithm === null || algorithm !== jwk?.alg) continue
      t.equal(await isSignedBy(key, algorithm, jws), result === 'valid', `${tcId} ${comment}`)
    }
  })
}

t.test('an algorithm that is none of ours signs nothing', async t => {
  const [vector] = testGroups.find(group => group.public?.kty === 'RSA')?.tests ?? []
  const key = createPublicKey({
    key: testGroups.find(group => group.public?.kty === 'RSA')?.public ?? {},
    format: 'jwk'
  })
  for (const algorithm of ['none', 'HS256', 'toString', '__proto__']) {
    t.equal(await isSignedBy(key, algorithm, vector?.jws ?? ''), false, algorithm)
  }
})
