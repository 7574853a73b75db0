/** Whether the `htu` of a proof names the address of a request, whose target stands in its request line. */
export type TargetCheck = (htu: string, target: string) => boolean

/**
 * RFC 9449, 4.3, 9: query and fragment make no difference, and normal forms are compared. The public address is that of
 * `issuer`, never of the `Host` header: the path of the request at its origin, or below it, where a proxy takes the
 * issuer's path away.
 */
export function createTargetCheck (issuer: string): TargetCheck {
  const { origin } = new URL(issuer)
  const bases = origin === issuer ? [origin] : [origin, issuer]
  return (htu, target) => {
    const path = pathOf(target)
    if (path === null) return false
    for (const base of bases) if (htu === base + path) return true
    const named = normalForm(withoutQuery(htu))
    return named !== null && bases.some(base => normalForm(base + path) === named)
  }
}

/** RFC 9112, 3.2.1 and 3.2.2: a request line holds a path or, towards a proxy, a whole address. */
function pathOf (target: string): string | null {
  const path = withoutQuery(target)
  if (path.startsWith('/')) return path
  return /^https?:/i.test(path) && URL.canParse(path) ? new URL(path).pathname : null
}

export function withoutQuery (uri: string): string {
  const end = uri.search(/[?#]/)
  return end === -1 ? uri : uri.slice(0, end)
}

/**
 * RFC 3986, 6.2.2 and 6.2.3; null for what is no address without a user's name. The parser of URLs writes scheme, host,
 * port and dot segments in their normal form, and leaves escapes as they are.
 */
function normalForm (uri: string): string | null {
  // The parser takes blanks and controls out, and a backslash for a slash.
  if (!/^https?:\/\/[!-[\]-~]+$/i.test(uri) || /%(?![0-9a-f]{2})/i.test(uri)) return null
  const plain = uri.replace(/%[0-9a-f]{2}/gi, plainEscape)
  if (!URL.canParse(plain)) return null
  const { origin, pathname, username, password } = new URL(plain)
  return username === '' && password === '' ? origin + pathname : null
}

// RFC 3986, 2.3: what need not be escaped is the same without.
function plainEscape (escape: string): string {
  const character = String.fromCharCode(parseInt(escape.slice(1), 16))
  return /[a-z0-9._~-]/i.test(character) ? character : escape.toUpperCase()
}
