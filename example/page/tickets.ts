import type { ClientUser } from 'fastify-token-exchange/client'
import type { Held } from './account.js'
import { labelOf } from './choice.js'
import { element, find } from './elements.js'
import { legible, meanings, takeApart } from './jwt.js'

/** Shows the grant, the user, the access token taken apart, and the refresh tokens one after the other. */
export function showTickets ({ grant, accessToken, refreshTokens }: Held, user: ClientUser | null): void {
  find('tickets').replaceChildren(
    grant === null ? empty('Nothing yet: log in above.') : grantTicket(grant.provider, grant.kind, grant.token),
    ...(accessToken === null || user === null
      ? []
      : [userCard(user), accessTicket(accessToken), refreshTicket(refreshTokens)])
  )
}

/** Counts down what is left of the access token. @param now milliseconds since the epoch */
export function tick ({ accessToken }: Held, now: number): void {
  const bar = document.getElementById('countdown')
  if (bar === null || accessToken === null) return
  const { iat, exp } = takeApart(accessToken).claims
  const left = Math.max(0, Math.ceil(Number(exp) - now / 1000))
  const whole = Number(exp) - Number(iat)
  bar.style.setProperty('--left', String(Math.min(1, left / whole)))
  const clock = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}`
  find('left').textContent = left === 0 ? 'expired' : `${clock} left`
}

function empty (text: string): HTMLElement {
  return element('p', { class: 'empty' }, text)
}

function grantTicket (provider: string, kind: string, token: string): HTMLElement {
  return element('article', { class: 'ticket grant' },
    element('header', {}, element('h3', {}, `Grant of ${labelOf(provider)}`), element('code', { class: 'chip' }, kind)),
    scrolling('The grant', token))
}

function userCard ({ userId, level, permissions }: ClientUser): HTMLElement {
  return element('div', { class: 'user-card' },
    element('p', { class: 'user-id' }, userId),
    element('p', { class: 'chips' },
      element('span', { class: `chip level ${level}` }, level),
      ...permissions.map(permission => element('span', { class: 'chip' }, permission))))
}

function accessTicket (token: string): HTMLElement {
  const { parts, header, claims } = takeApart(token)
  return element('article', { class: 'ticket access' },
    element('header', {},
      element('h3', {}, 'Access token'),
      element('span', { class: 'left', id: 'left', role: 'timer' })),
    element('div', { class: 'countdown', id: 'countdown', 'aria-hidden': 'true' }, element('span')),
    element('code', { class: 'jwt', tabindex: '0', role: 'group', 'aria-label': 'The access token' },
      ...['part-header', 'part-claims', 'part-signature'].map((part, number) =>
        element('span', { class: part }, (number === 0 ? '' : '.') + (parts[number] ?? '')))),
    element('p', { class: 'legend' },
      element('span', { class: 'part-header' }, `header ${header.alg}`),
      element('span', { class: 'part-claims' }, 'claims'),
      element('span', { class: 'part-signature' }, 'signature')),
    element('dl', { class: 'claims' },
      ...Object.entries(claims).map(([name, value]) => element('div', {},
        element('dt', {}, name),
        element('dd', {}, element('span', { class: 'value' }, legible(name, value)),
          meanings[name] === undefined ? null : element('span', { class: 'meaning' }, meanings[name]))))))
}

function refreshTicket (tokens: readonly string[]): HTMLElement {
  const newest = tokens.length - 1
  return element('article', { class: 'ticket refresh' },
    element('header', {}, element('h3', {}, 'Refresh tokens'), element('span', { class: 'left' }, 'each is good once')),
    element('ol', { class: 'chain' }, ...tokens.map((token, number) => element('li',
      { class: number === newest ? 'current' : 'spent' },
      element('b', {}, `#${number + 1}`),
      element('code', {}, `${token.slice(0, 6)}…${token.slice(-6)}`),
      element('span', { class: 'chip' }, number === newest ? 'current' : 'spent')))))
}

function scrolling (label: string, text: string): HTMLElement {
  return element('code', { class: 'long', tabindex: '0', role: 'group', 'aria-label': label }, text)
}
