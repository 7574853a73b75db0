import { dirname, join, relative, resolve, sep } from 'node:path'

// The rooms of src/: folders and files, by the longest name that fits. Each lists the rooms that it may import.
// A room that stands nowhere here fails lint: a new one says first what it may know.
// Open to all, and reaching downwards only. `options` is the kit that reads values, not the options of the plugin.
const words = ['errors', 'identity', 'public-address', 'strict-json', 'key-material', 'deadline', 'events']
const open = [...words, 'options']

export const rooms = {
  errors: [],
  'public-address': [],
  'strict-json': ['errors'],
  'key-material': ['errors'],
  identity: ['errors'],
  deadline: ['errors'],
  events: ['errors', 'identity'],
  options: words,

  http: open,
  'providers/signed-token': [...open, 'http'],
  providers: [...open, 'http', 'providers/signed-token'],
  applications: [...open, 'http', 'providers/signed-token'],

  dpop: open,
  permissions: open,
  tokens: [...open, 'permissions'],
  sessions: [...open, 'permissions', 'tokens'],
  'sessions/stores': [...open, 'sessions'],
  login: [...open, 'dpop', 'permissions', 'tokens', 'sessions'],
  guards: [...open, 'dpop', 'permissions', 'tokens', 'sessions'],
  routes: [...open, 'dpop', 'permissions', 'tokens', 'sessions', 'login', 'guards'],
  azure: [...open, 'permissions', 'tokens', 'sessions', 'login', 'guards', 'routes'],
  openapi: [...open, 'guards', 'routes'],

  // What the settings of each room are, is read in that room.
  'plugin-options': [...open, 'dpop', 'permissions', 'tokens', 'sessions', 'sessions/stores', 'login', 'guards'],
  server: [
    ...open, 'plugin-options', 'dpop', 'permissions', 'tokens', 'sessions', 'sessions/stores', 'login', 'guards'
  ],
  plugin: [...open, 'plugin-options', 'server', 'guards', 'routes', 'azure', 'openapi'],
  index: [
    ...open, 'plugin', 'plugin-options', 'dpop', 'permissions', 'tokens', 'sessions', 'login', 'guards', 'routes',
    'applications'
  ],

  testing: [...open, 'http', 'sessions'],
  client: [],
  telemetry: ['events']
}

// The type of a running server is known to those whom the server makes.
export const typesOf = { routes: ['server'], azure: ['server'], openapi: ['server'] }

// Rooms and single files that know nothing of the framework, types aside.
const withoutFastify = [
  ...words, 'options', 'http', 'providers', 'permissions', 'dpop', 'applications', 'client', 'telemetry',
  'tokens/claims', 'guards/decide', 'sessions/refresh-token', 'login/redirect-flow'
]
const fastify = /^(fastify|fastify-plugin|@fastify\/.*)$/

const isIn = (path, place) => path === place || path.startsWith(`${place}/`)

/** The room of a path below src/, without its ending: `tokens/claims` is in `tokens`. */
export function roomOf (path) {
  const longestFirst = Object.keys(rooms).sort((a, b) => b.length - a.length)
  return longestFirst.find(room => isIn(path, room))
}

/** Why a file may not import this, or null. The path of the file is below src/, without its ending. */
export function refusal (from, source, isType) {
  const room = roomOf(from)
  if (room === undefined) return null
  if (!source.startsWith('.')) return refusalOfPackage(from, room, source, isType)
  const to = join(dirname(from), source).replaceAll(sep, '/').replace(/\.js$/, '')
  const other = roomOf(to)
  if (room === other || rooms[room].includes(other)) return null
  if (isType && typesOf[room]?.includes(other)) return null
  return `${room} must not import ${other ?? to}: see eslint.rooms.js.`
}

function refusalOfPackage (from, room, source, isType) {
  if (room === 'client') return `client runs everywhere and imports nothing, not even ${source}.`
  const isFree = withoutFastify.some(place => isIn(from, place))
  if (isFree && !isType && fastify.test(source)) return `${from} knows nothing of Fastify, types aside.`
  return null
}

function isOfTypes ({ importKind, specifiers }) {
  const isEachInline = specifiers.length > 0 && specifiers.every(specifier => specifier.importKind === 'type')
  return importKind === 'type' || isEachInline
}

function check (context) {
  const source = resolve(context.cwd, 'src')
  const from = relative(source, context.filename).replaceAll(sep, '/').replace(/\.ts$/, '')
  const report = (node, isType) => {
    if (node.source?.type !== 'Literal') return
    const message = refusal(from, node.source.value, isType)
    if (message !== null) context.report({ node, message })
  }
  return {
    Program: node => {
      if (roomOf(from) === undefined) context.report({ node, message: `${from} is in no room of eslint.rooms.js.` })
    },
    ImportDeclaration: node => report(node, isOfTypes(node)),
    ExportNamedDeclaration: node => report(node, node.exportKind === 'type'),
    ExportAllDeclaration: node => report(node, node.exportKind === 'type'),
    ImportExpression: node => report(node, false),
    TSImportType: node => report(node, true)
  }
}

export default { rules: { imports: { meta: { type: 'problem', schema: [] }, create: check } } }
