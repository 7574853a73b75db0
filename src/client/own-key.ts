import { platform, type DatabaseRequest, type ProofKeys } from './platform.js'

const database = 'fastify-token-exchange'
const table = 'keys'

async function makeKeys (): Promise<ProofKeys> {
  return await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
}

/**
 * The key pair of this name, whose private key cannot be read by anybody: kept in IndexedDB, for all tabs of an origin;
 * where there is none, as in Node and React Native, new each time.
 *
 * @throws where IndexedDB fails: with another key the login would be lost
 */
export async function proofKeys (name: string): Promise<ProofKeys> {
  // Made first, for nothing perhaps: a transaction ends where something else than itself is waited for.
  const made = await makeKeys()
  if (platform.indexedDB === undefined) return made
  const opening = platform.indexedDB.open(database, 1)
  opening.addEventListener('upgradeneeded', () => opening.result.createObjectStore(table))
  const keys = (await resultOf(opening)).transaction(table, 'readwrite').objectStore(table)
  const kept = await resultOf(keys.get(name))
  if (kept === undefined) await resultOf(keys.put(made, name))
  return kept ?? made
}

function resultOf<Result> (request: DatabaseRequest<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    request.addEventListener('success', () => resolve(request.result))
    request.addEventListener('error', () => reject(request.error))
  })
}
