import { flowLifetime } from './redirect-flow.js'

/** The cookies that bind logins by redirect to the browser that began them. */
export interface FlowCookies {
  /** `Set-Cookie` that keeps a flow. */
  keep (state: string, sealed: string): string
  /** The flow of a state in a `Cookie` header; null where there is none, or two. */
  read (state: string, header: string | undefined): string | null
  /** `Set-Cookie` that ends this flow, and those that a browser has kept for too long. */
  end (state: string, header: string | undefined): string[]
}

/**
 * One cookie for all logins of a browser: the last one counts.
 * RFC 6265bis, 4.1.3.2: with the prefix no other host can plant one. It needs `Secure`, which loopback has not.
 */
export function oneFlowCookie (issuer: string): FlowCookies {
  const isSecure = issuer.startsWith('https:')
  const name = isSecure ? '__Host-login' : 'login'
  const attributes = attributesOf('/', isSecure)
  return {
    keep: (_state, sealed) => `${name}=${sealed}; Max-Age=${flowLifetime}; ${attributes}`,
    read (_state, header) {
      const [found, another] = pairsIn(header).filter(pair => pair.name === name)
      return found === undefined || another !== undefined ? null : found.value
    },
    end: () => [`${name}=; Max-Age=0; ${attributes}`]
  }
}

/** Logins that a browser may have under way: headers of requests are limited (Node: 16 KiB in all). */
const mostFlows = 8
/** Characters of the state that name a cookie: two logins of one browser never share them. */
const markLength = 16

/** A cookie for each login: tabs do not disturb each other. @param path of the callbacks */
export function flowCookies (issuer: string, path: string): FlowCookies {
  const isSecure = issuer.startsWith('https:')
  const attributes = attributesOf(path, isSecure)
  const prefix = `${isSecure ? '__Secure-' : ''}login-`
  const shape = new RegExp(`^${prefix}([0-9a-z]{1,11})-([\\w-]{${markLength}})$`)

  /** The newest first, as their names tell. */
  function flowsIn (header: string | undefined) {
    const found = pairsIn(header).flatMap(({ name, value }) => {
      const [, time, mark] = shape.exec(name) ?? []
      return time === undefined ? [] : [{ name, value, mark, time: parseInt(time, 36) }]
    })
    return found.sort((one, other) => other.time - one.time)
  }

  return {
    keep (state, sealed) {
      const name = `${prefix}${Date.now().toString(36)}-${state.slice(0, markLength)}`
      return `${name}=${sealed}; Max-Age=${flowLifetime}; ${attributes}`
    },
    read (state, header) {
      const mark = state.slice(0, markLength)
      const [found, another] = flowsIn(header).slice(0, mostFlows).filter(flow => flow.mark === mark)
      return found === undefined || another !== undefined ? null : found.value
    },
    end (state, header) {
      const mark = state.slice(0, markLength)
      const ended = flowsIn(header).filter((flow, place) => place >= mostFlows || flow.mark === mark)
      return ended.map(({ name }) => `${name}=; Max-Age=0; ${attributes}`)
    }
  }
}

function attributesOf (path: string, isSecure: boolean): string {
  return `Path=${path}; HttpOnly; SameSite=Lax${isSecure ? '; Secure' : ''}`
}

function pairsIn (header = ''): Array<{ name: string, value: string }> {
  return header.split(';').map(pair => pair.trim()).filter(pair => pair.includes('=')).map(pair => ({
    name: pair.slice(0, pair.indexOf('=')),
    value: pair.slice(pair.indexOf('=') + 1)
  }))
}
