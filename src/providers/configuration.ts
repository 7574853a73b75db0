import { errors } from '../errors.js'
import type { NoncePolicy, ReplayPolicy } from '../identity.js'
import { endpointUrl } from '../http/endpoint.js'
import { isObject, type JsonObject } from '../strict-json.js'

/** Options that every factory for ID tokens takes beside its own. */
export interface IdTokenOptions {
  /**
   * `required`: only a nonce that this server issued, once. `if-present`: a nonce that the app posts must be the token's.
   * @default 'if-present'
   */
  nonce?: NoncePolicy
  /**
   * `refuse`: an ID token makes one login.
   * @default 'allow'
   */
  replay?: ReplayPolicy
}

/** Names of the options of {@link IdTokenOptions}. */
export const ID_TOKEN_OPTIONS = ['nonce', 'replay'] as const

/** Addresses by the name of the endpoint; empty for one that has no default and was not given. */
type Addresses<Name extends string> = Readonly<Record<Name, string>>

/** The options of one factory, read once. Every reader throws errors.OptionInvalidError, naming factory and option. */
export interface Configuration<Endpoint extends string> {
  readonly endpoints: Addresses<Endpoint>
  readonly nonce: NoncePolicy
  readonly replay: ReplayPolicy
  has (name: string): boolean
  text (name: string): string
  list (name: string): readonly string[]
}

/**
 * Opens the options that an application gave to a provider's factory. An unknown name is refused: a misspelt option
 * would be a check that is not made.
 *
 * @param endpoints the names of the endpoints and their default addresses
 * @throws errors.OptionInvalidError
 */
export function configuration<Endpoint extends string> (
  factory: string, options: unknown, names: readonly string[], endpoints: Addresses<Endpoint>
): Configuration<Endpoint> {
  const given = members(options, factory, [...names, 'endpoints'])
  const refuse = (name: string, what: string) => new errors.OptionInvalidError(`${factory}.${name} ${what}`)
  const isText = (value: unknown): value is string => typeof value === 'string' && value.trim() !== ''
  const oneOf = <Value extends string>(name: string, values: readonly [Value, ...Value[]]): Value => {
    const found = given[name] === undefined ? values[0] : values.find(value => value === given[name])
    if (found === undefined) throw refuse(name, `must be one of ${values.join(', ')}`)
    return found
  }
  return {
    endpoints: addresses(`${factory}.endpoints`, given.endpoints, endpoints),
    nonce: oneOf('nonce', ['if-present', 'required', 'off']),
    replay: oneOf('replay', ['allow', 'refuse']),
    has: name => given[name] !== undefined,
    text (name) {
      const value = given[name]
      if (!isText(value)) throw refuse(name, 'must be a non-empty string')
      return value
    },
    list (name) {
      const value = given[name]
      if (!Array.isArray(value) || value.length === 0 || !value.every(isText)) {
        throw refuse(name, 'must be a non-empty list of non-empty strings')
      }
      return [...value]
    }
  }
}

function members (value: unknown, name: string, known: readonly string[]): JsonObject {
  if (!isObject(value)) throw new errors.OptionInvalidError(`${name} needs an object of options`)
  const unknown = Object.keys(value).find(key => !known.includes(key))
  if (unknown !== undefined) throw new errors.OptionInvalidError(`${name}.${unknown} is not an option`)
  return { ...value }
}

function addresses<Endpoint extends string> (
  name: string,
  value: unknown,
  defaults: Addresses<Endpoint>
): Addresses<Endpoint> {
  const given = value === undefined ? {} : members(value, name, Object.keys(defaults))
  const replaced = Object.entries(given)
    .filter(([, url]) => url !== undefined)
    .map(([key, url]) => [key, endpointUrl(url, `${name}.${key}`)])
  return { ...defaults, ...Object.fromEntries(replaced) }
}
