import { element, find, onPress } from './elements.js'
import { curlOf, type Exchange } from './wire.js'

const reasons: Readonly<Record<number, string>> = {
  0: 'no answer',
  200: 'OK',
  204: 'No Content',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable'
}

/** Shows what was asked and answered, the last one opened. */
export function showAnswers (id: string, exchanges: readonly Exchange[]): void {
  const last = exchanges.length - 1
  find(id).replaceChildren(...exchanges.map((exchange, number) => answer(exchange, number === last)))
}

/** Of a status: how it looks. */
export function toneOf (status: number): string {
  if (status >= 200 && status < 300) return 'good'
  return status >= 500 || status === 0 ? 'outage' : 'refused'
}

function answer (exchange: Exchange, isOpen: boolean): HTMLElement {
  const { method, url, status, challenge, retryAfter, milliseconds } = exchange
  return element('details', { class: 'answer', open: isOpen },
    element('summary', {},
      element('span', { class: 'status', 'data-tone': toneOf(status) }, String(status)),
      element('span', { class: 'asked' }, `${method} ${new URL(url).pathname}`),
      element('span', { class: 'took' }, `${reasons[status] ?? ''} · ${milliseconds} ms`)),
    command(curlOf(exchange)),
    element('dl', { class: 'headers' },
      ...header('WWW-Authenticate', challenge),
      ...header('Retry-After', retryAfter)),
    body(exchange.answer))
}

function command (line: string): HTMLElement {
  const copy = element('button', { type: 'button', class: 'copy' }, 'Copy')
  onPress(copy, async () => {
    await navigator.clipboard.writeText(line)
    copy.textContent = 'Copied'
  })
  return element('div', { class: 'command' },
    element('code', { class: 'curl', tabindex: '0', role: 'group', 'aria-label': 'The same with curl' }, line), copy)
}

function header (name: string, value: string | null): HTMLElement[] {
  return value === null ? [] : [element('dt', {}, name), element('dd', {}, value)]
}

function body (text: string): HTMLElement | null {
  if (text === '') return null
  return element('pre', { class: 'body', tabindex: '0', role: 'group', 'aria-label': 'The body' }, pretty(text))
}

/** Indented where it is JSON. Tokens stay whole: what scrolls can be read to its end. */
function pretty (text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return text
  }
}
