import { validate } from '@readme/openapi-parser'
import t from 'tap'
import { documentedServer } from '../../example/recipes/openapi.js'
import { guardsOnly, ownProvider } from '../server.js'

t.test('the document of the recipe is valid, and shows what the guards ask for', async t => {
  const app = await documentedServer({ ...guardsOnly, providers: { own: ownProvider() }, defaultLevel: 'admin' })
  t.teardown(() => app.close())
  const answer = await app.inject('/openapi.json')
  t.equal(answer.statusCode, 200)
  t.match(answer.json(), {
    info: { title: 'Todos' },
    paths: {
      '/todos': { get: { security: [{ bearer: [] }, { masterKey: [] }] } },
      '/login/{provider}': { post: { tags: ['Authentication'] } }
    }
  })
  t.equal(answer.json().paths['/openapi.json'], undefined)
  t.match(await validate(answer.json()), { valid: true })
})
