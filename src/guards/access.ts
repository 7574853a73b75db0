import { DeadlineExceeded, type Deadlines } from '../deadline.js'
import { errors } from '../errors.js'
import { refused } from '../options/values.js'
import type { AccessCheck, Auth, GuardedRequest, Refusal } from './decide.js'

/** What the application decides, as a refusal: at once where it answers at once. */
export type AccessDecision = (auth: Auth, request: GuardedRequest) => Refusal | null | Promise<Refusal | null>

/**
 * What the check throws is thrown on, as it is.
 *
 * @param milliseconds for one check
 * @throws errors.LookupFailedError from a decision whose check has taken longer
 * @throws errors.OptionInvalidError from one whose check answers neither true nor false
 */
export function createAccessDecisions (
  milliseconds: number,
  deadlines: Deadlines
): (check: AccessCheck) => AccessDecision {
  return check => (auth, request) => {
    if (auth.master !== null) return null
    const answer: unknown = check(auth, request)
    return isPromise(answer) ? decideLater(answer, auth) : decide(answer, auth)
  }

  async function decideLater (answer: PromiseLike<unknown>, auth: Auth): Promise<Refusal | null> {
    try {
      return decide(await deadlines.within(milliseconds, () => Promise.resolve(answer)), auth)
    } catch (thrown) {
      if (thrown instanceof DeadlineExceeded) throw new errors.LookupFailedError(thrown.message)
      throw thrown
    }
  }
}

function decide (answer: unknown, { level }: Auth): Refusal | null {
  if (answer === true) return null
  if (answer !== false) throw refused('requireAccess', 'has a check that answers neither true nor false')
  // Nothing but the lowest level says that no credential was proven.
  return level === 'everyone' ? errors.CredentialMissingError : errors.AccessDeniedError
}

/** Of whatever library. */
export function isPromise (value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, 'then') === 'function'
}
