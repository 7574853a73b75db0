import { localAppCheck, type LocalAppCheck } from './app-check.js'
import { localApple, type LocalApple } from './apple.js'
import { localFacebook, type LocalFacebook } from './facebook.js'
import { localGithub, type LocalGithub } from './github.js'
import { localIntrospection, type LocalIntrospection } from './introspection.js'
import { createCallLog, listenLocally, type CallLog } from './local-server.js'
import { localMicrosoft, type LocalMicrosoft } from './microsoft.js'
import { localGoogle, localOidc, type LocalGoogle, type LocalOidc } from './openid-issuer.js'
import type { RotateOptions } from './signing-keys.js'
import { createClock, createFaults, createSite, type FaultSwitches, type ProviderClock, type Site } from './site.js'

export interface IdentityServerOptions {
  /** TCP port on 127.0.0.1. @default 0, a free one */
  port?: number
}

/**
 * Every identity provider that the package knows, on one loopback address, for tests and demonstrations.
 * The `options` of each go as they are into the provider's factory: `facebook(idp.facebook.options)`.
 * Its own `outage`, `slow` and `rotate` concern all of them, those of a provider only that one.
 */
export interface IdentityServer extends FaultSwitches, AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  readonly facebook: LocalFacebook
  readonly google: LocalGoogle
  readonly apple: LocalApple
  readonly microsoft: LocalMicrosoft
  readonly github: LocalGithub
  readonly oidc: LocalOidc
  readonly introspection: LocalIntrospection
  readonly appCheck: LocalAppCheck
  readonly clock: ProviderClock
  readonly calls: CallLog
  /** New signing keys everywhere. The old ones leave the key sets, unless they are kept. */
  rotate (options?: RotateOptions): Promise<void>
  /** Cuts all connections, hanging ones too, and frees the port. May be called twice. */
  close (): Promise<void>
}

/**
 * Starts a local identity provider. It holds no secrets worth having: keys and secrets are made at start.
 *
 * @example
 * ```ts
 * const idp = await startIdentityServer()
 * const provider = google(idp.google.options)
 * const idToken = await idp.google.idToken({ email: 'ada@example.com' })
 * await idp.close()
 * ```
 * @throws when the port is taken
 */
export async function startIdentityServer ({ port = 0 }: IdentityServerOptions = {}): Promise<IdentityServer> {
  const server = await listenLocally(port)
  const clock = createClock()
  const faults = createFaults()
  const calls = createCallLog()
  const sites: Site[] = []
  const open = (name: string): Site => {
    const site = createSite(server.url, name, clock)
    sites.push(site)
    return site
  }
  const issuers = {
    facebook: localFacebook(open('facebook')),
    google: localGoogle(open('google')),
    apple: localApple(open('apple')),
    microsoft: localMicrosoft(open('microsoft')),
    oidc: localOidc(open('oidc')),
    appCheck: localAppCheck(open('app-check'))
  }
  const github = localGithub(open('github'))
  const introspection = localIntrospection(open('introspection'))
  server.serve(sites, faults, calls)

  return {
    ...faults.switches,
    ...issuers,
    url: server.url,
    github,
    introspection,
    clock,
    calls,
    async rotate (options) {
      await Promise.all(Object.values(issuers).map(issuer => issuer.rotate(options)))
    },
    close: server.close,
    [Symbol.asyncDispose]: server.close
  }
}
