import { element, find } from './elements.js'

interface Listed { id: string, createdAt: string | number, lastUsedAt: string | number, current: boolean }

/** Shows the answer of `GET /sessions`. */
export function showSessions (answer: string): void {
  const { sessions = [] }: { sessions?: readonly Listed[] } = Object(JSON.parse(answer))
  find('session-list').replaceChildren(element('table', { class: 'sessions' },
    element('thead', {}, element('tr', {},
      ...['Session', 'Begun', 'Last used'].map(title => element('th', { scope: 'col' }, title)))),
    element('tbody', {}, ...sessions.map(({ id, createdAt, lastUsedAt, current }) => element('tr', {},
      element('td', { class: 'session' },
        element('code', {}, `${id.slice(0, 8)}…`),
        current ? element('span', { class: 'chip here' }, 'this tab') : null),
      element('td', {}, timeOf(createdAt)),
      element('td', {}, timeOf(lastUsedAt)))))))
}

function timeOf (value: string | number): string {
  const milliseconds = typeof value === 'number' && value < 1e11 ? value * 1000 : value
  return new Date(milliseconds).toLocaleTimeString()
}
