import { RequestMalformed } from '../errors.js'
import { grantTypes, type AuthorizationGrant, type GrantType } from '../identity.js'

/** The members of a request's body, without a prototype: what a client left out is undefined here. */
export type Members = Readonly<Record<string, unknown>>

/**
 * The authorization grant in a body: exactly one, of a kind that the provider takes. Other members are not read.
 *
 * @throws errors.RequestInvalidError
 */
export function readGrant (members: Members, accepts: readonly GrantType[]): AuthorizationGrant {
  const [type, another] = grantTypes.filter(name => members[name] !== undefined)
  if (type === undefined || another !== undefined) {
    throw new RequestMalformed(`exactly one of ${grantTypes.join(', ')} is needed`)
  }
  if (!accepts.includes(type)) throw new RequestMalformed(`the provider does not take ${type}`)
  return readGrantOf(type, text(members, type), members)
}

/** A grant, with what else the body says of it. @throws errors.RequestInvalidError */
export function readGrantOf (type: GrantType, token: string, members: Members): AuthorizationGrant {
  return {
    type,
    token,
    ...(members.nonce !== undefined && { nonce: text(members, 'nonce') }),
    ...(members.redirect_uri !== undefined && { redirectUri: text(members, 'redirect_uri') }),
    ...(members.code_verifier !== undefined && { codeVerifier: text(members, 'code_verifier') })
  }
}

export function text (members: Members, name: string): string {
  const value = members[name]
  if (typeof value !== 'string' || value === '') {
    throw new RequestMalformed(`${name} must be a non-empty string`)
  }
  return value
}
