import { hash, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import type { ResolvedDpop } from '../dpop/dpop-options.js'
import {
  dictionary, headerName, labelled, open, printableKey, refused, type Given, type Reader
} from '../options/values.js'
import { bearerToken, boundToken, type TokenFrom, type TokenKind } from './token-kinds.js'

/** Names of the headers beside `Authorization: Bearer`, in lower case. */
export interface CredentialHeaders {
  token: string
  applicationKey: string
  masterKey: string
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

/** A kind of credential whose key proves a label. */
export interface KeyKind {
  readonly header: string
  /** The member of `Auth` that holds the label. */
  readonly proves: 'application' | 'master'
  /**
   * The label of the key that is presented; null counts as absent.
   * @throws errors.ApplicationInvalidError for an attestation that is none
   */
  prove (presented: string, request: FastifyRequest): string | null
}

/** The kinds of credential of a server. */
export interface CredentialKinds { readonly token: TokenKind, readonly keys: readonly KeyKind[] }

export interface CredentialOptions {
  headers: CredentialHeaders
  tokenFrom: TokenFrom | null
  dpop: ResolvedDpop | null
  applicationKeys: KeyList
  masterKeys: KeyList
}

/**
 * @param attestations before the keys: who proves more is known by that
 * @param resourceMetadata the address of this server's, where there are clients who look there (RFC 9728, 5.1)
 */
export function credentialKinds (
  options: CredentialOptions,
  attestations: readonly KeyKind[],
  resourceMetadata: string | null
): CredentialKinds {
  const { headers, tokenFrom, dpop, applicationKeys, masterKeys } = options
  const metadata = resourceMetadata === null ? [] : [`resource_metadata="${resourceMetadata}"`]
  const bearer = bearerToken(headers.token, tokenFrom, metadata)
  return {
    token: dpop?.mode === 'all' ? boundToken(bearer, dpop.algorithms, metadata) : bearer,
    keys: [
      ...attestations,
      keyKind(headers.applicationKey, 'application', applicationKeys),
      keyKind(headers.masterKey, 'master', masterKeys)
    ]
  }
}

/**
 * A header that holds one of these keys, by label. Compares digests, of all keys each time: neither the length of a key
 * nor how much of it was guessed shows in the time it takes.
 */
function keyKind (header: string, proves: KeyKind['proves'], keys: KeyList): KeyKind {
  const entries = Array.from(keys, ([label, key]) => ({ label, digest: digestOf(key) }))
  return {
    header,
    proves,
    prove (presented) {
      const digest = digestOf(presented)
      let found: string | null = null
      for (const entry of entries) if (timingSafeEqual(entry.digest, digest)) found = entry.label
      return found
    }
  }
}

function digestOf (key: string): Buffer {
  return hash('sha256', key, 'buffer')
}
