import { enteringByItself } from '../deadline.js'
import { rejected } from '../errors.js'
import { requireDispatch } from '../http/client.js'
import { createKeySet } from '../http/key-set.js'
import type { ApplicationVerifier, ProvenApplication, VerifyContext } from '../identity.js'
import { endpointUrl, list, open, refused, text, type Reader } from '../options/values.js'
import { isTime, readToken, requireSignature, tolerance } from '../providers/signed-token.js'
import type { JsonObject } from '../strict-json.js'

export interface AppCheckOptions {
  /** The number of the Firebase project, not its id: its settings show it. */
  projectNumber: string
  /** The apps that may call, by their Firebase app ids: `1:1042:ios:…`. */
  appIds: readonly string[]
  /** @default Google's own */
  endpoints?: { jwks?: string }
}

const issuer = 'https://firebaseappcheck.googleapis.com'

const digits: Reader<string> = (value, path) => {
  if (typeof value === 'string' && /^[1-9]\d*$/.test(value)) return value
  throw refused(path, "must be the number of the project, as text: '1042…'")
}

/**
 * Firebase App Check: an app that came from its store, on a device that is what it says (App Attest, Play Integrity).
 * Its tokens are verified here, with the keys that Google publishes; nobody is asked about one of them.
 *
 * @example
 * ```ts
 * const verifier = appCheck({ projectNumber: '1042', appIds: ['1:1042:ios:4f2a', '1:1042:android:7c1b'] })
 * ```
 * @throws errors.OptionInvalidError
 * @see https://firebase.google.com/docs/app-check/custom-resource-backend
 */
export function appCheck (options: AppCheckOptions): ApplicationVerifier {
  requireDispatch()
  const given = open(options, 'appCheck', ['projectNumber', 'appIds', 'endpoints'])
  const projectNumber = given.read('projectNumber', digits)
  const appIds = given.read('appIds', list(text))
  const keys = createKeySet(given.read('endpoints', readEndpoints, `${issuer}/v1/jwks`))

  function checked ({ iss, aud, sub, exp, iat }: JsonObject): ProvenApplication {
    if (iss !== `${issuer}/${projectNumber}`) throw rejected('issuer', 'iss')
    // The project under its number, and under its id.
    if (!Array.isArray(aud) || !aud.includes(`projects/${projectNumber}`)) throw rejected('audience', 'aud')
    const application = appIds.find(id => id === sub)
    if (application === undefined) throw rejected('subject', 'sub')
    const now = Date.now() / 1000
    if (!isTime(exp) || exp <= now) throw rejected('time', 'exp')
    if (!isTime(iat) || iat > now + tolerance) throw rejected('time', 'iat')
    return { expiresAt: exp, application }
  }

  async function verify (token: string, context: VerifyContext): Promise<ProvenApplication> {
    const { plain, algorithm, kid } = readToken(token, ['RS256'])
    const proven = checked(plain)
    await requireSignature(keys, { token, algorithm, kid }, context)
    return proven
  }

  return { header: 'X-Firebase-AppCheck', verify: enteringByItself(verify) }
}

const readEndpoints: Reader<string> = (value, path) =>
  open(value, path, ['jwks']).read('jwks', endpointUrl, `${issuer}/v1/jwks`)
