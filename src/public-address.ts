// What follows from the issuer, which is the public address of the server.

/** A public address: below the issuer, whose path may be that of the scope, or one that a proxy takes away. */
export function addressOf (issuer: string, path: string): string {
  const { origin, pathname } = new URL(issuer)
  const isBelow = pathname === '/' || path.startsWith(`${pathname}/`)
  return isBelow ? `${origin}${path}` : `${issuer}${path}`
}

/** The address of what RFC 9728 calls protected resource metadata. @param scopePrefix of the plugin's scope */
export function resourceMetadataOf (issuer: string, scopePrefix: string): string {
  return `${new URL(issuer).origin}${scopePrefix}/.well-known/oauth-protected-resource${pathOfIssuer(issuer)}`
}

/** Without the slash at its end: empty for an issuer at the root. */
export function pathOfIssuer (issuer: string): string {
  return new URL(issuer).pathname.replace(/\/$/, '')
}

/** RFC 8414, 3.1: the path of the issuer comes after that of the document. As a router's pattern. */
export function wellKnownPath (issuer: string): string {
  return pathOfIssuer(issuer).replaceAll(':', '::')
}
