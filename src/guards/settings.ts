import { headerName, isDictionary, labelled, members, origin, printableKey, refused } from '../option-values.js'
import { isLevel, levels, type Level } from '../permissions/level.js'
import { isWellKnownSecret } from '../options/well-known-secrets.js'
import type { CorsOptions } from './cors.js'
import type { CredentialHeaders } from './credentials.js'

// The options of the guards, each read or refused by name (errors.OptionInvalidError).

type KeyList = Readonly<Record<string, string>>

export function readApplicationKeys (
  applications: unknown = {},
  masters: unknown = {}
): { applicationKeys: KeyList, masterKeys: KeyList } {
  const applicationKeys = readKeyList(applications, 'applicationKeys')
  const masterKeys = readKeyList(masters, 'masterKeys')
  const values = [...Object.values(applicationKeys), ...Object.values(masterKeys)]
  if (new Set(values).size !== values.length) {
    throw refused('applicationKeys and masterKeys', 'must not hold one key twice')
  }
  return { applicationKeys, masterKeys }
}

function readKeyList (value: unknown, path: string): KeyList {
  if (!isDictionary(value)) throw refused(path, 'must be a plain object of keys by label')
  return Object.freeze(
    Object.fromEntries(
      Object.entries(value).map(([label, key]) => [label, readApplicationKey(key, labelled(path, label))])
    )
  )
}

function readApplicationKey (value: unknown, path: string): string {
  const key = printableKey(value, path)
  if (isWellKnownSecret(key)) throw refused(path, 'is printed in public documentation, anybody could send it')
  return key
}

export function readHeaders (value: unknown = {}): CredentialHeaders {
  const {
    token = 'x-zumo-auth',
    applicationKey = 'x-zumo-application',
    masterKey = 'x-zumo-master'
  } = members(value, 'headers', ['token', 'applicationKey', 'masterKey'])
  const headers = {
    token: headerName(token, 'headers.token'),
    applicationKey: headerName(applicationKey, 'headers.applicationKey'),
    masterKey: headerName(masterKey, 'headers.masterKey')
  }
  if (new Set(Object.values(headers)).size !== 3) throw refused('headers', 'must be three different names')
  return headers
}

export function readDefaultLevel (value: unknown): Level | null {
  if (value === undefined) return null
  if (!isLevel(value)) throw refused('defaultLevel', `must be one of ${levels.join(', ')}`)
  return value
}

export function readCors (value: unknown): CorsOptions | null {
  if (value === undefined) return null
  const { origins } = members(value, 'cors', ['origins'])
  if (!Array.isArray(origins) || origins.length === 0) {
    throw refused('cors.origins', 'must be a non-empty list of origins')
  }
  return { origins: Array.from(origins, (entry: unknown, index) => origin(entry, `cors.origins[${index}]`)) }
}
