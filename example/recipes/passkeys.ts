import {
  generateAuthenticationOptions, generateRegistrationOptions, verifyAuthenticationResponse, verifyRegistrationResponse,
  type AuthenticationResponseJSON, type RegistrationResponseJSON, type WebAuthnCredential
} from '@simplewebauthn/server'
import type { FastifyInstance } from 'fastify'
import { userOf } from 'fastify-token-exchange'

// A table of yours: the keys of your users. A Map stands in for it here.
interface Passkey { readonly userId: string, readonly credential: WebAuthnCredential }
export const passkeys = new Map<string, Passkey>()

/** Where the keys are good: a domain, and the origins of its pages and apps (`android:apk-key-hash:…`). */
export interface Site { readonly rpID: string, readonly origins: string[] }

export function passkeyRoutes (app: FastifyInstance, { rpID, origins }: Site): void {
  const challenges = createChallenges()
  // A new key opens the account for good: a session of last week is not enough to add one.
  const recent = { onRequest: [app.requireUser(), app.requireRecentLogin({ maxAge: 300 })] }

  app.post('/passkeys/options', recent, async request => {
    const { id } = userOf(request)
    const own = [...passkeys.values()].filter(({ userId }) => userId === id)
    const options = await generateRegistrationOptions({
      rpName: 'Todo',
      rpID,
      userName: id,
      authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
      excludeCredentials: own.map(({ credential }) => ({ id: credential.id }))
    })
    return challenges.remember(options, id)
  })

  app.post<{ Body: RegistrationResponseJSON }>('/passkeys', recent, async (request, reply) => {
    const { id: userId } = userOf(request)
    const expected = { expectedChallenge: challenges.expect(userId), expectedOrigin: origins, expectedRPID: rpID }
    const { registrationInfo } = await verifyRegistrationResponse({ response: request.body, ...expected })
      .catch(() => ({ registrationInfo: undefined }))
    if (registrationInfo === undefined) return await reply.code(400).send({ message: 'That key is not good here' })
    const { credential } = registrationInfo
    if (passkeys.has(credential.id)) return await reply.code(409).send({ message: 'That key is known' })
    passkeys.set(credential.id, { userId, credential })
    return await reply.code(204).send()
  })

  app.post('/passkeys/login/options', async () =>
    challenges.remember(await generateAuthenticationOptions({ rpID, userVerification: 'required' }), null))

  app.post<{ Body: AuthenticationResponseJSON }>('/passkeys/login', async (request, reply) => {
    const found = passkeys.get(request.body.id)
    const userId = found === undefined ? null : await verifiedUser(found, request.body)
    if (userId === null) return await reply.code(401).send({ message: 'That key is not good here' })
    reply.header('cache-control', 'no-store')
    const identity = { provider: 'passkey', subject: userId, claims: { amr: ['pop', 'user'] } }
    return await app.tokenExchange.login(identity, request)
  })

  async function verifiedUser ({ userId, credential }: Passkey, response: AuthenticationResponseJSON) {
    const expected = { expectedChallenge: challenges.expect(null), expectedOrigin: origins, expectedRPID: rpID }
    const { verified, authenticationInfo } = await verifyAuthenticationResponse({ response, credential, ...expected })
      .catch(() => ({ verified: false, authenticationInfo: null }))
    if (!verified || authenticationInfo === null) return null
    passkeys.set(credential.id, { userId, credential: { ...credential, counter: authenticationInfo.newCounter } })
    return userId
  }
}

/** Challenges that are good for five minutes, once, and for whom they were made. With several servers: a table. */
function createChallenges () {
  const open = new Map<string, { userId: string | null, expiresAt: number }>()
  return {
    remember<Options extends { challenge: string }> (options: Options, userId: string | null): Options {
      for (const [challenge, { expiresAt }] of open) if (expiresAt <= Date.now()) open.delete(challenge)
      open.set(options.challenge, { userId, expiresAt: Date.now() + 300_000 })
      return options
    },
    expect: (userId: string | null) => (challenge: string): boolean => {
      const found = open.get(challenge)
      open.delete(challenge)
      return found !== undefined && found.userId === userId && found.expiresAt > Date.now()
    }
  }
}
