import t from 'tap'
import { curlMissing } from './shell.js'
import { walk } from './walk.js'

t.test('npm run example:azure prints them too; a known user is told 401', { skip: curlMissing }, async t => {
  await walk(t, { in: 'memory', program: 'example:azure', forbidden: 401 })
})
