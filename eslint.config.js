import neostandard from 'neostandard'

// Which room may import which. A room that is not listed as a value of another is closed to it.
// errors.ts, identity.ts and strict-json.ts are words that everybody uses; errors imports nobody.
const words = ['errors', 'identity', 'strict-json']
const rooms = {
  errors: [],
  'strict-json': [],
  identity: ['errors'],
  deadline: ['errors'],
  http: ['errors', 'strict-json', 'deadline'],
  providers: [...words, 'http', 'deadline', 'redirect'],
  permissions: [...words, 'deadline'],
  tokens: [...words, 'permissions'],
  sessions: [...words, 'permissions', 'tokens', 'deadline'],
  login: [...words, 'permissions', 'tokens', 'sessions', 'deadline'],
  guards: [...words, 'option-values', 'permissions', 'tokens', 'sessions'],
  'option-values': words,
  logging: [...words, 'option-values'],
  redirect: [...words, 'http'],
  // Of azure only its settings.ts, a reader of one value like those of option-values.
  options: [...words, 'option-values', 'logging', 'permissions', 'tokens', 'sessions', 'guards', 'azure'],

  azure: [...words, 'option-values', 'permissions', 'tokens', 'sessions', 'login', 'guards', 'routes'],
  routes: [...words, 'logging', 'permissions', 'tokens', 'sessions', 'login', 'guards', 'options'],
  testing: [...words, 'http', 'sessions']
}
const hall = ['plugin', 'index']
const allRooms = [...Object.keys(rooms), ...hall]

// Rooms that know nothing of the framework (types aside).
const withoutFastify = ['errors', 'identity', 'strict-json', 'deadline', 'http', 'redirect', 'providers', 'permissions', 'tokens/claims', 'guards/decide', 'sessions/refresh-token', 'login/redirect-flow']

function ban (room, allowed) {
  const closed = allRooms.filter(other => other !== room && !allowed.includes(other))
  // What reads one value is open to all.
  return closed.map(other => ({
    regex: `^(\\.\\./)+${other}(\\.js$|/(?!values|well-known))|^\\./${other}(\\.js$|/)`,
    message: `${room} must not import ${other}: see the rooms in eslint.config.js.`
  }))
}

const fastifyBan = { regex: '^(fastify$|@fastify/|fastify-plugin$)', message: 'This room knows nothing of Fastify (types aside).', allowTypeImports: true }

export default [
  ...neostandard({ ts: true, ignores: ['dist/**', 'node_modules/**', '.tap/**'] }),
  {
    files: ['**/*.ts'],
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error'
    }
  },
  ...Object.entries(rooms).map(([room, allowed]) => {
    const patterns = ban(room, allowed)
    const wholeRoomIsFree = withoutFastify.includes(room)
    return {
      files: [`src/${room}.ts`, `src/${room}/**/*.ts`],
      rules: { '@typescript-eslint/no-restricted-imports': ['error', { patterns: wholeRoomIsFree ? [...patterns, fastifyBan] : patterns }] }
    }
  }),
  ...withoutFastify.filter(free => free.includes('/')).map(free => {
    const room = free.split('/')[0]
    return {
      files: [`src/${free}.ts`],
      rules: { '@typescript-eslint/no-restricted-imports': ['error', { patterns: [...ban(room, rooms[room]), fastifyBan] }] }
    }
  })
]
