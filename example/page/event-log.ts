import { element, find } from './elements.js'

const kept = 60
const shown = ['provider', 'userId', 'code', 'check', 'cause', 'retry', 'kind']

const tones: Readonly<Record<string, string>> = {
  'login.succeeded': 'good',
  'session.refreshed': 'good',
  'provider.recovered': 'good',
  'store.recovered': 'good',
  'login.refused': 'refused',
  'refresh.refused': 'refused',
  'access.refused': 'refused',
  'session.reused': 'refused',
  'login.failed': 'outage',
  'provider.unavailable': 'outage',
  'store.unavailable': 'outage'
}

/** Listens to what the server tells of itself (Server-Sent Events); the newest comes first. */
export function followEvents (): void {
  const log = find('log')
  log.append(element('li', { class: 'empty' }, 'Quiet so far.'))
  const source = new EventSource('/demonstration/events')
  source.addEventListener('open', () => log.replaceChildren())
  source.addEventListener('message', ({ data }) => {
    log.prepend(entry(Object(JSON.parse(String(data)))))
    while (log.childElementCount > kept) log.lastElementChild?.remove()
  })
}

function entry (event: Record<string, unknown>): HTMLElement {
  const type = String(event.type)
  const facts = shown.flatMap(name => typeof event[name] === 'string' ? [event[name]] : [])
  return element('li', { 'data-tone': tones[type] ?? 'none' },
    element('time', {}, new Date(Number(event.at)).toLocaleTimeString()),
    element('b', {}, type),
    element('span', { class: 'facts' }, facts.join(' · ')))
}
