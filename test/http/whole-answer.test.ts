import t from 'tap'
import { Dispatcher } from 'undici'
import { wholeAnswer } from '../../src/http/whole-answer.js'

/** Every connection is taken: calls wait until `giveConnection` gives them one. */
class Busy extends Dispatcher {
  readonly waiting: Dispatcher.DispatchHandler[] = []

  override dispatch (_request: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    this.waiting.push(handler)
    return false
  }

  /** The reasons for which the calls ended the connection that they got. */
  giveConnection (): Error[] {
    const reasons: Error[] = []
    const connection = {
      aborted: false,
      paused: false,
      reason: null,
      pause () {},
      resume () {},
      abort (reason: Error) {
        reasons.push(reason)
      }
    }
    for (const handler of this.waiting) handler.onRequestStart?.(connection, {})
    return reasons
  }
}

t.test('a call that waits for a connection ends with the signal, and is not sent when it gets one', async t => {
  const busy = new Busy()
  const controller = new AbortController()
  const reason = new Error('the deadline')
  const answer = wholeAnswer(busy, { path: '/', method: 'GET' }, { signal: controller.signal, admit: () => {} })
  controller.abort(reason)
  await t.rejects(answer, reason)
  t.strictSame(busy.giveConnection(), [reason])
})
