import { createHash, randomBytes } from 'node:crypto'
import { errors, TokenExchangeError } from '../errors.js'
import type { AuthorizationAnswer, AuthorizationRequest } from '../identity.js'
import type { Seals } from './seals.js'

/** Seconds that a browser may take for its login. */
const lifetime = 600

/** The address of this server to which a provider sends browsers back. */
export interface Callback { provider: string, redirectUri: string }

export interface FlowStart extends Callback {
  /** What the browser asked for, as JSON can say it: the end needs it. */
  asked: unknown
  nonce: string
}

/** A login by redirect on its way: where the browser goes, and what it keeps until it is back. */
export interface BegunFlow { request: AuthorizationRequest, sealed: string }

/** A browser that is back. */
export interface ReturnedFlow {
  asked: unknown
  /** @throws errors.GrantRejectedError where the provider sent an error instead of a code */
  answer (): AuthorizationAnswer
}

/** Logins by redirect. Nothing is stored here: what the end needs is sealed, and the browser that began keeps it. */
export interface RedirectFlows {
  begin (start: FlowStart): Promise<BegunFlow>
  /** @throws errors.GrantRejectedError unless this browser began this flow, for this address, and not too long ago */
  resume (sealed: string | null, at: Callback, parameters: URLSearchParams): Promise<ReturnedFlow>
}

export function createRedirectFlows (seals: Seals): RedirectFlows {
  async function begin ({ provider, redirectUri, asked, nonce }: FlowStart): Promise<BegunFlow> {
    const [state, codeVerifier] = [random(), random()]
    const content = { provider, redirectUri, state, codeVerifier, nonce, asked }
    const sealed = await seals.seal('login-flow', content, lifetime)
    // RFC 7636, 4.2.
    const codeChallenge = createHash('sha256').update(codeVerifier).digest('base64url')
    return { request: { redirectUri, state, nonce, codeChallenge }, sealed }
  }

  async function resume (sealed: string | null, at: Callback, parameters: URLSearchParams): Promise<ReturnedFlow> {
    if (sealed === null) throw new errors.GrantRejectedError('no login was begun in this browser')
    const { asked, ...flow } = await seals.open('login-flow', sealed)
    if (flow.provider !== at.provider || flow.redirectUri !== at.redirectUri) {
      throw new errors.GrantRejectedError('the login was begun elsewhere')
    }
    if (once(parameters, 'state') !== flow.state) throw new errors.GrantRejectedError('the state is another')
    return { asked, answer: () => readAnswer(parameters, at.redirectUri, flow) }
  }

  return { begin, resume }
}

function random (): string {
  return randomBytes(32).toString('base64url')
}

/** RFC 6749, 4.1.2. Which issuer answered is compared by the provider, who knows its own. */
function readAnswer (
  parameters: URLSearchParams,
  redirectUri: string,
  { codeVerifier, nonce }: Readonly<Record<string, unknown>>
): AuthorizationAnswer {
  const [code, iss] = [once(parameters, 'code'), once(parameters, 'iss')]
  const error = once(parameters, 'error')
  if (error !== '') throw providerRefusal(error)
  if (code === '' || typeof codeVerifier !== 'string' || typeof nonce !== 'string') {
    throw new errors.GrantRejectedError('the answer holds no code')
  }
  return { code, redirectUri, codeVerifier, nonce, ...(iss !== '' && { iss }) }
}

/** RFC 6749, 3.1: a parameter stands once, and without a value counts as absent. */
function once (parameters: URLSearchParams, name: string): string {
  const [value = '', another] = parameters.getAll(name)
  if (another !== undefined) throw new errors.GrantRejectedError(`${name} stands twice`)
  return value
}

/** The provider's own no. Only a word of the protocol (RFC 6749, 4.1.2.1) is repeated. */
function providerRefusal (error: string): Error {
  const word = /^[a-z_]{1,40}$/.test(error) ? `: ${error}` : ''
  return new TokenExchangeError(errors.GrantRejectedError.code, 401, `The login was refused${word}`)
}

/** The cookie that binds a login by redirect to the browser that began it. */
export interface FlowCookie {
  /** `Set-Cookie` that keeps the flow. */
  keep (sealed: string): string
  /** `Set-Cookie` that ends it. */
  readonly end: string
  /** The flow in a `Cookie` header; null where there is none, or two. */
  read (header: string | undefined): string | null
}

/** RFC 6265bis, 4.1.3.2: with the prefix no other host can plant one. It needs `Secure`, which loopback has not. */
export function createFlowCookie (issuer: string): FlowCookie {
  const isSecure = issuer.startsWith('https:')
  const name = isSecure ? '__Host-login' : 'login'
  const attributes = `Path=/; HttpOnly; SameSite=Lax${isSecure ? '; Secure' : ''}`
  return {
    keep: sealed => `${name}=${sealed}; Max-Age=${lifetime}; ${attributes}`,
    end: `${name}=; Max-Age=0; ${attributes}`,
    read (header = '') {
      const [found, another] = header.split(';').map(pair => pair.trim()).filter(pair => pair.startsWith(`${name}=`))
      return found === undefined || another !== undefined ? null : found.slice(name.length + 1)
    }
  }
}
