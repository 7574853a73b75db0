import { readFile } from 'node:fs/promises'
import { createPublicKey, type JsonWebKey } from 'node:crypto'
import t from 'tap'
import type { SigningKey } from '../../src/index.js'
import { ask, secret, startUsersApp } from '../server.js'

// https://github.com/C2SP/wycheproof: JWS that are valid, and JWS that careless libraries take for valid. This server
// wrote none of them: each is refused, even where the key is one of the server's own.
interface Vector { tcId: number, comment: string, jws: string }
interface Group { comment: string, public?: JsonWebKey, private?: JsonWebKey, tests: Vector[] }

const file = new URL('../vectors/wycheproof/json_web_signature_test.json', import.meta.url)
const { testGroups, numberOfTests }: { testGroups: Group[], numberOfTests: number } = JSON.parse(
  await readFile(file, 'utf8')
)

/** The key of a group as the server would hold it, where the server can hold such a key at all. */
function optionOf ({ public: jwk, private: secretJwk }: Group): SigningKey | null {
  const kid = String(jwk?.kid ?? secretJwk?.kid ?? 'vector')
  if (jwk === undefined) return secretJwk?.kty === 'oct' ? secretOf(secretJwk, kid) : null
  const algorithm = jwk.kty === 'RSA' ? 'RS256' : 'ES256'
  return jwk.crv === 'P-521'
    ? null
    : {
        kid,
        algorithm,
        publicKey: createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' }).toString()
      }
}

// The option takes text: only a key whose bytes are text is the same key there.
function secretOf ({ k = '' }: JsonWebKey, kid: string): SigningKey | null {
  const text = Buffer.from(k, 'base64url').toString()
  return Buffer.from(text).toString('base64url') === k ? { kid, algorithm: 'HS256', secret: text } : null
}

t.test('all vectors are there', async t => {
  t.equal(testGroups.flatMap(({ tests }) => tests).length, numberOfTests)
  t.equal(numberOfTests, 401)
})

for (const [index, group] of testGroups.entries()) {
  t.test(`group ${index + 1}: ${group.comment}`, async t => {
    const own = optionOf(group)
    const app = await startUsersApp(t, { keys: own === null ? secret : [own] })
    for (const { tcId, comment, jws } of group.tests) {
      t.match(
        await ask(app, { authorization: `Bearer ${jws}` }),
        { status: 401, code: 'AUTH_ERR_TOKEN_INVALID' },
        `${tcId} ${comment}`
      )
      // Blanks at the ends are the header's, and not the token's (RFC 9110, 5.5): only here do they reach the verifier.
      t.throws(() => { app.tokenExchange.verify(jws) }, { code: 'AUTH_ERR_TOKEN_INVALID' }, `${tcId} ${comment}`)
    }
  })
}
