import t from 'tap'
import { endpointUrl } from '../../src/options/values.js'

const callable = [
  'https://idp.example',
  'https://idp.example/a?b=c',
  'http://localhost:8080/x',
  'http://127.0.0.1/',
  'http://127.9.8.7',
  'http://[::1]:80'
]
for (const url of callable) t.test(`${url} may be called`, async t => { t.equal(endpointUrl(url, 'name'), url) })

const refused = [
  undefined,
  null,
  7,
  '',
  'idp.example',
  '/path',
  'http://idp.example',
  'http://localhost.example',
  'http://sub.localhost',
  'http://127.0.0.1.example',
  'http://10.0.0.1',
  'ftp://localhost',
  'https://user:S3CRET@idp.example',
  'http://user@localhost',
  'https://idp.example/#S3CRET',
  'https://idp.example/#',
  'javascript:S3CRET'
]
for (const url of refused) {
  t.test(`${String(url)} may not`, async t => {
    const error = t.throws(() => endpointUrl(url, 'the option'), {
      code: 'AUTH_ERR_OPTION_INVALID',
      message: /the option/
    })
    t.notMatch(error, { message: /S3CRET/ })
  })
}
