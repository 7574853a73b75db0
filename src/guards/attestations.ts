import type { FastifyRequest } from 'fastify'
import { codeOf, errors, TokenExchangeError } from '../errors.js'
import type { ApplicationVerifier, ProvenApplication } from '../identity.js'
import { dictionary, headerName, labelled, refused, type Given } from '../options/values.js'
import { isObject } from '../strict-json.js'
import type { CredentialHeaders, KeyKind } from './credentials.js'
import { createHeaderReader, type Presented } from './presented.js'
import { createTextCache } from './token-cache.js'

/** Verifiers of attestations, by label. */
export type ApplicationVerifiers = ReadonlyMap<string, ApplicationVerifier>

/** Reads the option `applications`. @throws errors.OptionInvalidError */
export function readApplications (given: Given<'applications'>, headers: CredentialHeaders): ApplicationVerifiers {
  const verifiers = given.read<ApplicationVerifiers>('applications', dictionary(readVerifier, labelled), new Map())
  const names = Array.from(verifiers.values(), ({ header }) => header.toLowerCase())
  const all = [...names, ...Object.values(headers), 'dpop']
  if (names.length > 0 && new Set(all).size !== all.length) {
    throw given.refuse('applications', 'must each have a header of its own, which carries no other credential')
  }
  return verifiers
}

function readVerifier (value: unknown, path: string): ApplicationVerifier {
  if (!isVerifier(value)) throw refused(path, 'must be a verifier of attestations: { header, verify () {} }')
  headerName(value.header, `${path}.header`)
  return value
}

function isVerifier (value: unknown): value is ApplicationVerifier {
  return isObject(value) && typeof value.header === 'string' && typeof value.verify === 'function'
}

/** Asks a verifier, within its deadline and its share of the server. @throws as a verifier, with errors of ours only */
export type AskVerifier = (token: string, request: FastifyRequest) => Promise<ProvenApplication>

/** Attestations in the place of application keys. */
export interface Attestations {
  readonly kinds: readonly KeyKind[]
  /** Has judged what a request carries. Undefined where all of it is known, so that nobody waits. Does not reject. */
  settle (request: FastifyRequest): Promise<unknown> | undefined
  /** Whether nobody could tell what the application of a request is. */
  isUnknown (request: FastifyRequest): boolean
}

export interface AttestationParts {
  readonly verifiers: ApplicationVerifiers
  readonly askerOf: (label: string, verifier: ApplicationVerifier) => AskVerifier
  /** Of memory, for each verifier. */
  readonly bytes: number
}

export function createAttestations ({ verifiers, askerOf, bytes }: AttestationParts): Attestations {
  const kinds = Array.from(verifiers, ([label, verifier]) =>
    createAttestation(label, verifier.header.toLowerCase(), askerOf(label, verifier), bytes))
  const read = createHeaderReader(kinds.map(({ header }) => header))

  function settle (request: FastifyRequest): Promise<unknown> | undefined {
    const presented = readOrNone(request)
    let waiting: Array<Promise<void>> | undefined
    for (let at = 0; at < presented.length; at++) {
      const value = presented[at]
      const judging = value ? kinds[at]?.judge(value, request) : undefined
      if (judging !== undefined) (waiting ??= []).push(judging)
    }
    return waiting === undefined ? undefined : Promise.all(waiting)
  }

  // One that is sent twice is refused by who reads all credentials.
  function readOrNone (request: FastifyRequest): Presented {
    try {
      return read(request)
    } catch {
      return []
    }
  }

  return { kinds, settle, isUnknown: request => kinds.some(kind => kind.isUnknown(request)) }
}

interface Attestation extends KeyKind {
  /** Undefined where it is known. Does not reject. */
  judge (token: string, request: FastifyRequest): Promise<void> | undefined
  isUnknown (request: FastifyRequest): boolean
}

/** What came of one: a label, or why there is none. */
interface Attested { readonly label: string }
type Verdict = Attested | TokenExchangeError

/** What an entry takes beside its text; the label is shared by most. */
const entryBytes = 424
const longestAttestation = 8192

function createAttestation (label: string, header: string, ask: AskVerifier, bytes: number): Attestation {
  const warm = createTextCache<Attested>(bytes, (text, attested) => entryBytes + text.length + attested.label.length)
  const underWay = new Map<string, Promise<Verdict>>()
  const judged = new WeakMap<FastifyRequest, Verdict>()

  function judge (token: string, request: FastifyRequest): Promise<void> | undefined {
    if (warm.get(token) !== undefined) return undefined
    return once(token, request).then(verdict => { judged.set(request, verdict) })
  }

  // Requests at once with one token share one verification.
  async function once (token: string, request: FastifyRequest): Promise<Verdict> {
    const running = underWay.get(token) ?? verdictOn(token, request).finally(() => underWay.delete(token))
    underWay.set(token, running)
    return await running
  }

  async function verdictOn (token: string, request: FastifyRequest): Promise<Verdict> {
    try {
      if (token.length > longestAttestation) throw new errors.GrantRejectedError('too long')
      const { expiresAt, application } = await ask(token, request)
      if (expiresAt <= Date.now() / 1000) throw new errors.GrantRejectedError('expired')
      const attested = { label: application === undefined ? label : `${label}/${application}` }
      warm.set(token, attested, expiresAt)
      return attested
    } catch (thrown) {
      const isNo = codeOf(thrown) === errors.GrantRejectedError.code
      return isNo
        ? new errors.ApplicationInvalidError(label, { cause: thrown })
        : new errors.ProviderUnavailableError(label, { cause: thrown })
    }
  }

  return {
    header,
    proves: 'application',
    judge,
    prove (token, request) {
      const known = warm.get(token) ?? judged.get(request)
      if (!(known instanceof TokenExchangeError)) return known?.label ?? null
      if (known.statusCode === 401) throw known
      return null
    },
    isUnknown: request => judged.get(request) instanceof errors.ProviderUnavailableError
  }
}
