import { bodyOf, type Calls, type OwnRequest } from './calls.js'
import { clientError } from './client-error.js'
import { secondsLeft, type KeptLogin, type Login } from './kept-login.js'
import type { Renewal } from './renewal.js'

/** Sends a request to the server with the login's token, if there is a login. @throws ClientError */
export type Authorize = (request: OwnRequest) => Promise<Response>

export function createAuthorize (kept: KeptLogin, { renew }: Renewal, prove: Calls['prove']): Authorize {
  /** A login in the place of this one, for a request that was made for its user. */
  async function renewFor (login: Login): Promise<Login> {
    const next = await renew(login)
    if (next.user.userId !== login.user.userId) throw clientError('CLIENT_ERR_USER_CHANGED')
    return next
  }

  async function renewIfDue (login: Login): Promise<Login> {
    const left = secondsLeft(login)
    if (login.refresh_token === undefined || left > Math.min(60, login.expires_in / 10)) return login
    return await renewFor(login).catch(error => {
      // In an outage the token that there is goes on while it is good.
      if (kept.known?.access_token === login.access_token && left > 0) return login
      throw error
    })
  }

  function send (request: OwnRequest, { token_type: scheme, access_token: token }: Login): Promise<Response> {
    request.headers.set('authorization', `${scheme} ${token}`)
    return scheme === 'DPoP' ? prove(request, token) : request.send(request.headers)
  }

  return async request => {
    const known = await kept.current()
    if (known === null || request.headers.has('authorization')) return await request.send(request.headers)
    const login = await renewIfDue(known)
    const answer = await send(request, login)
    if (!await saysExpired(answer)) return answer
    if (login.refresh_token === undefined) {
      await kept.alone(async stored => { if (stored?.access_token === login.access_token) await kept.keep(null) })
      return answer
    }
    const next = await renewFor(login)
    return request.isRepeatable ? await send(request, next) : answer
  }
}

async function saysExpired (answer: Response): Promise<boolean> {
  return answer.status === 401 && (await bodyOf(answer.clone())).code === 'AUTH_ERR_TOKEN_EXPIRED'
}
