import { randomBytes } from 'node:crypto'
import { json, type Answer } from './site.js'

/** The errors that `graphError` switches on: codes of the Graph, or the one that a wrong app type causes. */
export type GraphErrorCode = 1 | 2 | 4 | 17 | 190 | 341 | 613 | 'desktop-app'

interface GraphError { status: number, code: number, message: string, subcode?: number }

// Codes and what they mean: https://developers.facebook.com/docs/graph-api/guides/error-handling
const SWITCHABLE: Record<GraphErrorCode, GraphError> = {
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
  return Object.hasOwn(SWITCHABLE, String(code))
}

export function switchedError (code: GraphErrorCode): Answer {
  return errorAnswer(SWITCHABLE[code])
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
