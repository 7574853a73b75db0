/** One request that the identity server got. Without query, headers and body: that is where the secrets are. */
export interface RecordedCall {
  readonly method: string
  /** Whole path, e.g. `/facebook/debug_token`. */
  readonly path: string
  /** Milliseconds since the epoch, by the real clock. */
  readonly at: number
}

/** The requests so far, oldest first; those that an outage swallowed included. */
export interface CallLog extends Iterable<RecordedCall> {
  readonly length: number
  /** How many of them went to this path: the whole of it, or whatever the pattern finds. All, without an argument. */
  count (path?: string | RegExp): number
  clear (): void
}

export interface CallRecorder extends CallLog {
  record (method: string, path: string): void
}

export function createCallLog (): CallRecorder {
  const calls: RecordedCall[] = []
  return {
    [Symbol.iterator]: () => [...calls].values(),
    get length () { return calls.length },
    count (path) {
      if (path === undefined) return calls.length
      return calls.filter(call => typeof path === 'string' ? call.path === path : call.path.search(path) !== -1).length
    },
    clear () { calls.length = 0 },
    record (method, path) { calls.push(Object.freeze({ method, path, at: Date.now() })) }
  }
}
