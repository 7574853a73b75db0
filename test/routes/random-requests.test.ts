import t from 'tap'
import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import { errors } from '../../src/errors.js'
import { loginServer } from './login-server.js'
import { ownProvider } from '../server.js'

// Deterministic: xorshift32, so that a failure can be seen again.
let state = 0x2545f491
function random (below: number): number {
  state ^= state << 13
  state ^= state >>> 17
  state ^= state << 5
  return (state >>> 0) % below
}

function pick<T> (values: readonly T[]): T {
  const [value = pick(values)] = values.slice(random(values.length))
  return value
}

const names = [
  'access_token',
  'access_token',
  'access_token',
  'id_token',
  'authorization_code',
  'nonce',
  'redirect_uri',
  'code_verifier',
  '__proto__',
  'constructor',
  'toString',
  'user_id',
  '',
  'x',
  'access_token ',
  'ACCESS_TOKEN',
  'length',
  'then',
  'toJSON'
] as const
const texts = [
  'good',
  'good',
  'good',
  'good',
  'bad',
  '',
  ' ',
  'a'.repeat(9000),
  '\u0000',
  '\ud800',
  '\u{1f600}',
  '%00',
  '../..',
  '{"a":1}',
  'eyJ.e30.',
  'a\r\nb: c',
  "' OR 1=1 --",
  'null',
  'constructor'
] as const
const paths = [
  'own',
  'own',
  'own',
  'other',
  '__proto__',
  'constructor',
  '%00',
  'own%2fx',
  '%e2%98%83',
  'OWN',
  'own;a=1',
  'own?access_token=good',
  'own#x',
  '%20own',
  'own%00'
] as const
const types = [
  ...Array.from({ length: 20 }, () => 'application/json'),
  'application/json; charset=utf-8',
  ...Array.from({ length: 8 }, () => 'application/x-www-form-urlencoded'),
  'text/plain',
  'application/json;',
  'application/jsonx',
  'multipart/form-data',
  'application/xml',
  '',
  ';',
  'application/json; charset=\u00e9',
  '*/*'
] as const

function value (depth = 0): unknown {
  const kind = random(depth > 3 ? 6 : 8)
  if (kind < 3) return pick(texts)
  if (kind === 3) return random(1e9) * pick([1, -1, 0.1, 1e300])
  if (kind === 4) return pick([true, false])
  if (kind === 5) return null
  if (kind === 6) return Array.from({ length: random(3) }, () => value(depth + 1))
  return Object.fromEntries(Array.from({ length: random(4) }, () => [pick(names), value(depth + 1)]))
}

function mutate (text: string): string | Buffer {
  const bytes = Buffer.from(text)
  const kind = random(12)
  if (kind === 0) return text.slice(0, random(text.length + 1))
  if (kind === 1 && bytes.length > 0) { bytes[random(bytes.length)] = random(256); return bytes }
  if (kind === 2) return text + text
  if (kind === 3) return '\ufeff' + text
  return text
}

function body (): InjectOptions['payload'] {
  const kind = random(10)
  if (kind === 0) return undefined
  if (kind === 1) return Buffer.from(Array.from({ length: random(64) }, () => random(256)))
  const members = Array.from(
    { length: 1 + random(2) },
    () => [pick(names), random(4) > 0 ? pick(texts) : value()] as const
  )
  if (kind < 5) {
    const textOf = (value: unknown): string =>
      typeof value === 'string' && value !== '\ud800' ? value : JSON.stringify(value)
    return mutate(
      members.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(textOf(value))}`).join('&')
    )
  }
  if (kind === 5) return mutate(JSON.stringify(value()))
  // Written by hand: members may stand there twice.
  return mutate(`{${members.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`)
}

function headers (): Record<string, string> {
  return {
    ...(random(8) > 0 && { 'content-type': pick(types) }),
    ...(random(9) === 0 && { authorization: pick(['Bearer x', 'Bearer', 'Basic eDp5', 'Bearer  ', '']) }),
    ...(random(4) === 0 && { accept: pick(['text/html', '*/*', 'x']) }),
    ...(random(6) === 0 && { 'content-encoding': pick(['gzip', 'identity']) }),
    ...(random(9) === 0 && { 'x-zumo-auth': pick(['x', '']) }),
    ...(random(6) === 0 && { 'x-http-method-override': 'GET', 'accept-language': '*' })
  }
}

/** Some of what `headers` makes up is a malformed or foreign access token, which nobody gets past. */
function hasBadToken ({ authorization = '', 'x-zumo-auth': token = '' }: Record<string, string>): boolean {
  return authorization.startsWith('Bearer') || token !== ''
}

function isBadToken ({ statusCode, headers }: LightMyRequestResponse): boolean {
  return statusCode === 401 && headers['www-authenticate'] === 'Bearer error="invalid_token"'
}

t.test('three thousand requests: no 500, always no-store, and nobody gets in but who should', async t => {
  const asked: string[] = []
  let looked = 0
  const own = ownProvider(({ token }) => {
    asked.push(token)
    if (token !== 'good') throw new errors.GrantRejectedError()
    return { subject: '1' }
  })
  const { app, login, log } = await loginServer(
    {
      providers: { own },
      permissions: () => {
        looked++
        return {}
      }
    },
    { fastify: { logger: false } }
  )
  const seen = new Map<number, number>()
  const wrong: unknown[] = []
  for (let round = 0; round < 3000; round++) {
    const sent = { url: `/login/${pick(paths)}`, headers: headers() }
    const payload = body()
    const before = { asked: asked.length, looked }
    const answer = await login(payload, sent)
    seen.set(answer.statusCode, (seen.get(answer.statusCode) ?? 0) + 1)
    const isRefused = answer.statusCode !== 200
    const isOurs = answer.json().message === undefined || !String(answer.json().message).startsWith('Route ')
    const fine =
      [200, 400, 401, 404, 413, 415].includes(answer.statusCode) &&
      (!isOurs || answer.headers['cache-control'] === 'no-store') &&
      (isRefused
        ? looked === before.looked
        : looked === before.looked + 1 && asked.at(-1) === 'good' && answer.json().user.userId === 'own:1') &&
      (![400, 404, 413, 415].includes(answer.statusCode) || asked.length === before.asked) &&
      (hasBadToken(sent.headers)
        ? asked.length === before.asked && (!isOurs || isBadToken(answer))
        : answer.statusCode !== 401 || answer.headers['www-authenticate'] === 'Bearer')
    if (!fine) {
      wrong.push({
        sent,
        payload: String(payload),
        status: answer.statusCode,
        headers: answer.headers,
        body: answer.payload
      })
    }
  }
  t.same(wrong, [])
  for (const status of [200, 400, 401, 404, 415]) {
    t.ok((seen.get(status) ?? 0) > 10, `enough of ${status} for this to mean something: ${seen.get(status)}`)
  }
  t.equal(log(), '')
  t.equal(({} as Record<string, unknown>).access_token, undefined, 'no prototype was touched')
  await app.close()
})
