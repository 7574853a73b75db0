import { codeOf, errors, reasonOf, refusalOf, rejected, type Check } from '../errors.js'
import { traced } from '../events.js'
import {
  eventAnswersOf, isId, providerEventKinds, type EventAnswers, type EventRequest, type EventSource,
  type IdentityProvider, type ProviderEvent
} from '../identity.js'
import { isObject, type JsonObject } from '../strict-json.js'
import type { Caller, Inquiry } from './inquiry.js'

/**
 * Verifies what was posted.
 *
 * @throws errors.EventInvalidError, errors.ProviderUnavailableError, errors.OverloadedError
 */
export type ReadEvents = (request: EventRequest, caller: Caller) => Promise<readonly ProviderEvent[]>

/** What a provider sends, and how it is answered. */
export interface IncomingEvents extends Pick<EventAnswers, 'status' | 'refusal'> {
  readonly read: ReadEvents
  readonly deletion: { readonly read: ReadEvents, readonly answer: (event: ProviderEvent) => object } | null
}

/** Null for a provider whose events are not taken. */
export function createIncomingEvents (
  name: string,
  provider: IdentityProvider,
  inquire: Inquiry
): IncomingEvents | null {
  const { readEvents } = provider
  if (readEvents === undefined) return null
  const { deletion, ...answers } = eventAnswersOf(provider)
  return {
    ...answers,
    read: createReading(name, readEvents.bind(provider), readEvents, inquire),
    deletion: deletion === undefined
      ? null
      : { ...deletion, read: createReading(name, deletion.readEvents, deletion.readEvents, inquire) }
  }
}

type Read = EventSource['readEvents']

/** @param method as the provider has it, which may say that it takes its place by itself */
function createReading (name: string, read: Read, method: Read, inquire: Inquiry): ReadEvents {
  return async (request, caller) => {
    try {
      return await traced('verify', { operation: 'events', provider: name }, () =>
        inquire(method, async context => readAnswer(await refusing(read(request, context))), caller)
      )
    } catch (thrown) {
      throw refused(thrown, name, caller)
    }
  }
}

/** An own provider may say no by either name. */
async function refusing (answer: Promise<readonly ProviderEvent[]>): Promise<readonly ProviderEvent[]> {
  try {
    return await answer
  } catch (thrown) {
    if (codeOf(thrown) !== errors.EventInvalidError.code) throw thrown
    throw rejected('token', reasonOf(thrown), { cause: thrown })
  }
}

const refusals: ReadonlyArray<string | undefined> = [errors.GrantRejectedError.code, errors.RequestInvalidError.code]

/** One line of the log for each event that is refused, as for each login. */
function refused (thrown: unknown, provider: string, { log }: Caller): unknown {
  if (!refusals.includes(codeOf(thrown))) return thrown
  const { code } = errors.EventInvalidError
  const refusal = refusalOf(thrown)
  log.info({ provider, code, reason: reasonOf(thrown), ...refusal }, 'the event was refused')
  return Object.assign(new errors.EventInvalidError(reasonOf(thrown), { cause: thrown }), { check: refusal.check })
}

/** The check that refused an event. */
export function checkOf (refusal: unknown): Check {
  return refusalOf(refusal).check
}

/** What a provider answered, which may be the application's own. */
function readAnswer (answer: unknown): readonly ProviderEvent[] {
  if (!Array.isArray(answer)) throw unreadable('no list')
  return answer.map(readEvent)
}

function readEvent (event: unknown): ProviderEvent {
  if (!isObject(event)) throw unreadable('no object')
  const { at = Date.now() } = event
  const kind = providerEventKinds.find(one => one === event.kind)
  if (kind === undefined) throw unreadable('kind')
  if (typeof at !== 'number' || !Number.isFinite(at)) throw unreadable('at')
  return {
    kind,
    subject: idOrNull(event, 'subject'),
    providerSession: idOrNull(event, 'providerSession'),
    at,
    id: idOrNull(event, 'id')
  }
}

function idOrNull (event: JsonObject, member: 'subject' | 'providerSession' | 'id'): string | null {
  const value = event[member] ?? null
  if (value !== null && !isId(value)) throw unreadable(member)
  return value
}

function unreadable (member: string): Error {
  return new errors.ProviderUnavailableError(`the answer of the provider's readEvents() cannot be read: ${member}`)
}
