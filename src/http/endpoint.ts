import { errors } from '../errors.js'

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/

/** The parsed URL when this server may call it (https, or http on a loopback host), else what is wrong with it. */
function examine (value: string): URL | string {
  if (!URL.canParse(value)) return 'must be an absolute URL'
  const url = new URL(value)
  if (url.username !== '' || url.password !== '') return 'must not hold credentials'
  if (value.includes('#')) return 'must not have a fragment'
  if (url.protocol === 'https:') return url
  return url.protocol === 'http:' && LOOPBACK.test(url.hostname) ? url : 'must be https (http for loopback hosts only)'
}

/**
 * A URL of the configuration, as written.
 *
 * @param name of the option, for the message; the value itself is not shown, it may hold a secret
 * @throws errors.OptionInvalidError
 */
export function endpointUrl (value: unknown, name: string): string {
  const examined = typeof value === 'string' ? examine(value) : 'must be a string'
  if (typeof examined === 'string') throw new errors.OptionInvalidError(`${name} ${examined}`)
  return String(value)
}

/** Whether an address that a pinned issuer's document names may be called: any https host; http only beside a http (loopback) issuer. */
export function isCallable (value: unknown, issuer: string): value is string {
  if (typeof value !== 'string') return false
  const examined = examine(value)
  return typeof examined !== 'string' && (examined.protocol === 'https:' || issuer.startsWith('http:'))
}
