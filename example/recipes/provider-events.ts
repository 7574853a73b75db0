import { createSign } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { TokenExchangeOptions, ToldProviderEvent } from 'fastify-token-exchange'
import { apple, facebook, github, google, oidc } from 'fastify-token-exchange/providers'

// A table of yours. A Map stands in for it here.
interface Account { readonly id: string, isDisabled: boolean }
export const accounts = new Map<string, Account>()
export const deletions = new Map<string, 'done'>()

/** At least once for each event: what is done twice must do no harm. What it throws makes the provider come again. */
export async function onProviderEvent ({ kind, provider, subject, id }: ToldProviderEvent): Promise<void> {
  const account = accounts.get(`${provider}:${subject}`)
  if (kind === 'account-disabled' && account !== undefined) account.isDisabled = true
  if (kind === 'account-enabled' && account !== undefined) account.isDisabled = false
  if (kind === 'account-deleted' || kind === 'data-deletion-requested') {
    accounts.delete(`${provider}:${subject}`)
    if (id !== null) deletions.set(id, 'done')
  }
}

/** `issuer`, `keys` and the rest are yours. */
export const options = {
  providers: {
    apple: apple({ clientIds: ['com.example.app'], events: {} }),
    google: google({ clientIds: ['1042-web.apps.googleusercontent.com'], events: {} }),
    facebook: facebook({
      appId: '1015800000000042',
      appSecret: 'from the settings of the app',
      events: { deletionUrl: code => `https://api.example.com/deletions/${code}` }
    }),
    github: github({
      clientId: 'Iv1.0123456789abcdef',
      clientSecret: 'from the settings of the app',
      events: { webhookSecret: 'the secret of the webhook' }
    }),
    keycloak: oidc({ issuer: 'https://sso.example.com/realms/todo', clientIds: ['todo-app'], events: {} })
  },
  sessions: {},
  // Who was disabled at the provider is let in again when that is over, and not before.
  permissions: ({ provider, subject }) => accounts.get(`${provider}:${subject}`)?.isDisabled === true ? null : {},
  onProviderEvent
} satisfies Partial<TokenExchangeOptions>

/** The page that Facebook shows to a user who asked for the deletion of its data. */
export function deletionRoute (app: FastifyInstance): void {
  app.get<{ Params: { code: string } }>('/deletions/:code', { onRequest: app.requireLevel('everyone') }, request =>
    deletions.get(request.params.code) === 'done' ? 'Your data has been deleted.' : 'Nothing is known of this code.')
}

/** The key of a service account, as Google's console gives it, with the role RISC Configuration Admin. */
interface ServiceAccount { client_email: string, private_key_id: string, private_key: string }

/** Run once: tells Google where to post its events, and which. */
export async function registerAtGoogle (
  account: ServiceAccount,
  url: string,
  api = 'https://risc.googleapis.com/v1beta'
): Promise<void> {
  const events = [
    'risc/event-type/sessions-revoked', 'risc/event-type/account-disabled', 'risc/event-type/account-enabled',
    'risc/event-type/account-credential-change-required', 'risc/event-type/verification',
    'oauth/event-type/tokens-revoked'
  ]
  const answer = await fetch(`${api}/stream:update`, {
    method: 'POST',
    headers: { authorization: `Bearer ${tokenOf(account)}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      delivery: { delivery_method: 'https://schemas.openid.net/secevent/risc/delivery-method/push', url },
      events_requested: events.map(name => `https://schemas.openid.net/secevent/${name}`)
    })
  })
  if (!answer.ok) throw new Error(`Google answered ${answer.status}: ${await answer.text()}`)
}

function tokenOf ({ client_email: email, private_key_id: kid, private_key: key }: ServiceAccount): string {
  const now = Math.floor(Date.now() / 1000)
  const aud = 'https://risc.googleapis.com/google.identity.risc.v1beta.RiscManagementService'
  const claims = { iss: email, sub: email, aud, iat: now, exp: now + 3600 }
  const signed = [{ alg: 'RS256', typ: 'JWT', kid }, claims]
    .map(part => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  return `${signed}.${createSign('sha256').update(signed).sign(key, 'base64url')}`
}
