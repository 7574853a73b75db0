import { createHash } from 'node:crypto'
import { errors, RequestMalformed } from '../errors.js'
import type { AuthorizationHints } from '../identity.js'
import { isRegistered, type Clients } from './clients.js'

/** What a client asks for: where the code goes, and what it is bound to. */
export interface AskedCode {
  readonly clientId: string
  readonly redirectUri: string
  /** Comes back as it was; null where there was none. */
  readonly state: string | null
  /** RFC 7636, 4.2, of the method S256. */
  readonly challenge: string
  /** The thumbprint of the key that redeems the code (RFC 9449, 10); null where none was named. */
  readonly jkt: string | null
}

/** An authorization request (RFC 6749, 4.1.1), read. */
export interface CodeRequest extends AuthorizationHints {
  readonly asked: AskedCode
  readonly provider: string
}

/** Why a client's request is refused, in the word of RFC 6749, 4.1.2.1. The client is told, by a redirect. */
export class CodeRequestRefused extends errors.RequestInvalidError {
  readonly word: 'invalid_request' | 'unsupported_response_type'

  constructor (reason: string, word: CodeRequestRefused['word'] = 'invalid_request') {
    super(reason)
    this.word = word
  }
}

/** Where a request is answered to, whatever else is wrong with it. */
export type AnswerTo = Pick<AskedCode, 'clientId' | 'redirectUri' | 'state'>

/**
 * Who asks, and where the answer goes.
 *
 * @throws errors.RequestInvalidError for a client or a URI that is not registered: its browser is sent nowhere
 */
export function readAnswerTo (query: URLSearchParams, clients: Clients): AnswerTo {
  const [clientId, redirectUri] = [only(query, 'client_id'), only(query, 'redirect_uri')]
  if (!isOfClient(clients, { clientId, redirectUri })) {
    throw new RequestMalformed('client_id and redirect_uri must be registered')
  }
  return { clientId, redirectUri, state: isState(query.getAll('state')) ? query.get('state') || null : null }
}

export function isOfClient (
  clients: Clients,
  { clientId, redirectUri }: Pick<AskedCode, 'clientId' | 'redirectUri'>
): boolean {
  const registered = clients.get(clientId)
  return registered !== undefined && isRegistered(registered, redirectUri)
}

// RFC 6749, 3.1: a parameter stands once.
function only (query: URLSearchParams, name: string): string {
  const [value = '', another] = query.getAll(name)
  if (value === '' || another !== undefined) throw new RequestMalformed(`${name} must stand once`)
  return value
}

const read = [
  'response_type', 'state', 'code_challenge', 'code_challenge_method', 'provider', 'login_hint', 'prompt', 'max_age'
]

/**
 * The rest of the request. Parameters that are not known are ignored (RFC 6749, 3.1).
 *
 * @param providers that offer logins by redirect
 * @param isDpop whether `dpop_jkt` is one that is known
 * @throws CodeRequestRefused
 */
export function readCodeRequest (
  query: URLSearchParams,
  answerTo: AnswerTo,
  providers: readonly string[],
  isDpop: boolean
): CodeRequest {
  const repeated = [...read, ...(isDpop ? ['dpop_jkt'] : [])].find(name => query.getAll(name).length > 1)
  if (repeated !== undefined) throw new CodeRequestRefused(`${repeated} stands twice`)
  const value = (name: string): string | null => query.get(name) || null
  if (!isState(query.getAll('state'))) throw new CodeRequestRefused('state')
  readResponseType(value('response_type'))
  return {
    asked: {
      ...answerTo,
      challenge: readChallenge(value('code_challenge'), value('code_challenge_method')),
      jkt: isDpop ? readThumbprint(value('dpop_jkt')) : null
    },
    provider: readProvider(value('provider'), providers),
    ...readHints(value)
  }
}

/** RFC 6749, A.5: visible characters and blanks. */
function isState ([state = '', another]: readonly string[]): boolean {
  return another === undefined && /^[ -~]{0,1024}$/.test(state)
}

function readResponseType (type: string | null): void {
  if (type === null) throw new CodeRequestRefused('response_type is missing')
  if (type !== 'code') throw new CodeRequestRefused('response_type', 'unsupported_response_type')
}

/** RFC 7636, 4.2: the challenge of a verifier, by the method S256. */
export function challengeOf (verifier: string): string {
  return createHash('sha256').update(verifier).digest('base64url')
}

// RFC 9700, 2.1.1: without a challenge, or with a plain one, whoever intercepts a code could redeem it.
function readChallenge (challenge: string | null, method: string | null): string {
  if (method !== 'S256') throw new CodeRequestRefused('code_challenge_method must be S256')
  if (challenge === null || !isSha256(challenge)) {
    throw new CodeRequestRefused('code_challenge must be a SHA-256 in base64url')
  }
  return challenge
}

function readThumbprint (jkt: string | null): string | null {
  if (jkt !== null && !isSha256(jkt)) throw new CodeRequestRefused('dpop_jkt must be a SHA-256 in base64url')
  return jkt
}

function isSha256 (text: string): boolean {
  return /^[\w-]{43}$/.test(text) && Buffer.from(text, 'base64url').toString('base64url') === text
}

function readProvider (name: string | null, providers: readonly string[]): string {
  const [provider, another] = providers
  if (name === null && provider !== undefined && another === undefined) return provider
  if (name === null || !providers.includes(name)) throw new CodeRequestRefused('provider')
  return name
}

const prompts = ['login', 'consent', 'select_account', 'none']

function readHints (value: (name: string) => string | null): AuthorizationHints {
  const [loginHint, prompt, maxAge] = [value('login_hint'), value('prompt'), value('max_age')]
  if (loginHint !== null && loginHint.length > 255) throw new CodeRequestRefused('login_hint')
  const words = prompt?.split(' ') ?? []
  // OpenID Connect Core, 3.1.2.1: none stands alone.
  const isPrompt = words.every(word => prompts.includes(word)) && !(words.includes('none') && words.length > 1)
  if (!isPrompt) throw new CodeRequestRefused('prompt')
  if (maxAge !== null && !/^\d{1,9}$/.test(maxAge)) throw new CodeRequestRefused('max_age')
  return {
    ...(loginHint !== null && { loginHint }),
    ...(prompt !== null && { prompt }),
    ...(maxAge !== null && { maxAge: Number(maxAge) })
  }
}
