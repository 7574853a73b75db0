import { errors } from '../errors.js'
import { configuration } from './configuration.js'

/** Logins by redirect: with it, browsers can be sent to this provider. */
export interface RedirectOptions {
  /** One of `clientIds`. @default the first */
  clientId?: string
  clientSecret?: string
  /** Separated by blanks. */
  scope?: string
}

export interface RedirectSettings { clientId: string, clientSecret: string | null, scope: string }

/** What a provider says of its client: the secret is the app's own, must be given, or may be. */
export interface RedirectRules {
  clientIds: readonly string[]
  /** The provider's own, or whether one is taken. */
  secret: { own: string } | 'required' | 'optional'
  scope: string
  openid: boolean
}

/**
 * Reads the option `redirect` of a factory; null where it is not given.
 *
 * @throws errors.OptionInvalidError
 */
export function readRedirect (
  factory: string,
  value: unknown,
  { clientIds, secret, scope, openid }: RedirectRules
): RedirectSettings | null {
  if (value === undefined) return null
  const name = `${factory}.redirect`
  const given = configuration(
    name,
    value,
    typeof secret === 'string' ? ['clientId', 'clientSecret', 'scope'] : ['scope'],
    {}
  )
  const clientId = given.has('clientId') ? given.text('clientId') : (clientIds[0] ?? '')
  if (!clientIds.includes(clientId)) throw new errors.OptionInvalidError(`${name}.clientId must be one of clientIds`)
  const settings = { clientId, clientSecret: secretOf(), scope: given.has('scope') ? given.text('scope') : scope }
  // OpenID Connect Core, 3.1.2.1: without it no ID token comes back.
  if (openid && !settings.scope.split(' ').includes('openid')) {
    throw new errors.OptionInvalidError(`${name}.scope must hold openid`)
  }
  return settings

  function secretOf (): string | null {
    if (typeof secret === 'object') return secret.own
    return secret === 'required' || given.has('clientSecret') ? given.text('clientSecret') : null
  }
}
