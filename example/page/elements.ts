type Child = Node | string | null
type Attributes = Readonly<Record<string, string | boolean>>

/** Makes an element. Of a boolean attribute, `false` leaves it out. */
export function element<Tag extends keyof HTMLElementTagNameMap> (
  tag: Tag,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) made.setAttribute(name, value === true ? '' : value)
  }
  made.append(...children.filter(child => child !== null))
  return made
}

/** The element of the page that has this id. */
export function find (id: string): HTMLElement {
  const found = document.getElementById(id)
  if (found === null) throw new Error(`the page has no #${id}`)
  return found
}

/** Does this when the button is pressed; until it is done, the button cannot be pressed again. */
export function onPress (button: HTMLElement, work: () => unknown): void {
  const isPressable = (): boolean =>
    button.getAttribute('aria-disabled') !== 'true' && button.getAttribute('aria-busy') !== 'true'
  button.addEventListener('click', () => {
    if (!isPressable()) return
    button.setAttribute('aria-busy', 'true')
    Promise.resolve(work()).catch(console.error).finally(() => button.removeAttribute('aria-busy'))
  })
}

/** What cannot be pressed now can still be read and reached by the keyboard. */
export function enable (button: HTMLElement, isEnabled: boolean): void {
  button.setAttribute('aria-disabled', String(!isEnabled))
}
