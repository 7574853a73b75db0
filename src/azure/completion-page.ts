import { randomBytes } from 'node:crypto'
import { policyWith, type Page } from '../routes/redirect.js'

/** A page without content, whose URL is what matters. */
export const emptyPage: Page = { html: '<!DOCTYPE html><title>Login</title>', policy: policyWith("'none'") }

/** What the page posts to its opener. */
export interface Completed {
  type: 'LoginCompleted'
  oauth: object | null
  error: string | null
}

/** The page in a popup that hands the login to the page that opened it, of this origin and no other. */
export function completionPage (completed: Completed, origin: string): Page {
  const nonce = randomBytes(16).toString('base64')
  const post = `postMessage(${literal(JSON.stringify(completed))},${literal(origin)})`
  const script = `if(window.opener)window.opener.${post};window.close()`
  return {
    html: `<!DOCTYPE html><title>Login</title><script nonce="${nonce}">${script}</script>`,
    policy: policyWith(`'nonce-${nonce}'`)
  }
}

/** A string literal that cannot leave its script (HTML Standard, 4.12.1.3) nor its line (ECMA-262 before 2019). */
function literal (text: string): string {
  return JSON.stringify(text).replace(
    /[<>&\u2028\u2029]/g,
    character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  )
}
