import { element, find } from './elements.js'

const providers = [
  ['facebook', 'Facebook'], ['google', 'Google'], ['apple', 'Apple'], ['microsoft', 'Microsoft'], ['github', 'GitHub']
] as const

interface Role { readonly person: string, readonly flaw: string, readonly name: string, readonly what: string }

const roles: Readonly<Record<string, Role>> = {
  user: { person: 'grace', flaw: 'none', name: 'Grace', what: 'an ordinary user' },
  administrator: { person: 'ada', flaw: 'none', name: 'Ada', what: 'an administrator' },
  blocked: { person: 'mallory', flaw: 'none', name: 'Mallory', what: 'blocked by this application' },
  expired: { person: 'grace', flaw: 'expired', name: 'Expired token', what: 'of Grace, from yesterday' },
  foreign: { person: 'grace', flaw: 'foreign', name: 'Another app’s token', what: 'given for a quiz, say' }
}

/** Where to log in, and as whom. */
export interface Choice {
  readonly provider: string
  readonly role: string
  readonly person: string
  /** What is wrong with the grant. */
  readonly flaw: string
}

/** Two groups of radio buttons. A choice outlives logins by redirect, which leave the page; a second tab is told it. */
export function createChoice (onChange: (choice: Choice) => void): { readonly current: Choice } {
  const kept = new URLSearchParams(sessionStorage.getItem('choice') ?? location.search)
  let provider = kept.get('provider') ?? 'facebook'
  let role = kept.get('role') ?? 'user'

  find('providers').append(...providers.map(([name, label]) =>
    radio('provider', name, name === provider, element('span', { class: `badge ${name}`, 'aria-hidden': 'true' },
      label.slice(0, 1)), element('span', {}, label))))
  find('people').append(...Object.entries(roles).map(([id, { name, what }]) =>
    radio('role', id, id === role, element('span', { class: `face ${id}`, 'aria-hidden': 'true' }, initialOf(id, name)),
      element('span', { class: 'who' }, element('b', {}, name), element('span', {}, what)))))

  function current (): Choice {
    const { person = 'grace', flaw = 'none' } = roles[role] ?? {}
    return { provider, role, person, flaw }
  }

  find('choice').addEventListener('change', ({ target }) => {
    if (!(target instanceof HTMLInputElement)) return
    if (target.name === 'provider') provider = target.value
    else role = target.value
    sessionStorage.setItem('choice', new URLSearchParams({ provider, role }).toString())
    onChange(current())
  })
  return { get current () { return current() } }
}

export function labelOf (provider: string): string {
  return providers.find(([name]) => name === provider)?.[1] ?? provider
}

function initialOf (role: string, name: string): string {
  return role === 'expired' ? '!' : role === 'foreign' ? '≠' : name.slice(0, 1)
}

function radio (name: string, value: string, isChecked: boolean, ...content: HTMLElement[]): HTMLElement {
  return element('label', { class: 'choice' },
    element('input', { type: 'radio', name, value, checked: isChecked }), ...content)
}
