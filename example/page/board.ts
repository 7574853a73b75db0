import type { Held } from './account.js'
import { showAnswers, toneOf } from './answers.js'
import { element, enable, find, onPress } from './elements.js'
import type { Wire } from './wire.js'

const apis = ['everyone', 'app', 'auth', 'admin'] as const

interface Credential { readonly name: string, headers (): Record<string, string> | null }

/** The four APIs by the four credentials. */
export interface Board {
  /** There is a token now, or none any more. */
  update (): void
}

export function createBoard (wire: Wire, held: Held, keys: { applicationKey: string, masterKey: string }): Board {
  const credentials: readonly Credential[] = [
    { name: 'No credential', headers: () => ({}) },
    { name: 'Application key', headers: () => ({ 'x-zumo-application': keys.applicationKey }) },
    {
      name: 'Access token',
      headers: () => held.accessToken === null ? null : { authorization: `Bearer ${held.accessToken}` }
    },
    { name: 'Master key', headers: () => ({ 'x-zumo-master': keys.masterKey }) }
  ]
  const cells = credentials.map(credential => apis.map(api => {
    const button = element('button', { type: 'button', class: 'cell' })
    label(button, api, credential.name, '–', 'none')
    return { credential, api, button }
  }))

  find('board-table').append(
    element('thead', {}, element('tr', {}, element('td', {}),
      ...apis.map(api => element('th', { scope: 'col' }, element('span', { class: 'path' }, '/api/'), api)))),
    element('tbody', {}, ...cells.map(row => element('tr', {},
      element('th', { scope: 'row' }, row[0]?.credential.name ?? ''),
      ...row.map(({ button }) => element('td', {}, button)))))
  )
  for (const cell of cells.flat()) onPress(cell.button, async () => showAnswers('board-answers', await ask(cell)))
  onPress(find('ask-all'), async () => {
    const answers = await Promise.all(cells.flat().map(ask))
    showAnswers('board-answers', answers.flat().slice(-1))
  })

  async function ask ({ credential, api, button }: { credential: Credential, api: string, button: HTMLElement }) {
    const headers = credential.headers()
    if (headers === null) return []
    const exchange = await wire.ask(`/api/${api}`, headers)
    label(button, api, credential.name, String(exchange.status), toneOf(exchange.status))
    return [exchange]
  }

  function update (): void {
    for (const { credential, api, button } of cells.flat()) {
      const isThere = credential.headers() !== null
      enable(button, isThere)
      // Another token, another user: what was answered to the one before says nothing.
      const isNews = button.dataset.there !== String(isThere)
      if (isNews) label(button, api, credential.name, isThere ? 'call' : '–', 'none')
      button.dataset.there = String(isThere)
    }
  }

  update()
  return { update }
}

function label (button: HTMLElement, api: string, credential: string, text: string, tone: string): void {
  button.textContent = text
  button.dataset.tone = tone
  button.setAttribute('aria-label', `${text}: /api/${api} with: ${credential}`)
}
