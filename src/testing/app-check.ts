import { createKeyRing, type HeaderOverrides, type RotateOptions } from './signing-keys.js'
import type { FaultSwitches, Site } from './site.js'

/** Firebase App Check: tokens of apps that have proven what they are. */
export interface LocalAppCheck extends FaultSwitches {
  /** For `appCheck` of `fastify-token-exchange/applications`. `appIds` are an iOS, an Android and a web app. */
  readonly options: {
    readonly projectNumber: string
    readonly appIds: string[]
    readonly endpoints: { readonly jwks: string }
  }
  /** The header that apps send it in. */
  readonly header: 'X-Firebase-AppCheck'
  /** A token of the iOS app that is good as it stands; claims and header as of an `idToken`. */
  token (claims?: Readonly<Record<string, unknown>>, header?: HeaderOverrides): Promise<string>
  rotate (options?: RotateOptions): Promise<void>
}

const projectNumber = '1042'
const projectId = 'test-project'

// https://firebase.google.com/docs/app-check/custom-resource-backend#verify_the_token
export function localAppCheck (site: Site): LocalAppCheck {
  const appIds = ['ios', 'android', 'web'].map(platform => `1:${projectNumber}:${platform}:0f1e2d3c4b5a6978`)
  const keys = createKeyRing({ name: 'app-check', algorithm: 'RS256', members: { alg: 'RS256' } })
  site.get(/^\/v1\/jwks$/, call => keys.keySet(call.headers['if-none-match']))
  return {
    ...site.faults.switches,
    options: { projectNumber, appIds, endpoints: { jwks: `${site.url}/v1/jwks` } },
    header: 'X-Firebase-AppCheck',
    rotate: keys.rotate,
    async token (claims = {}, header = {}) {
      const now = site.clock.now()
      return await keys.sign({
        iss: `https://firebaseappcheck.googleapis.com/${projectNumber}`,
        aud: [`projects/${projectNumber}`, `projects/${projectId}`],
        sub: appIds[0],
        iat: now,
        exp: now + 3600,
        ...claims
      }, header)
    }
  }
}
