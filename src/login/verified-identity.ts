import { errors } from '../errors.js'
import { isId, type Identity, type ProviderTokens } from '../identity.js'
import { isObject } from '../strict-json.js'

/** An identity, and what its provider's code exchange brought beside it. */
export interface Verified { identity: Identity, providerTokens: ProviderTokens | null }

/** What a provider has vouched for, and when the login began, as the sessions mark it. */
export interface Vouched extends Verified { mark: number }

/** What is wrong with an identity: by its member, the error to throw. */
type Unreadable = (member: string) => Error

/**
 * What a provider answered, as an {@link Identity}: complete and frozen.
 *
 * @param unreadable what to throw for somebody else's answer
 * @throws errors.ProviderUnavailableError when it has another form
 */
export function readIdentity (provider: string, answer: unknown, unreadable: Unreadable = unreadableAnswer): Verified {
  const textOrNull = (value: unknown, member: string): string | null => {
    if (value === undefined || value === null || value === '') return null
    if (typeof value !== 'string') throw unreadable(member)
    return value
  }
  if (!isObject(answer)) throw unreadable('no object')
  const { subject, clientId, email, name, picture, locale } = answer
  // Null, as in the members beside them: the provider does not say.
  const emailVerified = answer.emailVerified ?? 'unknown'
  const claims = answer.claims ?? {}
  if (!isId(subject)) throw unreadable('subject')
  if (typeof emailVerified !== 'boolean' && emailVerified !== 'unknown') throw unreadable('emailVerified')
  if (!isObject(claims)) throw unreadable('claims')
  const identity: Identity = Object.freeze({
    provider,
    subject,
    clientId: textOrNull(clientId, 'clientId'),
    email: textOrNull(email, 'email'),
    emailVerified,
    name: textOrNull(name, 'name'),
    picture: textOrNull(picture, 'picture'),
    locale: textOrNull(locale, 'locale'),
    claims: frozenRecord(claims)
  })
  return { identity, providerTokens: readProviderTokens(answer.providerTokens) }
}

function readProviderTokens (value: unknown): ProviderTokens | null {
  if (!isObject(value)) return null
  return typeof value.refreshToken === 'string' ? { refreshToken: value.refreshToken } : {}
}

// A copy, to its depth: what a lookup did to it would be seen by the next one of a provider that remembers its answers.
function frozenCopy (value: unknown): unknown {
  if (Array.isArray(value)) return Object.freeze(value.map(frozenCopy))
  const isData = isObject(value) && [Object.prototype, null].includes(Object.getPrototypeOf(value))
  return isData ? frozenRecord(value) : value
}

function frozenRecord (value: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const copy: Record<string, unknown> = { ...value }
  for (const name of Object.keys(copy)) {
    const member = copy[name]
    // An own member each, `__proto__` too: assigning changes that, and no prototype.
    if (typeof member === 'object' && member !== null) copy[name] = frozenCopy(member)
  }
  return Object.freeze(copy)
}

function unreadableAnswer (member: string): Error {
  return new errors.ProviderUnavailableError(`the answer of the provider's verify() cannot be read: ${member}`)
}
