import { createHmac, timingSafeEqual } from 'node:crypto'
import { enteringByItself } from '../deadline.js'
import { rejected } from '../errors.js'
import { isId, type EventSource, type ProviderEvent, type ProviderEventKind } from '../identity.js'
import { open, text, type Reader } from '../options/values.js'
import { isObject, type JsonObject } from '../strict-json.js'
import { bodyText, jsonMembers } from './event-bodies.js'
import { exactId } from './openid-claims.js'

export interface GitHubEvents {
  /** As in the settings of the GitHub App. */
  webhookSecret: string
}

/**
 * The webhook of a GitHub App: `github_app_authorization`. OAuth Apps have no such event.
 *
 * Deviation: nothing says when something happened, so that it is what began until it is received.
 *
 * @see https://docs.github.com/en/webhooks/webhook-events-and-payloads#github_app_authorization
 * @see https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
 */
export const readGitHubEvents: Reader<EventSource> = (value, path) => {
  const webhookSecret = open(value, path, ['webhookSecret']).read('webhookSecret', text)
  return {
    readEvents: enteringByItself(async ({ headers, body }) => {
      requireMac(headers['x-hub-signature-256'], createHmac('sha256', webhookSecret).update(body).digest())
      const { 'x-github-event': name, 'x-github-delivery': id } = headers
      if (!isId(id)) throw rejected('form', 'x-github-delivery')
      return [eventOf(jsonMembers(bodyText({ headers, body }, 'application/json')), name, id)]
    })
  }
}

function requireMac (header: unknown, expected: Buffer): void {
  const [, digits] = /^sha256=([0-9a-f]{64})$/.exec(String(header)) ?? []
  if (digits === undefined) throw rejected('form', 'x-hub-signature-256')
  if (!timingSafeEqual(Buffer.from(digits, 'hex'), expected)) throw rejected('signature', 'signature')
}

function eventOf ({ action, sender }: JsonObject, name: unknown, id: string): ProviderEvent {
  const kind = kindOf(name, action)
  const subject = kind === 'authorization-revoked' && isObject(sender) ? exactId(sender.id) : null
  if (kind === 'authorization-revoked' && !isId(subject)) throw rejected('subject', 'sender.id')
  return { kind, subject, providerSession: null, at: Date.now(), id }
}

function kindOf (name: unknown, action: unknown): ProviderEventKind {
  if (name === 'ping') return 'verification'
  return name === 'github_app_authorization' && action === 'revoked' ? 'authorization-revoked' : 'other'
}
