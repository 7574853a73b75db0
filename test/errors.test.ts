import t from 'tap'
import { errors } from '../src/errors.js'

t.test('every error takes a reason, a cause, both or nothing', t => {
  const cause = new Error('why')
  for (const [name, ErrorOf] of Object.entries(errors)) {
    const fixed = new ErrorOf()
    t.match(fixed, { code: ErrorOf.code, reason: undefined, cause: undefined }, name)
    t.ok(fixed.message.length > 0 && fixed.statusCode >= 400, name)
    t.match(new ErrorOf({ cause }), { message: fixed.message, reason: undefined, cause }, `${name}, a cause`)
    t.equal(new ErrorOf(undefined, { cause }).cause, cause, `${name}, a cause after no reason`)
    const both = new ErrorOf('status 400', { cause })
    t.equal(both.cause, cause, `${name}, both`)
    // A developer reads the message of an invalid option; of all others it is what clients are told.
    if (ErrorOf === errors.OptionInvalidError) t.equal(both.message, `${fixed.message}: status 400`)
    else t.match(both, { message: fixed.message, reason: 'status 400' }, `${name}, both`)
  }
  t.end()
})

t.test('a logger names their type', async t => {
  for (const ErrorClass of Object.values(errors)) t.equal(new ErrorClass().constructor.name, 'TokenExchangeError')
})
