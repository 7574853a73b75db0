import type { FastifyReply } from 'fastify'
import type { Completion } from './completion.js'
import { completionPage, emptyPage, type Page } from './completion-page.js'

/** What a login by redirect came to: the login answer, a one-time code for it, or what went wrong. */
export type Outcome = { token: object } | { code: string } | { error: string }

/** The forms in which a login by redirect ends in the browser. */
export interface Endings {
  /** @param doneUrl where it ends when nothing else was asked for */
  end (completion: Completion, outcome: Outcome, doneUrl: string, reply: FastifyReply): FastifyReply
  done (reply: FastifyReply): FastifyReply
  /** The page that a reply carries, for its headers. */
  policyOf (reply: object): Page
}

export function createEndings (): Endings {
  const pages = new WeakMap<object, Page>()

  function end (completion: Completion, outcome: Outcome, doneUrl: string, reply: FastifyReply): FastifyReply {
    if (completion.form === 'page') return send(completionPage(completed(outcome), completion.origin), reply)
    const uri = completion.form === 'done' ? doneUrl : completion.uri
    return reply.redirect(`${uri}#${fragment(outcome)}`, 302)
  }

  function send (page: Page, reply: FastifyReply): FastifyReply {
    pages.set(reply, page)
    return reply.type('text/html; charset=utf-8').send(page.html)
  }

  return { end, done: reply => send(emptyPage, reply), policyOf: reply => pages.get(reply) ?? emptyPage }
}

function completed (outcome: Outcome): Parameters<typeof completionPage>[0] {
  return {
    type: 'LoginCompleted',
    oauth: 'token' in outcome ? outcome.token : null,
    error: 'error' in outcome ? outcome.error : null
  }
}

function fragment (outcome: Outcome): string {
  if ('token' in outcome) return `token=${encodeURIComponent(JSON.stringify(outcome.token))}`
  if ('code' in outcome) return `authorization_code=${encodeURIComponent(outcome.code)}`
  return `error=${encodeURIComponent(outcome.error)}`
}
