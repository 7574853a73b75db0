import { createHmac, timingSafeEqual } from 'node:crypto'
import { enteringByItself } from '../deadline.js'
import { rejected } from '../errors.js'
import {
  answeringEvents, isId, type EventRequest, type EventSource, type ProviderEvent, type ProviderEventKind
} from '../identity.js'
import { callback, open, type Reader } from '../options/values.js'
import type { JsonObject } from '../strict-json.js'
import { formMember, jsonMembers } from './event-bodies.js'
import { exactId } from './openid-claims.js'
import { endOfSecond } from './security-event-token.js'
import { checkIssued } from './signed-token.js'

export interface FacebookEvents {
  /**
   * The page that tells a user how far the deletion of its data is, by the code that Facebook shows; it is the `id` of
   * the event that `onProviderEvent` is told. https.
   */
  deletionUrl: (confirmationCode: string) => string
}

/**
 * Facebook's two callbacks: deauthorize, and data deletion, which is answered with where to ask how far it is.
 *
 * @see https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow#deauth-callback
 * @see https://developers.facebook.com/docs/development/create-an-app/app-dashboard/data-deletion-callback
 */
export function readFacebookEvents (appSecret: string): Reader<EventSource> {
  return (value, path) => {
    const deletionUrl = open(value, path, ['deletionUrl']).read('deletionUrl', callback(isDeletionUrl))
    return {
      readEvents: reading(appSecret, 'authorization-revoked'),
      ...answeringEvents({
        deletion: {
          readEvents: reading(appSecret, 'data-deletion-requested'),
          answer: ({ id }) => ({ url: pageOf(deletionUrl(id ?? '')), confirmation_code: id })
        }
      })
    }
  }
}

function isDeletionUrl (value: unknown): value is FacebookEvents['deletionUrl'] {
  return typeof value === 'function'
}

function pageOf (url: unknown): string {
  if (typeof url === 'string' && URL.canParse(url) && /^https?:/.test(url)) return url
  throw new TypeError('deletionUrl answered no URL')
}

function reading (appSecret: string, kind: ProviderEventKind): EventSource['readEvents'] {
  return enteringByItself(async (request: EventRequest) => {
    const [mac, payload] = parts(formMember(request, 'signed_request'))
    requireMac(mac, hmac(appSecret, payload))
    const claims = jsonMembers(Buffer.from(payload, 'base64url').toString())
    return [eventOf(claims, kind, hmac(appSecret, `${kind} ${payload}`))]
  })
}

function parts (signedRequest: string): [mac: Buffer, payload: string] {
  const [mac = '', payload = '', ...more] = signedRequest.split('.')
  for (const part of [mac, payload]) {
    // In the one spelling that the bytes have.
    const isCanonical = part !== '' && Buffer.from(part, 'base64url').toString('base64url') === part
    if (!isCanonical || more.length > 0) throw rejected('form', 'signed_request')
  }
  return [Buffer.from(mac, 'base64url'), payload]
}

/** Over the payload as it is encoded. */
function hmac (appSecret: string, payload: string): Buffer {
  return createHmac('sha256', appSecret).update(payload).digest()
}

function requireMac (given: Buffer, expected: Buffer): void {
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) throw rejected('signature', 'signature')
}

/**
 * Facebook gives its requests no name, so that the same one is known again by this: 32 hexadecimal digits that only who
 * knows the app's secret can tell.
 */
function nameOf (mac: Buffer): string {
  return mac.subarray(0, 16).toString('hex')
}

function eventOf (claims: JsonObject, kind: ProviderEventKind, mac: Buffer): ProviderEvent {
  const { algorithm, issued_at: issuedAt, user_id: userId } = claims
  if (algorithm !== 'HMAC-SHA256') throw rejected('algorithm', 'algorithm')
  checkIssued(issuedAt)
  const subject = exactId(userId)
  if (!isId(subject)) throw rejected('subject', 'user_id')
  return { kind, subject, providerSession: null, at: endOfSecond(issuedAt), id: nameOf(mac) }
}
