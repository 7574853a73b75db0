/** A request and its answer, as they were on the wire. */
export interface Exchange {
  readonly method: string
  readonly url: string
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  readonly body: string | null
  /** 0: there was no answer. */
  readonly status: number
  readonly challenge: string | null
  readonly retryAfter: string | null
  readonly answer: string
  readonly milliseconds: number
}

export interface Wire {
  readonly fetch: typeof globalThis.fetch
  /** Asks an address of this server; the answer is shown, not read. */
  ask (path: string, headers: Readonly<Record<string, string>>): Promise<Exchange>
  /** What goes through `fetch` while this work goes on. What it throws is no affair of whoever looks at the answers. */
  record (work: () => unknown): Promise<readonly Exchange[]>
}

/** Requests whose exchanges are no part of any story. */
export const pulse = '?pulse'

export function createWire (): Wire {
  const recordings = new Set<Exchange[]>()

  async function exchange (input: RequestInfo | URL, init: RequestInit = {}): Promise<[Exchange, Response | null]> {
    const began = performance.now()
    const response = await globalThis.fetch(input, init).catch(() => null)
    const exchange = {
      method: init.method ?? 'GET',
      url: new URL(input instanceof Request ? input.url : input, location.href).href,
      headers: [...new Headers(init.headers)],
      body: typeof init.body === 'string' ? init.body : null,
      status: response?.status ?? 0,
      challenge: response?.headers.get('www-authenticate') ?? null,
      retryAfter: response?.headers.get('retry-after') ?? null,
      answer: await response?.clone().text() ?? 'The server does not answer.',
      milliseconds: Math.round(performance.now() - began)
    }
    return [exchange, response]
  }

  function note (exchange: Exchange): void {
    if (exchange.url.endsWith(pulse)) return
    for (const recording of recordings) recording.push(exchange)
  }

  return {
    async fetch (input, init) {
      const [seen, response] = await exchange(input, init)
      note(seen)
      if (response === null) throw new TypeError('the server does not answer')
      return response
    },
    ask: async (path, headers) => (await exchange(path, { headers }))[0],
    async record (work) {
      const recording: Exchange[] = []
      recordings.add(recording)
      try {
        await work()
      } catch (error) {
        if (recording.length === 0) console.error(error)
      } finally {
        recordings.delete(recording)
      }
      return recording
    }
  }
}

/** The same request as a line for a shell. */
export function curlOf ({ method, url, headers, body }: Exchange): string {
  return [
    'curl -i',
    ...(method === (body === null ? 'GET' : 'POST') ? [] : [`-X ${method}`]),
    quoted(url),
    ...headers.map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`),
    ...(body === null ? [] : [`-d ${quoted(body)}`])
  ].join(' ')
}

/** A word of the shell (POSIX, 2.2.2). */
function quoted (text: string): string {
  return /^[\w.:/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
