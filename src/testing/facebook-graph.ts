import { createHmac, randomBytes } from 'node:crypto'
import { json, type Answer, type Call, type Handler, type Site } from './site.js'

export interface FacebookUser { id: string, name: string, email?: string, picture?: string }

export interface GraphToken {
  user: FacebookUser
  appId: string
  application: string
  type: string
  scopes: readonly string[]
  issuedAt: number
  expiresAt: number
  dataAccessExpiresAt: number
  valid: boolean
  inspectable: boolean
}

export interface GraphSwitches { error: GraphErrorCode | false, numericIds: boolean }

interface Problem { code: number, message: string, subcode?: number }

const unreadable: Problem = { code: 190, message: 'Invalid OAuth access token - Cannot parse access token' }

/**
 * `debug_token` and `me` of Facebook's Graph, with or without a version in the path.
 * https://developers.facebook.com/docs/graph-api/reference/debug_token
 * https://developers.facebook.com/docs/facebook-login/access-tokens/debugging-and-error-handling
 */
export function serveGraph (
  site: Site,
  app: { appId: string, appSecret: string },
  tokens: ReadonlyMap<string, GraphToken>,
  switches: GraphSwitches
): void {
  site.get(
    /^(?:\/v\d+\.\d+)?\/debug_token$/,
    answer(switches, call => debugToken(call, site, app, tokens))
  )
  site.get(
    /^(?:\/v\d+\.\d+)?\/me$/,
    answer(switches, call => me(call, site, app, tokens))
  )
}

function answer (switches: GraphSwitches, handler: (call: Call) => Answer): Handler {
  return call => {
    if (switches.error !== false) return switchedError(switches.error)
    const answer = handler(call)
    return switches.numericIds
      ? { ...answer, body: answer.body.replace(/"(id|user_id|app_id)":"(\d+)"/g, '"$1":$2') }
      : answer
  }
}

function debugToken (
  call: Call,
  site: Site,
  app: { appId: string, appSecret: string },
  tokens: ReadonlyMap<string, GraphToken>
): Answer {
  const [appId, appSecret] = (accessTokenOf(call) ?? '').split('|')
  if (appId !== app.appId) {
    return graphError(101, 'Error validating application. Cannot get application info due to a system error.')
  }
  if (appSecret !== app.appSecret) return graphError(190, 'Error validating application. Invalid application secret.')
  const input = call.query.get('input_token')
  if (input === null || input === '') return graphError(100, '(#100) The parameter input_token is required')
  const token = tokens.get(input)
  if (token === undefined) return json(200, { data: { error: unreadable, is_valid: false, scopes: [] } })
  // "The tokens must be from the same app": the Graph says so with an error and not with another app_id.
  if (token.appId !== app.appId && !token.inspectable) {
    return graphError(100, '(#100) The App_id in the input_token did not match the Viewing App')
  }
  const problem = problemOf(token, site)
  return json(200, {
    data: {
      app_id: token.appId,
      type: token.type,
      application: token.application,
      data_access_expires_at: token.dataAccessExpiresAt,
      ...(problem === undefined ? {} : { error: problem }),
      expires_at: token.expiresAt,
      is_valid: problem === undefined,
      issued_at: token.issuedAt,
      scopes: token.scopes,
      user_id: token.user.id
    }
  })
}

function me (call: Call, site: Site, app: { appSecret: string }, tokens: ReadonlyMap<string, GraphToken>): Answer {
  const presented = accessTokenOf(call)
  if (presented === null) {
    return graphError(2500, 'An active access token must be used to query information about the current user.')
  }
  const token = tokens.get(presented)
  const problem = token === undefined ? unreadable : problemOf(token, site)
  if (token === undefined || problem !== undefined) {
    const { code, message, subcode } = problem ?? unreadable
    return graphError(code, message, subcode)
  }
  // https://developers.facebook.com/docs/graph-api/guides/secure-requests: with "Require App Secret" switched on.
  const proof = call.query.get('appsecret_proof')
  if (proof === null) return graphError(100, 'API calls from the server require an appsecret_proof argument')
  if (proof !== createHmac('sha256', app.appSecret).update(presented).digest('hex')) {
    return graphError(100, 'Invalid appsecret_proof provided in the API argument')
  }
  return json(200, profile(token, call.query.get('fields') ?? 'id,name'))
}

