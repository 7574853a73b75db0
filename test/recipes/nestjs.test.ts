import { randomBytes } from 'node:crypto'
import t from 'tap'
import { run } from '../example/program.js'

t.test('Nest on its Fastify adapter: guards are decorators, the user is a parameter, answers have codes', async t => {
  const program = run('tsx --tsconfig example/tsconfig.json test/recipes/nest-application.ts', {
    SIGNING_SECRET: randomBytes(32).toString('hex')
  })
  t.teardown(() => program.kill())
  const [, url = '', reader = '', writer = ''] = await program.until(/^(http:\S+) (\S+) (\S+)\n/m)

  interface Answered { status: number, challenge: string | null, body: unknown }
  async function ask (path: string, init: RequestInit = {}): Promise<Answered> {
    const answer = await fetch(`${url}${path}`, init)
    return { status: answer.status, challenge: answer.headers.get('www-authenticate'), body: await answer.json() }
  }
  async function logIn (idToken: string): Promise<{ headers: Record<string, string> }> {
    const body = new URLSearchParams({ id_token: idToken })
    const { body: tokens } = await ask('/login/google', { method: 'POST', body })
    return { headers: { authorization: `Bearer ${Reflect.get(Object(tokens), 'access_token')}` } }
  }

  t.match(await ask('/about'), { status: 200, body: { name: 'Todo' } })
  t.strictSame(await ask('/me'), {
    status: 401,
    challenge: 'Bearer',
    body: {
      statusCode: 401,
      code: 'AUTH_ERR_CREDENTIAL_MISSING',
      error: 'Unauthorized',
      message: 'A credential that this route asks for is missing'
    }
  })
  t.match(await ask('/me', { headers: { authorization: 'Bearer x.y.z' } }), {
    status: 401, challenge: 'Bearer error="invalid_token"', body: { code: 'AUTH_ERR_TOKEN_INVALID' }
  })
  t.match(await ask('/login/google', { method: 'POST', body: new URLSearchParams({ id_token: 'junk' }) }), {
    status: 401, body: { code: 'AUTH_ERR_GRANT_REJECTED' }
  })

  const [ada, bob] = [await logIn(reader), await logIn(writer)]
  t.match(await ask('/me', ada), { status: 200, body: { id: 'google:ada', permissions: [] } })
  t.match(await ask('/todos', { method: 'POST', ...ada }), {
    status: 403, challenge: 'Bearer error="insufficient_scope"', body: { code: 'AUTH_ERR_PERMISSION_MISSING' }
  })
  t.match(await ask('/todos', { method: 'POST', ...bob }), { status: 201, body: { owner: 'google:bob' } })
  t.match(await ask('/lists/google:ada', ada), { status: 200, body: [] })
  t.match(await ask('/lists/google:bob', ada), { status: 403, body: { message: 'Forbidden resource' } }, "Nest's guard")
  t.match(await ask('/lists/google:ada'), { status: 401, body: { code: 'AUTH_ERR_CREDENTIAL_MISSING' } })
  t.match(await ask('/nothing', ada), { status: 404 })
  t.notMatch(program.output(), /ERROR/, 'no refusal is logged as an error')
})
