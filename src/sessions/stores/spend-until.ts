import { errors } from '../../errors.js'

/** Milliseconds: by then the caller was told that the store is down. */
const SPEND_WITHIN = 800

/**
 * The latest time, by the store's own clock, at which a nonce may be spent. What a frozen store finds in its
 * queue when it goes on is then too late, and the client's next attempt finds its nonce unspent.
 *
 * @throws errors.StoreUnavailableError when the store took too long to tell its time
 */
export async function spendUntil (now: () => Promise<number>): Promise<number> {
  const started = performance.now()
  const time = await now()
  const left = SPEND_WITHIN - (performance.now() - started)
  if (left <= 0) throw new errors.StoreUnavailableError('the store was too late to spend a nonce')
  return Math.floor(time + left)
}
