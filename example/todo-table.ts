import { randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Level } from 'fastify-token-exchange'
import type { Database } from './database.js'
import { FilterError } from './todo-filter.js'
import { columns, readTodoQuery } from './todo-query.js'

type Item = Record<string, unknown> & { id: string, version: string }

const schema = `CREATE TABLE IF NOT EXISTS todoitem (
  id          text PRIMARY KEY,
  owner       text NOT NULL,
  text        text,
  complete    boolean NOT NULL DEFAULT false,
  "createdAt" timestamptz NOT NULL DEFAULT now(),
  "updatedAt" timestamptz NOT NULL DEFAULT now(),
  version     bigint NOT NULL DEFAULT 1
)`

/** What each operation asks for, as the scripts of the original had it. */
const levels = {
  insert: 'authenticated',
  read: 'authenticated',
  update: 'authenticated',
  delete: 'authenticated'
} as const satisfies Record<string, Level>

const itself = [...columns.keys()].map(name => `"${name}"`).join(', ')
// A user's own rows; all of them where there is no owner, which is the master key.
const own = '($1::text IS NULL OR owner = $1)'

/** `/tables/todoitem`, for the SDKs of Azure Mobile Services: rows belong to the user who made them. */
export async function todoTable (app: FastifyInstance, database: Database): Promise<void> {
  await database.query(schema)
  const guard = (operation: keyof typeof levels) => ({ onRequest: app.requireLevel(levels[operation]) })
  const one = '/tables/todoitem/:id'

  app.post('/tables/todoitem', guard('insert'), async (request, reply) => {
    const { id = randomUUID(), text = null, complete = false } = bodyOf(request)
    if (typeof id !== 'string' || !/^[^\s/?#"\\]{1,255}$/.test(id)) {
      return refuse(reply, 400, 'id must be a string that fits into a URL')
    }
    const {
      rows: [item]
    } = await database.query<Item>(
      `INSERT INTO todoitem (id, owner, text, complete) VALUES ($1, $2, $3, $4)
       ON CONFLICT DO NOTHING RETURNING ${itself}`,
      [id, ownerOf(request) ?? 'operations', readText(text), readComplete(complete)]
    )
    if (item === undefined) return refuse(reply, 409, 'There is an item with this id')
    reply.code(201).header('location', `${request.url.split('?')[0]}/${encodeURIComponent(item.id)}`)
    return answer(reply, item)
  })

  app.get<{ Querystring: Record<string, unknown> }>('/tables/todoitem', guard('read'), async request => {
    const { where, orderBy, select, top, skip, isCounted } = readTodoQuery(request.query, 2)
    const condition = [own, ...(where === null ? [] : [where.sql])].join(' AND ')
    const values = [ownerOf(request), ...where?.values ?? []]
    const { rows: results } = await database.query<Item>(
      `SELECT ${select} FROM todoitem WHERE ${condition} ORDER BY ${orderBy} LIMIT ${top} OFFSET ${skip}`,
      values
    )
    if (!isCounted) return results.map(written)
    const {
      rows: [total]
    } = await database.query<{ count: number }>(
      `SELECT count(*)::integer AS count FROM todoitem WHERE ${condition}`,
      values
    )
    return { count: total?.count ?? 0, results: results.map(written) }
  })

  app.get<{ Params: { id: string } }>(one, guard('read'), async (request, reply) => {
    const item = await find(request)
    if (item === undefined) return refuse(reply, 404, 'There is no such item')
    if (request.headers['if-none-match'] === tagOf(item)) return reply.code(304).header('etag', tagOf(item)).send()
    return answer(reply, item)
  })

  app.patch<{ Params: { id: string } }>(one, guard('update'), async (request, reply) => {
    const { text, complete } = bodyOf(request)
    const {
      rows: [item]
    } = await database.query<Item>(
      `UPDATE todoitem SET text = CASE WHEN $3 THEN $4 ELSE text END, complete = coalesce($5, complete),
         "updatedAt" = now(), version = version + 1
       WHERE ${own} AND id = $2 AND ($6::bigint IS NULL OR version = $6) RETURNING ${itself}`,
      [
        ownerOf(request),
        request.params.id,
        text !== undefined,
        text === undefined ? null : readText(text),
        complete === undefined ? null : readComplete(complete),
        versionAsked(request)
      ]
    )
    return item === undefined ? await conflict(request, reply) : answer(reply, item)
  })

  app.delete<{ Params: { id: string } }>(one, guard('delete'), async (request, reply) => {
    const { rows: [item] } = await database.query<Item>(
      `DELETE FROM todoitem WHERE ${own} AND id = $2 AND ($3::bigint IS NULL OR version = $3) RETURNING ${itself}`,
      [ownerOf(request), request.params.id, versionAsked(request)]
    )
    return item === undefined ? await conflict(request, reply) : await reply.code(204).send()
  })

  async function find (request: FastifyRequest<{ Params: { id: string } }>): Promise<Item | undefined> {
    const {
      rows: [item]
    } = await database.query<Item>(`SELECT ${itself} FROM todoitem WHERE ${own} AND id = $2`, [
      ownerOf(request),
      request.params.id
    ])
    return item
  }

  // RFC 9110, 13.1.1: the client's version is not the current one, which goes with the answer.
  async function conflict (
    request: FastifyRequest<{ Params: { id: string } }>,
    reply: FastifyReply
  ): Promise<FastifyReply> {
    const item = await find(request)
    return item === undefined ? refuse(reply, 404, 'There is no such item') : answer(reply.code(412), item)
  }
}

function ownerOf ({ auth }: FastifyRequest): string | null {
  return auth.user?.id ?? null
}

function bodyOf ({ body }: FastifyRequest): Record<string, unknown> {
  return typeof body === 'object' && body !== null ? { ...body } : {}
}

function readText (value: unknown): string | null {
  if (value !== null && typeof value !== 'string') throw new FilterError('text must be a string')
  return value
}

function readComplete (value: unknown): boolean {
  if (typeof value !== 'boolean') throw new FilterError('complete must be true or false')
  return value
}

/** The version of `If-Match: "…"`; null where every version will do. One that is none matches none. */
function versionAsked ({ headers }: FastifyRequest): string | null {
  const tag = headers['if-match']
  if (tag === undefined || tag === '*') return null
  return /^"(\d{1,15})"$/.exec(tag)?.[1] ?? '-1'
}

function tagOf ({ version }: Item): string {
  return `"${String(version)}"`
}

/** SDKs take versions for strings. */
function written<Row extends Record<string, unknown>> (item: Row): Row {
  return 'version' in item ? { ...item, version: String(item.version) } : item
}

function answer (reply: FastifyReply, item: Item): FastifyReply {
  return reply.header('etag', tagOf(item)).send(written(item))
}

function refuse (reply: FastifyReply, code: number, error: string): FastifyReply {
  return reply.code(code).send({ code, error })
}