/** In the query, or in a header, of which the Graph knows two schemes. */
function accessTokenOf ({ query, headers }: Call): string | null {
  return query.get('access_token') ?? /^(?:Bearer|OAuth) +(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? null
}

function profile ({ user, scopes }: GraphToken, fields: string): Record<string, unknown> {
  const known: Record<string, unknown> = {
    name: user.name,
    picture: {
      data: {
        height: 50,
        is_silhouette: user.picture === undefined,
        url: user.picture ?? 'https://platform-lookaside.fbsbx.com/platform/profilepic/',
        width: 50
      }
    },
    ...(user.email === undefined || !scopes.includes('email') ? {} : { email: user.email })
  }
  const asked = fields.split(',').filter(field => Object.hasOwn(known, field)).map(field => [field, known[field]])
  return { ...Object.fromEntries(asked), id: user.id }
}

// Subcodes: https://developers.facebook.com/docs/graph-api/guides/error-handling
function problemOf (token: GraphToken, site: Site): Problem | undefined {
  if (!token.valid) {
    return {
      code: 190,
      message: 'Error validating access token: The session has been invalidated because the user changed their ' +
        'password or Facebook has changed the session for security reasons.',
      subcode: 460
    }
  }
  // 0: never expires.
  if (token.expiresAt !== 0 && token.expiresAt <= site.clock.now()) {
    return { code: 190, message: 'Error validating access token: Session has expired.', subcode: 463 }
  }
  return undefined
}

/** The errors that `graphError` switches on: codes of the Graph, or the one that a wrong app type causes. */
export type GraphErrorCode = 1 | 2 | 4 | 17 | 190 | 341 | 613 | 'desktop-app'

interface GraphError { status: number, code: number, message: string, subcode?: number }

// Codes and what they mean: https://developers.facebook.com/docs/graph-api/guides/error-handling
const switchable: Record<GraphErrorCode, GraphError> = {
  1: { status: 500, code: 1, message: 'An unknown error occurred' },
  2: { status: 500, code: 2, message: 'Service temporarily unavailable' },
  4: { status: 400, code: 4, message: '(#4) Application request limit reached' },
  17: { status: 400, code: 17, message: '(#17) User request limit reached' },
  190: { status: 400, code: 190, message: 'Invalid OAuth access token - Cannot parse access token' },
  341: { status: 400, code: 341, message: '(#341) Application limit reached' },
  613: { status: 400, code: 613, message: '(#613) Calls to this api have exceeded the rate limit' },
  // The code is that of a passing fault; only the message tells that waiting will not help.
  'desktop-app': {
    status: 400,
    code: 1,
    message: 'The request is invalid because the app is configured as a desktop app'
  }
}

export function isGraphErrorCode (code: unknown): code is GraphErrorCode {
  return Object.hasOwn(switchable, String(code))
}

function switchedError (code: GraphErrorCode): Answer {
  return errorAnswer(switchable[code])
}

export function graphError (code: number, message: string, subcode?: number): Answer {
  return errorAnswer({ status: 400, code, message, ...(subcode === undefined ? {} : { subcode }) })
}

function errorAnswer ({ status, code, message, subcode }: GraphError): Answer {
  return json(status, {
    error: {
      message,
      type: 'OAuthException',
      code,
      ...(subcode === undefined ? {} : { error_subcode: subcode }),
      fbtrace_id: randomBytes(8).toString('base64url')
    }
  })
}
