import type { CredentialHeaders, KeyList } from '../guards/credentials.js'
import type { Requirement } from '../guards/decide.js'

/** What a caller proves, by the members of `Auth`; several of them together. */
type Proof = 'user' | 'application' | 'master'
type Proofs = readonly Proof[]

/** Names of security schemes, all of which a request needs (OpenAPI, Security Requirement Object). */
export type SecurityRequirement = Readonly<Record<string, readonly string[]>>

/** A security scheme of the document, and what its credential proves. */
interface SecurityScheme {
  readonly name: string
  readonly proves: Proof
  /** Whether this server takes any such credential. */
  readonly isTaken: boolean
  /** OpenAPI, Security Scheme Object. */
  readonly definition: object
}

export interface SecurityOptions {
  readonly headers: CredentialHeaders
  readonly applicationKeys: KeyList
  readonly masterKeys: KeyList
  readonly applications: ReadonlyMap<string, { readonly header: string }>
  /** Null without proofs of possession. */
  readonly dpop: { readonly mode: string } | null
}

export interface Security {
  /** Which credentials let a caller pass all of these guards: one of the list; none where everyone passes. */
  requirementsOf (guards: readonly Requirement[]): readonly SecurityRequirement[]
  /** The schemes that this server takes, or that one of these names, by their names. */
  schemesFor (requirements: readonly SecurityRequirement[]): Readonly<Record<string, object>>
}

export function createSecurity (options: SecurityOptions): Security {
  const schemes = schemesOf(options)
  const taken = schemes.filter(({ isTaken }) => isTaken)
  return {
    requirementsOf (guards) {
      const ways = waysThrough(guards)
      if (ways.some(proofs => proofs.length === 0)) return []
      const offered = ways.flatMap(proofs => inSchemes(proofs, taken))
      // Where nobody passes, what a caller would need.
      return offered.length > 0 ? offered : ways.flatMap(proofs => inSchemes(proofs, schemes))
    },

    schemesFor (requirements) {
      const named = new Set(requirements.flatMap(requirement => Object.keys(requirement)))
      const used = schemes.filter(({ isTaken, name }) => isTaken || named.has(name))
      return Object.fromEntries(used.map(({ name, definition }) => [name, definition]))
    }
  }
}

const boundToken = {
  type: 'http',
  scheme: 'DPoP',
  description: 'An access token that is bound to a key of the client, with a proof in the header DPoP (RFC 9449).'
}

/** A row for each kind of credential. */
function schemesOf ({ headers, applicationKeys, applications, masterKeys, dpop }: SecurityOptions): SecurityScheme[] {
  const inHeader = (name: string, description: string) => ({ type: 'apiKey', in: 'header', name, description })
  const bearer = {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: `An access token of this server. The header ${headers.token} takes it too, without the scheme.`
  }
  return [
    { name: 'bearer', proves: 'user', isTaken: true, definition: bearer },
    ...(dpop?.mode === 'all' ? [{ name: 'dpop', proves: 'user', isTaken: true, definition: boundToken } as const] : []),
    {
      name: 'applicationKey',
      proves: 'application',
      isTaken: applicationKeys.size > 0,
      definition: inHeader(headers.applicationKey, 'The key of an application.')
    },
    ...Array.from(applications.values(), ({ header }, number): SecurityScheme => ({
      name: `attestation${number === 0 ? '' : number + 1}`,
      proves: 'application',
      isTaken: true,
      definition: inHeader(header, 'An attestation of the application.')
    })),
    {
      name: 'masterKey',
      proves: 'master',
      isTaken: masterKeys.size > 0,
      definition: inHeader(headers.masterKey, 'The key of an operator.')
    }
  ]
}

/** All ways through these guards, but for those that ask for more than another: of each guard one of its own ways. */
function waysThrough (guards: readonly Requirement[]): Proofs[] {
  const ways = guards.flatMap(waysOfOne).reduce<Proofs[]>(
    (ways, step) => ways.flatMap(way => step.map(proofs => union(way, proofs))),
    [[]]
  )
  const isNeedless = (way: Proofs, at: number): boolean => ways.some((other, index) =>
    index !== at && isWithin(other, way) && (other.length < way.length || index < at))
  return ways.filter((way, at) => !isNeedless(way, at))
}

function union (one: Proofs, other: Proofs): Proofs {
  return [...new Set([...one, ...other])]
}

function isWithin (fewer: Proofs, more: Proofs): boolean {
  return fewer.every(proof => more.includes(proof))
}

/** For each thing that a guard asks for, which proofs do: `decide`, in the words of a document. */
function waysOfOne ({ level, permissions, anyPermission, user, recentLogin, access }: Requirement): Proofs[][] {
  const isForUsers = level === 'authenticated' || level === 'admin' ||
    permissions !== undefined || anyPermission !== undefined || recentLogin !== undefined
  return [
    ...(isForUsers ? [[['user'], ['master']] satisfies Proofs[]] : []),
    ...(user === true ? [[['user']] satisfies Proofs[]] : []),
    ...(level === 'application' ? [[['application'], ['master']] satisfies Proofs[]] : []),
    // The application answers: whichever credential there is may be enough.
    ...(access === undefined ? [] : [[['user'], ['application'], ['master']] satisfies Proofs[]])
  ]
}

/** One requirement for each combination of schemes that prove this much; none where a proof has no scheme. */
function inSchemes (proofs: Proofs, schemes: readonly SecurityScheme[]): SecurityRequirement[] {
  return proofs.reduce<SecurityRequirement[]>(
    (requirements, proof) => {
      const proving = schemes.filter(({ proves }) => proves === proof)
      return requirements.flatMap(requirement => proving.map(({ name }) => ({ ...requirement, [name]: [] })))
    },
    [{}]
  )
}
