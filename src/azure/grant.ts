import { errors } from '../errors.js'
import { readGrantOf, type Members } from '../exchange/grant.js'
import type { AuthorizationGrant, GrantType } from '../identity.js'

/** Where the SDKs put grants, in the order in which they count. Microsoft accounts have two words of their own. */
const carriers: ReadonlyArray<readonly [GrantType, string]> = [
  ['id_token', 'id_token'],
  ['id_token', 'authenticationToken'],
  ['id_token', 'authentication_token'],
  ['access_token', 'access_token'],
  ['authorization_code', 'authorization_code']
]

/**
 * The authorization grant in a body of an SDK, which may hold several: the first of a kind that the provider takes.
 *
 * @throws errors.GrantRejectedError where there is none
 */
export function chooseGrant (members: Members, accepts: readonly GrantType[]): AuthorizationGrant {
  const carrier = carriers.find(([type, name]) => accepts.includes(type) && members[name] !== undefined)
  if (carrier === undefined) throw new errors.GrantRejectedError('no grant of a kind that the provider takes')
  const [type, name] = carrier
  const token = members[name]
  if (typeof token !== 'string' || token === '') {
    throw new errors.GrantRejectedError(`${name} is not a non-empty string`)
  }
  return readGrantOf(type, token, members)
}
