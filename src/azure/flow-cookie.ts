import { flowLifetime } from '../redirect/flow.js'

/** The one cookie of the dialect: it binds a login by redirect to the browser that began it. */
export interface FlowCookie {
  /** `Set-Cookie` that keeps the flow. */
  keep (sealed: string): string
  /** `Set-Cookie` that ends it. */
  readonly end: string
  /** The flow in a `Cookie` header; null where there is none, or two. */
  read (header: string | undefined): string | null
}

/** RFC 6265bis, 4.1.3.2: with the prefix no other host can plant one. It needs `Secure`, which loopback does not have. */
export function createFlowCookie (issuer: string): FlowCookie {
  const isSecure = issuer.startsWith('https:')
  const name = isSecure ? '__Host-login' : 'login'
  const attributes = `Path=/; HttpOnly; SameSite=Lax${isSecure ? '; Secure' : ''}`
  return {
    keep: sealed => `${name}=${sealed}; Max-Age=${flowLifetime}; ${attributes}`,
    end: `${name}=; Max-Age=0; ${attributes}`,
    read (header = '') {
      const [found, another] = header.split(';').map(pair => pair.trim()).filter(pair => pair.startsWith(`${name}=`))
      return found === undefined || another !== undefined ? null : found.slice(name.length + 1)
    }
  }
}
