import type { Address } from './address.js'
import { ClientError, clientError } from './client-error.js'
import { random, sha256 } from './encoding.js'
import { platform } from './platform.js'
import { webStorage, type ClientStorage } from './storage.js'

/** A login that the user's browser makes at a provider. */
export interface RedirectLogin {
  /** Its name at the server. */
  readonly provider: string
  /** Where the server sends the browser at the end: one of those registered for this client there, as it stands. */
  readonly redirectUri: string
  /** Goes to the address. @default `location.assign`, where there is one */
  readonly navigate?: (url: string) => unknown
}

/** What of a login by redirect has to be kept until the browser comes back. */
interface Begun {
  readonly state: string
  readonly verifier: string
  readonly redirectUri: string
}

/** What a code is exchanged with (RFC 6749, 4.1.3; RFC 7636, 4.5). */
export interface CodeGrant {
  readonly members: Readonly<Record<string, string>>
  /** It has been used: whatever came of it. */
  forget (): Promise<void>
}

export interface Redirects {
  begin (login: RedirectLogin): Promise<string>
  /** @throws ClientError where the address belongs to no login that was begun here, or says that it failed */
  end (url: string): Promise<CodeGrant>
}

export function createRedirects (
  { base, origin, name: loginName }: Address,
  clientId: string | undefined,
  storage: ClientStorage
): Redirects {
  const name = `${loginName}.redirect`

  // Of a tab of its own in browsers: two tabs may log in at a time.
  function kept (): ClientStorage {
    const { document, sessionStorage } = platform
    return document === undefined || sessionStorage === undefined ? storage : webStorage(sessionStorage)
  }

  async function forget (): Promise<void> {
    await kept().remove(name)
  }

  return {
    async begin ({ provider, redirectUri, navigate }) {
      if (clientId === undefined) throw clientError('CLIENT_ERR_OPTION_INVALID', 'clientId is missing')
      const begun: Begun = { state: random(), verifier: random(), redirectUri }
      await kept().set(name, JSON.stringify(begun))
      const url = `${base}/authorize?${queryOf({
        response_type: 'code',
        client_id: clientId,
        redirect_uri: redirectUri,
        code_challenge: await sha256(begun.verifier),
        code_challenge_method: 'S256',
        state: begun.state,
        provider
      })}`
      if (navigate === undefined) platform.location?.assign?.(url)
      else await navigate(url)
      return url
    },

    async end (url) {
      const begun: Begun | null = JSON.parse(await kept().get(name) ?? 'null')
      const { state, iss = '', code = '', error } = parametersOf(url)
      // RFC 9207, 2.4. Below the issuer the application may have put a prefix.
      const isOfServer = iss.startsWith(origin) && `${base}/`.startsWith(`${iss}/`)
      if (begun === null || clientId === undefined || state !== begun.state || !isOfServer) {
        throw clientError('CLIENT_ERR_REDIRECT_INVALID')
      }
      if (error !== undefined) {
        await forget()
        throw new ClientError(error)
      }
      const { redirectUri, verifier } = begun
      const members = { code, redirect_uri: redirectUri, client_id: clientId, code_verifier: verifier }
      return { members: { grant_type: 'authorization_code', ...members }, forget }
    }
  }
}

// By hand: the URLSearchParams of React Native reads nothing, and its URL has no parts.
function queryOf (parameters: Readonly<Record<string, string>>): string {
  return Object.entries(parameters).map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&')
}

function parametersOf (url: string): Partial<Record<string, string>> {
  const [, query = ''] = /\?([^#]*)/.exec(url) ?? []
  try {
    return Object.fromEntries(query.split('&').map(pair => pair.split('=').map(decodeURIComponent)))
  } catch {
    // A broken escape is none of the server's.
    return {}
  }
}
