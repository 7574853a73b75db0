import type { Answer, Calls } from './calls.js'
import { clientError } from './client-error.js'
import { secondsLeft, type KeptLogin, type Login } from './kept-login.js'

/** What makes logins, and keeps them alive. */
export interface Renewal {
  /** Keeps the login that an answer brings. @throws ClientError where it brings none */
  begin (answer: Answer): Promise<Login>
  /** The login in the place of this one. @throws ClientError */
  renew (stale: Login): Promise<Login>
}

export function createRenewal (kept: KeptLogin, post: Calls['post']): Renewal {
  let renewing: Promise<Login> | undefined

  async function begin (answer: Answer): Promise<Login> {
    const login = loginIn(answer)
    await kept.alone(() => kept.keep(login))
    return login
  }

  function renew (stale: Login): Promise<Login> {
    renewing ??= kept.alone(stored => replace(stale, stored)).finally(() => { renewing = undefined })
    return renewing
  }

  async function replace (stale: Login, stored: Login | null): Promise<Login> {
    // While this one waited for its turn, another tab has done it.
    if (stored !== null && stored.refresh_token !== stale.refresh_token && secondsLeft(stored) > 0) return stored
    if (stored?.refresh_token === undefined) throw clientError('CLIENT_ERR_LOGGED_OUT')
    const answer = await post('/token', { grant_type: 'refresh_token', refresh_token: stored.refresh_token })
    if (answer.body.error === 'invalid_grant') {
      // Where there are no Web Locks, another tab may have been faster.
      const now = await kept.read()
      if (now !== null && now.refresh_token !== stored.refresh_token) return now
      await kept.keep(null)
    }
    const login = loginIn(answer)
    await kept.keep(login)
    return login
  }

  return { begin, renew }
}

/** @throws ClientError */
function loginIn ({ ok, body, error }: Answer): Login {
  const { access_token: token, token_type: type = 'Bearer', expires_in: lifetime = 0, refresh_token: next, user } = body
  if (!ok || token === undefined || user === undefined) throw error
  return { access_token: token, token_type: type, expires_in: lifetime, refresh_token: next, user, at: Date.now() }
}
