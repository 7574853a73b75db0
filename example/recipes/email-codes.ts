import { createHash, randomBytes, randomInt, randomUUID, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance } from 'fastify'

// Two tables of yours: codes on their way, and the ids of addresses. Maps stand in for them here.
interface Sent { readonly email: string, readonly digest: Buffer, readonly expiresAt: number, attempts: number }
const sent = new Map<string, Sent>()
const addresses = new Map<string, string>()

const digestOf = (handle: string, code: string): Buffer => createHash('sha256').update(`${handle} ${code}`).digest()
const text = { type: 'string', maxLength: 100 } as const
const bodyOf = (...names: string[]): object =>
  ({ body: { type: 'object', required: names, properties: Object.fromEntries(names.map(name => [name, text])) } })

// ASCII only, one address: a letter that only looks like another is somebody else's mailbox.
const address = /^[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9-]+(\.[a-z0-9-]+)+$/

/** @param send delivers a code, by whatever service sends your mail */
export function emailCodes (app: FastifyInstance, send: (email: string, code: string) => Promise<void>): void {
  const asked = { schema: bodyOf('email'), onRequest: app.requireLevel('everyone') }
  app.post<{ Body: { email: string } }>('/email-codes', asked, async ({ body }, reply) => {
    const email = body.email.trim().toLowerCase()
    if (!address.test(email)) return await reply.code(400).send({ message: 'That is no address' })
    const [handle, code] = [randomBytes(16).toString('base64url'), String(randomInt(1e8)).padStart(8, '0')]
    sent.set(handle, { email, digest: digestOf(handle, code), expiresAt: Date.now() + 600_000, attempts: 5 })
    await send(email, code)
    // The same for every address, whether it has an account or not.
    return { handle }
  })

  const answered = { schema: bodyOf('handle', 'code'), onRequest: app.requireLevel('everyone') }
  app.post<{ Body: { handle: string, code: string } }>('/email-codes/login', answered, async (request, reply) => {
    const email = redeem(request.body.handle, request.body.code)
    if (email === null) return await reply.code(401).send({ message: 'That code is not good, or not any more' })
    reply.header('cache-control', 'no-store')
    const claims = { amr: ['otp'] }
    const identity = { provider: 'email', subject: idOf(email), email, emailVerified: true, claims }
    return await app.tokenExchange.login(identity, request)
  })
}

/** The address that the code was sent to. Good once, for ten minutes, and for five attempts. */
function redeem (handle: string, code: string): string | null {
  const found = sent.get(handle)
  if (found === undefined) return null
  const isGood = timingSafeEqual(found.digest, digestOf(handle, code)) && found.expiresAt > Date.now()
  found.attempts--
  if (isGood || found.attempts === 0 || found.expiresAt <= Date.now()) sent.delete(handle)
  return isGood ? found.email : null
}

/** A subject outlives a change of address. */
function idOf (email: string): string {
  const id = addresses.get(email) ?? randomUUID()
  addresses.set(email, id)
  return id
}
