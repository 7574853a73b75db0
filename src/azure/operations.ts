import {
  answer, arrayOf, bodyRefusals, byStatus, inQuery, object, oneOf, page, redirect, refusalOf, text, whole,
  type Operation, type Refusals
} from '../routes/operation.js'
import {
  grantBody, loginErrors, loginErrorsOf, loginHeaders, providerIn, tokenAnswer, userErrorsOf, type Operations
} from '../routes/operations.js'
import type { Server } from '../server.js'

const tags = ['Azure Mobile Services'] as const

/** Refusals are 401 in the dialect, and errors have another form. */
export const azureRefusals: Refusals = (...refused) => byStatus(
  refused.map(refusalOf).map(({ code, statusCode, message }) =>
    ({ code, message, statusCode: statusCode === 403 || statusCode === 404 ? 401 : statusCode })),
  codes => object({ code: whole, error: text, 'errorCode?': oneOf(...codes) })
)

/** The routes of the dialect in a document. Each is there with a slash at its end as well, and named once. */
export function azureOperations (server: Server): Operations {
  const operations = { ...account(server), ...clientDirected(server), ...serviceDirected(server) }
  const twins = Object.entries(operations).map(([name, operation]) => [`${name}/`, { ...operation, hide: true }])
  return { ...operations, ...Object.fromEntries(twins) }
}

function account (server: Server): Operations {
  const userErrors = userErrorsOf(server)
  return {
    'GET /.auth/me': {
      tags,
      summary: 'The user, as App Service describes it',
      responses: {
        ...answer(200, 'A list of one', arrayOf(object({
          provider_name: text,
          user_id: text,
          expires_on: { type: 'string', format: 'date-time' },
          user_claims: arrayOf(object({ typ: text, val: text }))
        }))),
        ...azureRefusals(...userErrors)
      }
    },
    'GET /.auth/refresh': {
      tags,
      summary: 'A new access token for the session of this one',
      responses: {
        ...answer(200, 'The new token', object({ user: object({ userId: text }), authenticationToken: text })),
        ...azureRefusals(...userErrors)
      }
    },
    'GET /.auth/logout': {
      tags,
      summary: 'Log out, and go on',
      parameters: [inQuery('post_logout_redirect_uri?', 'Where the browser is sent after it')],
      responses: { ...redirect(302, 'The session has ended'), ...azureRefusals(...userErrors) }
    },
    'GET /.auth/logout/done': { tags, summary: 'Where a logout ends', responses: page('An empty page') }
  }
}

function clientDirected (server: Server): Operations {
  const responses = {
    ...answer(200, 'The user is logged in', tokenAnswer), ...azureRefusals(...loginErrorsOf(server)), ...bodyRefusals
  }
  const login: Operation = {
    tags,
    summary: "Log in with a grant of a provider's SDK",
    parameters: loginHeaders(server),
    requestBody: grantBody(server),
    responses
  }
  return Object.fromEntries(['/login', '/.auth/login'].flatMap(path => [
    [`POST ${path}`, { ...login, summary: 'Log in with a token of a Microsoft account' }],
    [`POST ${path}/:provider`, { ...login, parameters: [providerIn(server), ...loginHeaders(server)] }]
  ]))
}

function serviceDirected (server: Server): Operations {
  const provider = providerIn(server)
  const begin: Operation = {
    tags,
    summary: 'Log in by redirect',
    parameters: [
      provider,
      inQuery('session_mode?', 'How the session is kept', oneOf('token')),
      inQuery('completion_type?', 'Ends on a page that posts the token to its opener', oneOf('postMessage')),
      inQuery('completion_origin?', 'The origin of that opener'),
      inQuery('post_login_redirect_uri?', 'Where the browser is sent after it'),
      inQuery('code_challenge?', 'RFC 7636, 4.2'),
      inQuery('code_challenge_method?', 'RFC 7636, 4.3', oneOf('S256'))
    ],
    responses: { ...redirect(302, 'To the provider, or on'), ...azureRefusals(...loginErrors) }
  }
  const done: Operation = { tags, summary: 'Where a login ends', responses: page('An empty page') }
  return {
    'GET /login/:provider': begin,
    'GET /.auth/login/:provider': begin,
    'GET /.auth/login/:provider/callback': {
      tags,
      summary: 'Where the provider sends browsers back to',
      parameters: [provider],
      responses: { ...redirect(302, 'The login has ended'), ...azureRefusals(...loginErrors) }
    },
    'GET /.auth/login/:provider/token': {
      tags,
      summary: 'The access token for a one-time code',
      parameters: [
        provider,
        inQuery('authorization_code', 'The code that the browser came back with'),
        inQuery('code_verifier', 'RFC 7636, 4.1')
      ],
      responses: { ...answer(200, 'The user is logged in', tokenAnswer), ...azureRefusals(...loginErrors) }
    },
    'GET /login/done': done,
    'GET /.auth/login/done': done
  }
}
