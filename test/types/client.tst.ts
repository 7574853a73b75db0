import { describe, expect, test } from 'tstyche'
import {
  createClient, memoryStorage, webStorage, type Client, type ClientError, type ClientStorage, type ClientUser
} from '../../src/client/index.js'

const client = createClient({ url: 'https://api.example.com' })

describe('createClient', () => {
  test('takes these options, and no others', () => {
    expect(createClient).type.toBeCallableWith({
      url: 'https://api.example.com', clientId: 'web', storage: memoryStorage(), dpop: true, fetch
    })
    expect(createClient).type.not.toBeCallableWith({})
    expect(createClient).type.not.toBeCallableWith({ url: 'https://api.example.com', token: '' })
  })

  test('takes a storage that answers at once, or by promises', () => {
    expect<{ get: () => Promise<string | null>, set: () => Promise<void>, remove: () => Promise<void> }>()
      .type.toBeAssignableTo<ClientStorage>()
    expect(webStorage).type.toBeCallableWith({ getItem: () => null, setItem: () => {}, removeItem: () => {} })
  })
})

describe('a client', () => {
  test('knows its user', () => {
    expect(client).type.toBe<Client>()
    expect(client.user).type.toBe<ClientUser | null>()
    expect(client.ready).type.toBe<Promise<void>>()
    expect<ClientUser['level']>().type.toBe<'authenticated' | 'admin'>()
    expect<ClientUser['permissions']>().type.toBe<readonly string[]>()
  })

  test('has a fetch that is one', () => {
    expect(client.fetch).type.toBe<typeof fetch>()
  })

  test('logs out from one of three', () => {
    expect(client.logout).type.toBeCallableWith()
    expect(client.logout).type.toBeCallableWith({ scope: 'others' })
    expect(client.logout).type.not.toBeCallableWith({ scope: 'none' })
  })

  test('throws errors with a code', () => {
    expect<ClientError['code']>().type.toBe<string>()
    expect<ClientError['status']>().type.toBe<number>()
    expect<ClientError['retryAfter']>().type.toBe<number | null>()
  })
})
