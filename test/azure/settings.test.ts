import Fastify from 'fastify'
import t from 'tap'
import type { TokenExchangeOptions } from '../../src/plugin-options.js'
import { tokenExchange } from '../../src/plugin.js'
import { dialectServer, own } from './server.js'
import { issuer, secret } from '../server.js'

async function refusal (options: object): Promise<{ code?: string, message?: string } | null> {
  const app = Fastify()
  const given: TokenExchangeOptions = Object.assign({ issuer, keys: secret, providers: { facebook: own } }, options)
  try {
    await app.register(tokenExchange, given)
    await app.ready()
    return null
  } catch (error) {
    return error as Error
  }
}

t.test('what cannot be meant does not start', async t => {
  const rows: Array<[unknown, RegExp]> = [
    ['yes', /azureMobileServices/],
    [{ redirectUri: [] }, /azureMobileServices\.redirectUri/],
    [{ completionOrigins: ['*'] }, /completionOrigins\[0\]/],
    [{ completionOrigins: ['null'] }, /completionOrigins\[0\]/],
    [{ completionOrigins: ['https://www.example.com/path'] }, /completionOrigins\[0\]/],
    [{ completionOrigins: ['https://*.example.com'] }, /completionOrigins\[0\]/],
    [{ redirectUris: 'myapp://x' }, /redirectUris/],
    ...[
      '/relative',
      'javascript:alert(1)',
      'JavaScript:alert(1)',
      'data:text/html,x',
      'vbscript:x',
      'file:///etc/passwd',
      'https://www.example.com/#x',
      ' myapp://x'
    ].map((uri): [unknown, RegExp] => [{ redirectUris: [uri] }, /redirectUris\[0\]/]),
    [{ paths: '/home' }, /azureMobileServices\.paths/],
    [{ paths: ['/home', 7] }, /paths\[1\]/],
    ...[
      '',
      'home',
      'https://www.example.com/home',
      '//home',
      '/a//b',
      '/home?a=b',
      '/home#a',
      '/a/../home',
      '/a/%2e%2e/home',
      '/a%2fb',
      '/a%5Cb',
      '/a\\b',
      '/a b',
      '/\u00e9',
      '/app*',
      '*',
      '/*/b',
      '/app/**'
    ].map((path): [unknown, RegExp] => [{ paths: [path] }, /paths\[0\]/])
  ]
  for (const [azureMobileServices, message] of rows) {
    t.match(
      await refusal({ azureMobileServices }),
      { code: 'AUTH_ERR_OPTION_INVALID', message },
      JSON.stringify(azureMobileServices)
    )
  }
  t.match(await refusal({ azureMobileServices: true, providers: { done: own } }), {
    code: 'AUTH_ERR_OPTION_INVALID',
    message: /done/
  })
})

t.test('done is a name like any other without the option', async t => {
  t.equal(await refusal({ providers: { done: own } }), null)
})

t.test('true, {} and full settings start', async t => {
  for (const azureMobileServices of [
    true,
    {},
    {
      completionOrigins: ['https://www.example.com'],
      redirectUris: ['myapp://easyauth.callback', 'https://www.example.com/welcome'],
      paths: ['/', '/home', '/caf%C3%A9', '/app/*', '/*']
    }
  ]) {
    const { app } = await dialectServer({ azureMobileServices })
    t.equal((await app.inject('/.auth/me')).statusCode, 401, JSON.stringify(azureMobileServices))
  }
})

t.test('a provider that offers logins by redirect offers both halves of it', async t => {
  const url = () => 'https://own.example/authorize'
  for (const members of [
    { authorizationUrl: url },
    { redeem: async () => ({ subject: '1' }) },
    { authorizationUrl: 'https://own.example', redeem: url }
  ]) {
    t.match(await refusal({ providers: { own: { ...own, ...members } } }), {
      code: 'AUTH_ERR_OPTION_INVALID',
      message: /providers\.own/
    })
  }
})
