import {
  dictionary, headerName, labelled, list, open, origin, printableKey, refused, type Given, type Reader
} from '../options/values.js'
import type { CorsOptions } from './cors.js'
import type { CredentialHeaders } from './credentials.js'

// The options of the guards, each read or refused by name (errors.OptionInvalidError).

/** Keys by their labels. */
export type KeyList = ReadonlyMap<string, string>

const readKeyList = dictionary(printableKey, labelled)

export function readKeyLists (
  given: Given<'applicationKeys' | 'masterKeys'>
): { applicationKeys: KeyList, masterKeys: KeyList } {
  const applicationKeys = given.read('applicationKeys', readKeyList, new Map())
  const masterKeys = given.read('masterKeys', readKeyList, new Map())
  const keys = [...applicationKeys.values(), ...masterKeys.values()]
  if (new Set(keys).size !== keys.length) throw refused('applicationKeys and masterKeys', 'must not hold one key twice')
  return { applicationKeys, masterKeys }
}

export const defaultHeaders: CredentialHeaders = {
  token: 'x-zumo-auth',
  applicationKey: 'x-zumo-application',
  masterKey: 'x-zumo-master'
}

export const readHeaders: Reader<CredentialHeaders> = (value, path) => {
  const given = open(value, path, ['token', 'applicationKey', 'masterKey'])
  const headers = {
    token: given.read('token', headerName, defaultHeaders.token),
    applicationKey: given.read('applicationKey', headerName, defaultHeaders.applicationKey),
    masterKey: given.read('masterKey', headerName, defaultHeaders.masterKey)
  }
  if (new Set(Object.values(headers)).size !== 3) throw refused(path, 'must be three different names')
  return headers
}

export const readCors: Reader<CorsOptions> = (value, path) => ({
  origins: open(value, path, ['origins']).read('origins', list(origin))
})
