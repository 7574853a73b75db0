import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { postgresMissing, redisMissing, startPostgres, startRedis } from '../sessions/servers.js'
import { run } from './program.js'

const { scripts } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'))

const lines = [
  /^Two servers, http:\/\/127\.0\.0\.1:\d+ and http:\/\/127\.0\.0\.1:\d+, with their sessions in (.*)$/,
  /^Log in at the first: 200$/,
  /^Ask the first: 200; ask the second: 200$/,
  /^Log out at the first: 204$/,
  /^Ask the first: 401 AUTH_ERR_TOKEN_REVOKED$/,
  /^Ask the second: 401 AUTH_ERR_TOKEN_REVOKED, \d+ ms after the logout$/,
  /^Refresh at the second: 400 AUTH_ERR_SESSION_REVOKED$/
]

t.test('two servers on one memory store', async t => {
  await logsOut(t, 'memory', {})
})

t.test('two servers on Redis', { skip: redisMissing }, async t => {
  const redis = await startRedis('no')
  t.teardown(() => redis.remove())
  await logsOut(t, 'Redis', { REDIS_URL: `redis://127.0.0.1:${redis.port}` })
})

t.test('two servers on PostgreSQL', { skip: postgresMissing }, async t => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.remove())
  await logsOut(t, 'PostgreSQL', { DATABASE_URL: `postgres://postgres@127.0.0.1:${postgres.port}/postgres` })
})

/** A logout at one is refused by the other. */
async function logsOut (t: Test, place: string, env: Record<string, string>): Promise<void> {
  const program = run(scripts['example:two-servers'], env)
  t.teardown(() => program.kill())
  t.equal(await program.ended(), 0)
  const printed = program.output().trim().split('\n')
  t.equal(printed.length, lines.length, 'lines')
  for (const [number, line] of lines.entries()) t.match(printed[number], line)
  t.equal(lines[0]?.exec(printed[0] ?? '')?.[1], place)
}
