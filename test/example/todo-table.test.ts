import t from 'tap'
import { startExample } from '../azure/clients/example.js'

interface Answer { status: number, headers: Headers, body: unknown }

t.test('/tables/todoitem of the example', async t => {
  const example = await startExample(['http://app.example'])
  t.teardown(() => example.close())
  const [ada, grace] = [await login(example.administratorToken), await login(example.facebookToken)]

  async function login (token: string): Promise<string> {
    const answer = await fetch(`${example.url}/login/facebook`, {
      method: 'POST',
      body: new URLSearchParams({ access_token: token })
    })
    return String(Reflect.get(Object(await answer.json()), 'authenticationToken'))
  }

  async function ask (
    user: string | null,
    method: string,
    path: string,
    { body, headers = {} }: { body?: unknown, headers?: Record<string, string> } = {}
  ): Promise<Answer> {
    const answer = await fetch(`${example.url}${path}`, {
      method,
      headers: {
        ...(user !== null && { 'x-zumo-auth': user }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers
      },
      ...(body !== undefined && { body: JSON.stringify(body) })
    })
    const text = await answer.text()
    return { status: answer.status, headers: answer.headers, body: text === '' ? null : JSON.parse(text) }
  }

  const texts = async (query: Record<string, string>): Promise<unknown> => {
    const { body } = await ask(grace, 'GET', `/tables/todoitem?${new URLSearchParams(query)}`)
    return Array.isArray(body) ? body.map((item: unknown) => Reflect.get(Object(item), 'text')) : body
  }

  t.equal((await ask(null, 'GET', '/tables/todoitem')).status, 401)
  const made = await ask(grace, 'POST', '/tables/todoitem', { body: { id: 'one', text: "it's one", owner: 'mallory' } })
  t.match([made.status, made.headers.get('location'), made.headers.get('etag')], [201, '/tables/todoitem/one', '"1"'])
  t.match(made.body, {
    id: 'one',
    text: "it's one",
    complete: false,
    version: '1',
    createdAt: String,
    updatedAt: String
  })
  t.equal((await ask(grace, 'POST', '/tables/todoitem', { body: { id: 'one' } })).status, 409)
  await ask(grace, 'POST', '/tables/todoitem', { body: { id: 'two', text: '100%_é', complete: true } })
  await ask(ada, 'POST', '/tables/todoitem', { body: { id: 'hers', text: 'hers' } })

  for (const [filter, expected] of [
    ["text eq 'it''s one'", ["it's one"]],
    ["text ne 'it''s one'", ['100%_é']],
    ["startswith(text,'100%_')", ['100%_é']],
    ["startswith(text,'1%')", []],
    ['complete eq true or complete eq false', ["it's one", '100%_é']],
    ["not (complete eq true) and text gt 'a'", ["it's one"]],
    ["not complete eq true or id eq 'two'", ["it's one", '100%_é']],
    ["id ge 'two'", ['100%_é']],
    ["id lt 'two'", ["it's one"]],
    ['version le 1', ["it's one", '100%_é']],
    ["createdAt gt datetimeoffset'2020-01-01T00:00:00.000Z'", ["it's one", '100%_é']],
    ['text eq null', []]
  ] as const) { t.same(await texts({ $filter: filter, $orderby: 'createdAt' }), expected, filter) }
  t.same(await texts({ $orderby: 'text desc', $top: '1' }), ["it's one"])
  t.same(await texts({ $orderby: 'text desc', $skip: '1' }), ['100%_é'])
  t.match(await texts({ $inlinecount: 'allpages', $top: '1', $select: 'id' }), { count: 2, results: [{ id: String }] })

  for (const query of [
    { $filter: "owner eq 'x'" },
    { $filter: "'" },
    { $filter: "text eq 'x') or (1 eq 1" },
    { $orderby: 'text; DROP TABLE todoitem' },
    { $top: '-1' },
    { $select: 'owner' },
    { $filter: 'complete eq 5' }
  ]) {
    const { status } = await ask(grace, 'GET', `/tables/todoitem?${new URLSearchParams(Object.entries(query))}`)
    t.equal(status, 400, JSON.stringify(query))
  }

  t.equal((await ask(ada, 'GET', '/tables/todoitem/one')).status, 404, "another user's row")
  t.equal((await ask(ada, 'PATCH', '/tables/todoitem/one', { body: { text: 'stolen' } })).status, 404)
  t.equal((await ask(ada, 'DELETE', '/tables/todoitem/one')).status, 404)

  const updated = await ask(grace, 'PATCH', '/tables/todoitem/one', {
    body: { complete: true },
    headers: { 'if-match': '"1"' }
  })
  t.match(
    [updated.status, updated.headers.get('etag'), updated.body],
    [200, '"2"', { text: "it's one", complete: true, version: '2' }]
  )
  for (const method of ['PATCH', 'DELETE']) {
    const conflict = await ask(grace, method, '/tables/todoitem/one', {
      ...(method === 'PATCH' && { body: { text: 'x' } }),
      headers: { 'if-match': '"1"' }
    })
    t.match([conflict.status, conflict.body], [412, { id: 'one', version: '2' }], `${method} answers the server's item`)
  }
  t.equal((await ask(grace, 'GET', '/tables/todoitem/one', { headers: { 'if-none-match': '"2"' } })).status, 304)
  t.equal((await ask(grace, 'DELETE', '/tables/todoitem/one', { headers: { 'if-match': '"2"' } })).status, 204)
  t.equal((await ask(grace, 'GET', '/tables/todoitem/one')).status, 404)
})
