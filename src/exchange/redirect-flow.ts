import * as oauth from 'oauth4webapi'
import { errors } from '../errors.js'
import type { AuthorizationAnswer, AuthorizationRequest } from '../identity.js'
import type { Seals } from './seals.js'

/** Seconds that a browser may take for its login. */
export const flowLifetime = 600

/** What a login by redirect is begun with. */
export interface FlowStart {
  provider: string
  redirectUri: string
  /** What the end needs to know of the beginning: anything that JSON can say. */
  completion: unknown
  nonce: string
}

/** A login by redirect on its way: where the browser goes, and what it keeps until it is back. */
export interface BegunFlow { request: AuthorizationRequest, sealed: string }

/** A browser that is back: with an answer to redeem, or with the provider's error. */
export interface ReturnedFlow { completion: unknown, answer: AuthorizationAnswer | null, error: string | null }

/** Nothing is stored here: what the end needs is sealed, and the browser that began keeps it. */
export interface Flows {
  begin(start: FlowStart): Promise<BegunFlow>
  /** @throws errors.GrantRejectedError unless this browser began this flow, at this address, and not too long ago */
  resume(
    sealed: string | null,
    at: { provider: string, redirectUri: string },
    parameters: URLSearchParams
  ): Promise<ReturnedFlow>
}

export function createFlows (seals: Seals): Flows {
  async function begin ({ provider, redirectUri, completion, nonce }: FlowStart): Promise<BegunFlow> {
    const state = oauth.generateRandomState()
    const codeVerifier = oauth.generateRandomCodeVerifier()
    const codeChallenge = await oauth.calculatePKCECodeChallenge(codeVerifier)
    const sealed = await seals.seal(
      'login-flow',
      { provider, redirectUri, state, codeVerifier, nonce, completion },
      flowLifetime
    )
    return { request: { redirectUri, state, nonce, codeChallenge }, sealed }
  }

  async function resume (
    sealed: string | null,
    at: { provider: string, redirectUri: string },
    parameters: URLSearchParams
  ): Promise<ReturnedFlow> {
    if (sealed === null) throw new errors.GrantRejectedError('no login was begun in this browser')
    const { provider, redirectUri, state, codeVerifier, nonce, completion } = await seals.open('login-flow', sealed)
    if (provider !== at.provider || redirectUri !== at.redirectUri) {
      throw new errors.GrantRejectedError('the login was begun elsewhere')
    }
    const { code, iss, error } = readAnswer(parameters, text(state))
    const answer =
      code === null
        ? null
        : {
            code,
            redirectUri: at.redirectUri,
            codeVerifier: text(codeVerifier),
            nonce: text(nonce),
            ...(iss !== null && { iss })
          }
    return { completion, answer, error }
  }

  return { begin, resume }
}

/** RFC 6749, 4.1.2: `state` must be ours, and each parameter stands once. Which issuer answered is compared by the provider, who knows its own. */
function readAnswer (
  parameters: URLSearchParams,
  state: string
): { code: string | null, iss: string | null, error: string | null } {
  const ofAnyIssuer = new URLSearchParams(parameters)
  ofAnyIssuer.delete('iss')
  if (parameters.getAll('iss').length > 1) throw new errors.GrantRejectedError('iss stands twice')
  const iss = parameters.get('iss')
  try {
    const checked = oauth.validateAuthResponse(
      { issuer: 'https://any.invalid' },
      { client_id: 'any' },
      ofAnyIssuer,
      state
    )
    const [code, another] = checked.getAll('code')
    if (code === undefined || code === '' || another !== undefined) {
      throw new errors.GrantRejectedError('no code, or two')
    }
    return { code, iss, error: null }
  } catch (thrown) {
    if (thrown instanceof oauth.AuthorizationResponseError) return { code: null, iss, error: thrown.error }
    throw new errors.GrantRejectedError('the answer is not one to this login', { cause: thrown })
  }
}

function text (value: unknown): string {
  if (typeof value !== 'string') throw new errors.GrantRejectedError('the seal holds something else')
  return value
}
