import { randomUUID } from 'node:crypto'
import { authoritativeEmail, errors, type Identity, type PermissionLookup } from 'fastify-token-exchange'

// Two tables of yours. Maps stand in for them here.
interface Account { readonly id: string, readonly email: string | null }
export const accounts = new Map<string, Account>()
export const identities = new Map<string, string>() // identity → id of the account that it opens

const keyOf = ({ provider, subject }: Identity): string => JSON.stringify([provider, subject])

export const permissions: PermissionLookup = (identity, { reason, user }) => {
  const known = identities.get(keyOf(identity))
  // A refresh makes nothing new: an identity that was unlinked meanwhile ends its session.
  if (known === undefined && reason === 'refresh') return null
  if (user !== null) return link(identity, known, user.id)
  return { userId: known ?? accountOf(identity) }
}

/** Whoever came with an access token wants this identity to open that account too. */
function link (identity: Identity, known: string | undefined, accountId: string): { userId: string } | null {
  // It opens another account already. To make one of two is for the application to decide, and not here.
  if (known !== undefined && known !== accountId) return null
  identities.set(keyOf(identity), accountId)
  return { userId: accountId }
}

/** The account of an identity that nobody has seen before. */
function accountOf (identity: Identity): string {
  const address = authoritativeEmail(identity)?.toLowerCase() ?? null
  const proven = [...accounts.values()].find(({ email }) => address !== null && email === address)
  if (proven === undefined && isTaken(identity.email)) throw new errors.LinkRequiredError()
  const id = proven?.id ?? randomUUID()
  // Only an address whose provider is an authority for it is kept: by another one nobody may be found.
  if (proven === undefined) accounts.set(id, { id, email: address })
  identities.set(keyOf(identity), id)
  return id
}

function isTaken (email: string | null): boolean {
  return email !== null && [...accounts.values()].some(account => account.email === email.toLowerCase())
}
