/** Something that a provider tells your server, signed, as it is posted to `/events/:provider`. */
export interface EventPost {
  readonly method: 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** Posts it to your server, which has to listen there. */
  sendTo (url: string): Promise<{ readonly status: number, readonly body: string }>
}

/** @param contentType of the body */
export function eventPost (
  contentType: string,
  body: string,
  more: Readonly<Record<string, string>> = {}
): EventPost {
  const post = { method: 'POST', headers: { 'content-type': contentType, ...more }, body } as const
  return {
    ...post,
    async sendTo (url) {
      const answer = await fetch(url, post)
      return { status: answer.status, body: await answer.text() }
    }
  }
}
