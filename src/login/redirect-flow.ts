import { randomBytes } from 'node:crypto'
import { errors, rejected, TokenExchangeError } from '../errors.js'
import type { AuthorizationAnswer, AuthorizationHints, AuthorizationRequest } from '../identity.js'
import { challengeOf } from './authorization-request.js'
import type { Seals } from './seals.js'

/** Seconds that a browser may take for its login. */
export const flowLifetime = 600

/** The address of this server to which a provider sends browsers back. */
export interface Callback { provider: string, redirectUri: string }

export interface FlowStart extends Callback, AuthorizationHints {
  /** What the browser asked for, as JSON can say it: the end needs it. */
  asked: unknown
  nonce: string
  /** Whether the flow can do without a cookie: it is then part of the state, too. */
  ridesInState: boolean
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
  /**
   * @param kept what the browser has kept; null where it has lost its cookie, which not every flow needs
   * @throws errors.GrantRejectedError unless this browser began this flow, for this address, and not too long ago
   */
  resume (kept: string | null, at: Callback, parameters: URLSearchParams): Promise<ReturnedFlow>
}

export function createRedirectFlows (seals: Seals): RedirectFlows {
  async function begin (start: FlowStart): Promise<BegunFlow> {
    const { provider, redirectUri, asked, nonce, ridesInState, loginHint, prompt, maxAge } = start
    const [state, codeVerifier] = [random(), random()]
    const content = { provider, redirectUri, state, codeVerifier, nonce, asked, ridesInState, maxAge }
    const sealed = await seals.seal('login-flow', content, flowLifetime)
    return {
      request: {
        redirectUri,
        state: ridesInState ? `${state}.${sealed}` : state,
        nonce,
        codeChallenge: challengeOf(codeVerifier),
        ...hintsOf({ loginHint, prompt, maxAge })
      },
      sealed
    }
  }

  async function resume (kept: string | null, at: Callback, parameters: URLSearchParams): Promise<ReturnedFlow> {
    const [state = '', ridden = ''] = splitAt('.', once(parameters, 'state'))
    const sealed = ridden || kept
    if (sealed === null || sealed === '') throw new errors.GrantRejectedError('no login was begun in this browser')
    const { asked, ...flow } = await seals.open('login-flow', sealed)
    // A cookie that is demanded cannot be replaced by what came in the address.
    if (ridden !== '' && flow.ridesInState !== true) throw new errors.GrantRejectedError('the cookie is missing')
    if (flow.provider !== at.provider || flow.redirectUri !== at.redirectUri) {
      throw new errors.GrantRejectedError('the login was begun elsewhere')
    }
    if (state !== flow.state) throw new errors.GrantRejectedError('the state is another')
    return { asked, answer: () => readAnswer(parameters, at.redirectUri, flow) }
  }

  return { begin, resume }
}

function random (): string {
  return randomBytes(32).toString('base64url')
}

function hintsOf (hints: { [name in keyof AuthorizationHints]: AuthorizationHints[name] | undefined }) {
  const { loginHint, prompt, maxAge } = hints
  return {
    ...(loginHint !== undefined && { loginHint }),
    ...(prompt !== undefined && { prompt }),
    ...(maxAge !== undefined && { maxAge })
  }
}

/** The text before a mark and the one after it. */
function splitAt (mark: string, text: string): readonly [string, string] {
  const place = text.indexOf(mark)
  return place === -1 ? [text, ''] : [text.slice(0, place), text.slice(place + 1)]
}

/** RFC 6749, 4.1.2. Which issuer answered is compared by the provider, who knows its own. */
function readAnswer (
  parameters: URLSearchParams,
  redirectUri: string,
  { codeVerifier, nonce, maxAge }: Readonly<Record<string, unknown>>
): AuthorizationAnswer {
  const [code, iss] = [once(parameters, 'code'), once(parameters, 'iss')]
  const error = once(parameters, 'error')
  if (error !== '') throw new ProviderRefusal(error)
  if (code === '' || typeof codeVerifier !== 'string' || typeof nonce !== 'string') {
    throw rejected('form', 'the answer holds no code')
  }
  return {
    code,
    redirectUri,
    codeVerifier,
    nonce,
    ...(iss !== '' && { iss }),
    ...(typeof maxAge === 'number' && { maxAge })
  }
}

/** RFC 6749, 3.1: a parameter stands once, and without a value counts as absent. */
function once (parameters: URLSearchParams, name: string): string {
  const [value = '', another] = parameters.getAll(name)
  if (another !== undefined) throw rejected('form', `${name} stands twice`)
  return value
}

/** The provider's own no, or that of the user there. */
export class ProviderRefusal extends TokenExchangeError {
  /** As the provider says it (RFC 6749, 4.1.2.1), where that is a word of a protocol; else empty. */
  readonly word: string

  constructor (error: string) {
    const word = /^[a-z_]{1,40}$/.test(error) ? error : ''
    super(errors.GrantRejectedError.code, 401, `The login was refused${word && `: ${word}`}`)
    this.word = word
  }
}
