import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import { DeadlineExceeded, entersByItself, server, type Asking, type Deadline, type Deadlines } from '../deadline.js'
import { codeOf, errors, legible, reasonOf, refusalOf, rejected } from '../errors.js'
import type { Events } from '../events.js'

/** The request on whose behalf a provider is asked. */
export type Caller = Pick<FastifyRequest, 'ip' | 'log'>

/**
 * Asks one provider something, within its deadline and its share of the server.
 *
 * @param method of the provider that is called
 */
export type Inquiry = <Answer>(
  method: unknown,
  ask: (context: Asking) => Answer | Promise<Answer>,
  caller: Caller
) => Promise<Answer>

/** How long one question may take, and how many may be asked at once. */
interface InquiryLimits {
  /** Total time for all calls of one verification. */
  milliseconds: number
  /** Verifications in flight for this provider. */
  concurrency: number
  deadlines: Deadlines
  availability: Availability
}

/** Whether a provider answers, as those who asked it have seen. */
interface Availability {
  isAvailable (): boolean
  note (isAvailable: boolean): void
}

export function createAvailability (provider: string, events: Events): Availability {
  const code = errors.ProviderUnavailableError.code
  let available = true
  return {
    isAvailable: () => available,
    note (isAvailable) {
      if (isAvailable === available) return
      available = isAvailable
      if (available) events.publish({ type: 'provider.recovered', provider })
      else events.publish({ type: 'provider.unavailable', provider, code })
    }
  }
}

/**
 * @throws errors.OverloadedError, errors.GrantRejectedError, errors.ProviderUnavailableError,
 *   errors.RequestInvalidError
 */
export function createInquiry (
  name: string,
  { milliseconds, concurrency, deadlines, availability }: InquiryLimits
): Inquiry {
  const places = createPlaces(concurrency)
  return async (method, ask, { ip, log }) => {
    const { enter, leave, isInside } = places(ip)
    try {
      const isOurs = entersByItself(method)
      if (!isOurs) enter()
      const behind = { enter, closing: deadlines.closing }
      const answer = await deadlines.within(milliseconds, deadline =>
        ask(isOurs ? new Context(deadline, behind) : copyable(deadline, behind))
      )
      if (isInside()) availability.note(true)
      return answer
    } catch (thrown) {
      const error = asOurs(thrown, name, log)
      const code = codeOf(error)
      if (code === errors.ProviderUnavailableError.code) availability.note(false)
      // It has said no, and so it answers.
      if (code === errors.GrantRejectedError.code && isInside()) availability.note(true)
      throw error
    } finally {
      leave()
    }
  }
}

type Behind = Required<Asking>[typeof server]

/** Whose signal is made only when it is asked for: a known key needs none. */
class Context implements Asking {
  readonly #deadline: Deadline
  readonly [server]: Behind

  constructor (deadline: Deadline, behind: Behind) {
    this.#deadline = deadline
    this[server] = behind
  }

  get signal (): AbortSignal {
    return this.#deadline.signal
  }
}

/** With the signal as a member that a copy holds too, for a provider that may hand one on. */
function copyable (deadline: Deadline, behind: Behind): Asking {
  return { get signal () { return deadline.signal }, [server]: behind }
}

interface Place {
  enter (): void
  leave (): void
  /** Whether somebody was asked. */
  isInside (): boolean
}

/**
 * The places at one provider, and of them the share of one client address: who sends garbage from one does not keep out
 * everybody else.
 */
function createPlaces (places: number): (ip: string) => Place {
  const share = Math.max(1, Math.floor(places * 3 / 4))
  const ofAddress = new Map<string, number>()
  let taken = 0

  function count (ip: string, change: 1 | -1): void {
    const ofThis = (ofAddress.get(ip) ?? 0) + change
    taken += change
    if (ofThis === 0) ofAddress.delete(ip)
    else ofAddress.set(ip, ofThis)
  }

  return ip => {
    let state: 'outside' | 'inside' | 'gone' = 'outside'
    return {
      enter () {
        if (state === 'inside') return
        const isFull = taken >= places || (ofAddress.get(ip) ?? 0) >= share
        if (isFull || state === 'gone') throw new errors.OverloadedError()
        state = 'inside'
        count(ip, 1)
      },
      leave () {
        if (state === 'inside') count(ip, -1)
        state = 'gone'
      },
      isInside: () => state === 'inside'
    }
  }
}

// Told apart by code: an application's provider may hold another copy of the classes. What it threw becomes the cause
// of an error of ours, whose message is safe to answer. An unknown error is an outage, never a no.
function asOurs (thrown: unknown, provider: string, log: FastifyBaseLogger): Error {
  const cause = legible(thrown)
  const code = codeOf(thrown)
  if (code === errors.GrantRejectedError.code) {
    const { check, ...compared } = refusalOf(thrown)
    return rejected(check, reasonOf(thrown), { cause, ...compared })
  }
  if (code === errors.RequestInvalidError.code) return new errors.RequestInvalidError(reasonOf(thrown), { cause })
  if (code === errors.OverloadedError.code) return new errors.OverloadedError()
  if (cause instanceof DeadlineExceeded) return new errors.ProviderUnavailableError(`${provider}: ${cause.message}`)
  log.error({ err: cause, provider }, 'the identity provider is unavailable')
  return new errors.ProviderUnavailableError(reasonOf(thrown), { cause })
}
