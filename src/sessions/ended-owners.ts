/** Of a user, or of an identity. */
export interface Ended {
  /** Sessions that began until then have ended. Milliseconds. */
  readonly begunUntil: number
  /** When it was revoked, or this server heard of it if that is earlier; 0 where it was not. Milliseconds. */
  readonly revokedAt: number
  /** Tokens without a session that were issued until then are refused. Seconds. */
  readonly issuedUntil: number
  readonly expiresAt: number
}

/** Users, or identities, of whom what began until some time has ended. */
export interface EndedOwners {
  readonly size: number
  get (id: string): Ended | undefined
  /** The later times count. */
  add (id: string, ended: Ended): Ended
  /** Takes away what has expired. @returns whose it was */
  purge (now: number): string[]
  /** Whose were taken away, with `begunUntil`: they are forgotten when their rows have ended. */
  readonly leaving: Map<string, number>
}

export interface EndedIdentities extends EndedOwners {
  /** As an access token names it. Synchronous and without allocation. */
  of (provider: string | null | undefined, subject: string | null | undefined): Ended | undefined
}

export function createEndedUsers (): EndedOwners {
  const all = new Map<string, Ended>()
  const leaving = new Map<string, number>()

  function add (id: string, ended: Ended): Ended {
    const known = all.get(id)
    const next = known === undefined ? ended : latest(known, ended)
    all.set(id, next)
    return next
  }

  function purge (now: number): string[] {
    const due = [...all].filter(([, { expiresAt }]) => expiresAt <= now)
    for (const [id, { begunUntil }] of due) {
      leaving.set(id, Math.max(begunUntil, leaving.get(id) ?? 0))
      all.delete(id)
    }
    return due.map(([id]) => id)
  }

  return { get size () { return all.size }, get: id => all.get(id), add, purge, leaving }
}

/** By the keys of identities (session.ts), and by provider and subject as well, so that no guard has to make a key. */
export function createEndedIdentities (): EndedIdentities {
  const all = createEndedUsers()
  const byProvider = new Map<string, Map<string, Ended>>()

  function add (identityKey: string, ended: Ended): Ended {
    const next = all.add(identityKey, ended)
    const [provider, subject] = namesIn(identityKey)
    const bySubject = byProvider.get(provider) ?? new Map<string, Ended>()
    byProvider.set(provider, bySubject.set(subject, next))
    return next
  }

  function purge (now: number): string[] {
    const gone = all.purge(now)
    for (const [provider, subject] of gone.map(namesIn)) byProvider.get(provider)?.delete(subject)
    return gone
  }

  return {
    get size () { return all.size },
    get: all.get,
    of: (provider, subject) =>
      typeof provider === 'string' && typeof subject === 'string' ? byProvider.get(provider)?.get(subject) : undefined,
    add,
    purge,
    leaving: all.leaving
  }
}

function latest (one: Ended, other: Ended): Ended {
  return {
    begunUntil: Math.max(one.begunUntil, other.begunUntil),
    revokedAt: Math.max(one.revokedAt, other.revokedAt),
    issuedUntil: Math.max(one.issuedUntil, other.issuedUntil),
    expiresAt: Math.max(one.expiresAt, other.expiresAt)
  }
}

// It comes out of the store: what is no key is nobody's.
function namesIn (identityKey: string): [provider: string, subject: string] {
  try {
    const [provider, subject]: unknown[] = Array.from(JSON.parse(identityKey))
    if (typeof provider === 'string' && typeof subject === 'string') return [provider, subject]
  } catch {}
  return ['', '']
}
