import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './blocks.js'

/** An `@example` of a docstring, and what it stands before. */
interface Example { readonly of: string, readonly text: string }

/** The examples of a file, or of one interface in it. */
export function examplesIn (path: string, interfaceName?: string): Example[] {
  const whole = readFileSync(join(root, path), 'utf8')
  const declared = new RegExp(`export interface ${interfaceName} [^]*?\n}\n`)
  const text = interfaceName === undefined ? whole : declared.exec(whole)?.[0] ?? ''
  const comment = String.raw`\/\*\*\n((?: *\*.*\n)+?) *\*\/\n`
  const commented = new RegExp(comment + String.raw` *(?:export )?(?:async )?(?:function |const |readonly )?(\w+)`, 'g')
  return [...text.matchAll(commented)].flatMap(([, comment = '', of = '']) => {
    const example = /@example([^]*?)(?=\n *\* @|$)/.exec(comment)?.[1]
    return example === undefined ? [] : [{ of, text: example.replace(/^ *\* ?/gm, '').replace(/^```.*$/gm, '').trim() }]
  })
}

/** The members of an interface. */
export function membersOf (path: string, name: string): string[] {
  const text = new RegExp(`export interface ${name} [^]*?\n}\n`).exec(readFileSync(join(root, path), 'utf8'))?.[0] ?? ''
  return [...text.matchAll(/^ {2}(?:readonly )?(\w+)\??(?::| \()/gm)].map(([, member = '']) => member)
}

const given = `import { readFileSync } from 'node:fs'
import { Redis } from 'ioredis'
import { Pool } from 'pg'
import Fastify from 'fastify'
import {
  errors, tokenExchange, userOf, type SessionOptions, type TokenExchangeEvent, type TokenExchangeOptions
} from 'fastify-token-exchange'
import { appCheck } from 'fastify-token-exchange/applications'
import { createClient } from 'fastify-token-exchange/client'
import {
  apple, defineProvider, facebook, github, google, introspection, microsoft, oidc
} from 'fastify-token-exchange/providers'
import { memoryStore, postgresStore, redisStore } from 'fastify-token-exchange/stores'
import { instrument } from 'fastify-token-exchange/telemetry'
import { startIdentityServer } from 'fastify-token-exchange/testing'
const app = Fastify()
const [redis, pool, token, idToken] = [new Redis(), new Pool(), '', '']
export type Events = TokenExchangeEvent
export const unused = [
  readFileSync, errors, tokenExchange, userOf, appCheck, createClient, apple, defineProvider, facebook, github,
  google, introspection, microsoft, oidc, memoryStore, postgresStore, redisStore, instrument, startIdentityServer,
  app, redis, pool, token, idToken
]
`

/** A module's types cannot be merged inside of a function; test/readme.test.ts has a program for that. */
function isCode ({ text }: Example): boolean {
  return !text.includes('declare module')
}

/** All examples of the sources in one module, for the compiler: each option by itself, all others as they stand. */
export function composeExamples (): string {
  const optionsOf = (type: string, path: string): string =>
    `export const of${type}: Array<Partial<${type}>> = [\n${
      examplesIn(path, type).map(({ text }) => `{ ${text} }`).join(',\n')}\n]`
  const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter(path => path.endsWith('.ts') && !/plugin-options|session-options/.test(path))
  const functions = sources.flatMap(path => examplesIn(`src/${path}`)).filter(isCode).map(({ text }, index) => {
    const code = text.replace(/^import .*$/gm, '')
    const names = [...code.matchAll(/^(?:const|function) (?:\{.*: )?(\w+)/gm)].map(([, name]) => name)
    return `export async function example${index} () {\n${code}\nreturn [${names.join(', ')}]\n}`
  })
  return [
    given,
    optionsOf('TokenExchangeOptions', 'src/plugin-options.ts'),
    optionsOf('SessionOptions', 'src/sessions/session-options.ts'),
    ...functions
  ].join('\n')
}
