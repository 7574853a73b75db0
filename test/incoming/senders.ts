import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { apple, facebook, github, google, oidc } from '../../src/providers/index.js'
import { startIdentityServer, type EventPost, type IdentityServer } from '../../src/testing/index.js'
import { startApp, type Closing, type Options } from '../server.js'

export type SenderName = 'apple' | 'google' | 'facebook' | 'github' | 'oidc'

/** One who sends events: what its users log in with, and what it says when one of them is gone. */
export interface Sender {
  readonly grant: (subject: string) => Promise<object>
  readonly revoke: (subject: string) => Promise<EventPost>
  /** Of a success. */
  readonly status: number
}

export const idp: IdentityServer = await startIdentityServer()

export const senders: Record<SenderName, Sender> = {
  apple: {
    grant: async sub => ({ id_token: await idp.apple.idToken({ sub }) }),
    revoke: sub => idp.apple.notify('consent-revoked', sub),
    status: 200
  },
  google: {
    grant: async sub => ({ id_token: await idp.google.idToken({ sub }) }),
    revoke: sub => idp.google.notify('tokens-revoked', sub),
    status: 202
  },
  facebook: {
    grant: async id => ({ access_token: idp.facebook.accessToken({ id }) }),
    revoke: async id => idp.facebook.deauthorize(id),
    status: 200
  },
  github: {
    grant: async id => ({ access_token: idp.github.accessToken({ id }) }),
    revoke: async id => idp.github.notify('github_app_authorization', { id }),
    status: 200
  },
  oidc: {
    grant: async sub => ({ id_token: await idp.oidc.idToken({ sub }) }),
    revoke: sub => idp.oidc.logout({ sub }),
    status: 200
  }
}

export const deletionUrl = (code: string) => `https://app.example.com/deletions/${code}`

export const senderNames = Object.keys(senders).filter((name): name is SenderName => name in senders)

/** All of them at once, their events taken. */
export function eventProviders () {
  return {
    apple: apple({ ...idp.apple.options, events: {} }),
    google: google({ ...idp.google.options, events: {} }),
    facebook: facebook({ ...idp.facebook.options, events: { deletionUrl } }),
    github: github({ ...idp.github.options, events: { webhookSecret: idp.github.webhookSecret } }),
    oidc: oidc({ ...idp.oidc.options, events: {} })
  }
}

export interface EventServer {
  readonly app: FastifyInstance
  post (path: string, post: Pick<EventPost, 'headers' | 'body'>): Promise<LightMyRequestResponse>
  /** The access and the refresh token of a login. */
  login (sender: SenderName, subject: string, grant?: object): Promise<{ access: string, refresh: string }>
  /** The status of a guarded route. */
  call (accessToken: string): Promise<number>
  refresh (refreshToken: string): Promise<number>
}

export async function eventServer (t: Closing, options: Options = {}): Promise<EventServer> {
  const app = await startApp(t, { providers: eventProviders(), sessions: {}, ...options })
  app.get('/guarded', { onRequest: app.requireUser() }, () => 'in')
  await app.ready()
  return {
    app,
    post: (path, { headers, body }) =>
      app.inject({ method: 'POST', url: `/events/${path}`, headers: { ...headers }, payload: body }),
    async login (sender, subject, grant) {
      const payload = grant ?? await senders[sender].grant(subject)
      const answer = await app.inject({ method: 'POST', url: `/login/${sender}`, payload })
      const { access_token: access, refresh_token: refresh } = answer.json<Record<string, string>>()
      return { access: access ?? answer.body, refresh: refresh ?? '' }
    },
    call: async token =>
      (await app.inject({ url: '/guarded', headers: { authorization: `Bearer ${token}` } })).statusCode,
    refresh: async token => (await app.inject({
      method: 'POST', url: '/token', payload: { grant_type: 'refresh_token', refresh_token: token }
    })).statusCode
  }
}
