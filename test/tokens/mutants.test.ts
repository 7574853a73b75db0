import t from 'tap'
import { ask, startUsersApp } from '../server.js'
import { algorithms, forge, testKey } from './forge.js'

// All of them in an own run: MUTANTS=200000 npx tap test/tokens/mutants.test.ts
const count = Number(process.env.MUTANTS ?? 20_000)
const characters = "ABCXYZabcxyz0189-_.=+/ \t~{}\"'%\u00a0\u00ff"

/** Numbers that look random and are the same in each run (mulberry32). */
function sequence (seed: number): (below: number) => number {
  let state = seed
  return below => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

function mutate (token: string, other: string, next: (below: number) => number): string {
  const at = next(token.length)
  const to = at + next(token.length - at)
  const character = characters.charAt(next(characters.length))
  const parts = token.split('.')
  const mutants = [
    () => token.slice(0, at) + character + token.slice(at + 1),
    () => token.slice(0, at) + character + token.slice(at),
    () => token.slice(0, at) + token.slice(at + 1),
    () => token.slice(0, at),
    () => token.slice(at),
    () => token.slice(0, at) + token.slice(to),
    () => token.slice(0, to) + token.slice(at),
    () => token.slice(0, at) + other.slice(at),
    () => token.slice(0, at) + String.fromCharCode(token.charCodeAt(at) ^ (1 << next(7))) + token.slice(at + 1),
    () => token.slice(0, at) + token.charAt(at).toUpperCase() + token.slice(at + 1),
    () => parts.map((part, index) => index === next(3) ? other.split('.')[index] : part).join('.'),
    () => parts.toSorted(() => next(3) - 1).join('.'),
    () => parts.map(part => part.slice(0, next(part.length + 1))).join('.')
  ]
  return mutants[next(mutants.length)]?.() ?? token
}

for (const [index, algorithm] of algorithms.entries()) {
  t.test(`${algorithm}: mutants of a good token are refused`, async t => {
    const key = await testKey(algorithm)
    const app = await startUsersApp(t, { keys: [key.option] })
    const [good, other] = [forge(key), forge(key)]
    const next = sequence(index + 1)
    const wrong: unknown[] = []
    let refused = 0
    for (let i = 0; i < count / algorithms.length; i++) {
      // Blanks around the value of a header are not the value (RFC 9110, 5.5).
      const mutant = mutate(i % 2 === 0 ? mutate(good, other, next) : good, other, next).replace(/^[ \t]+|[ \t]+$/g, '')
      if (mutant === '') continue
      const outcome = await ask(app, { 'x-zumo-auth': mutant })
      const same = mutant === good || mutant === other
      if (outcome.status === 401 && outcome.code === 'AUTH_ERR_TOKEN_INVALID' && !same) refused++
      else if (outcome.status !== 200 || !same) wrong.push({ mutant, outcome })
    }
    t.strictSame(wrong, [])
    t.ok(refused > count / algorithms.length * 0.8, `${refused} refused`)
    t.equal((await ask(app, { 'x-zumo-auth': good })).status, 200)
  })
}
