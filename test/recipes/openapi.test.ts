import { validate } from '@readme/openapi-parser'
import t from 'tap'
import { documentedServer } from '../../example/recipes/openapi.js'
import { codeIn, guardsOnly, ownProvider } from '../server.js'

t.test('the document of the recipe is valid, and shows what the guards ask for', async t => {
  const app = await documentedServer({ ...guardsOnly, providers: { own: ownProvider() } })
  t.teardown(() => app.close())
  const answer = await app.inject('/openapi.json')
  t.equal(answer.statusCode, 200)
  t.match(answer.json(), {
    info: { title: 'Todos' },
    paths: {
      '/todos': { get: { security: [{ bearer: [] }, { masterKey: [] }] } },
      '/lists': { get: { security: [{ bearer: [] }, { masterKey: [] }] } },
      '/login/{provider}': { post: { tags: ['Authentication'] } }
    }
  })
  t.equal(answer.json().paths['/openapi.json'], undefined)
  t.match(await validate(answer.json()), { valid: true })
})

t.test('the pages of the documentation are open, and what has no guard of its own is not', async t => {
  const app = await documentedServer(guardsOnly)
  t.teardown(() => app.close())
  for (const [url, status, type] of [
    ['/documentation', 200, /^text\/html/],
    ['/documentation/', 200, /^text\/html/],
    ['/documentation/static/index.html', 302, undefined],
    ['/documentation/static/swagger-ui.css', 200, /^text\/css/],
    ['/documentation/static/swagger-initializer.js', 200, /^application\/javascript/],
    ['/documentation/json', 200, /^application\/json/],
    ['/documentation/yaml', 200, /^application\/x-yaml/]
  ] as const) {
    const answer = await app.inject(url)
    t.equal(answer.statusCode, status, url)
    if (type !== undefined) t.match(answer.headers['content-type'], type, url)
  }
  const { statusCode, body } = await app.inject('/lists')
  t.equal(statusCode, 401)
  t.equal(codeIn(body), 'AUTH_ERR_CREDENTIAL_MISSING')
})
