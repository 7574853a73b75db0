import type { Test } from 'tap'
import { createClient, type Client, type ClientOptions } from '../../src/client/index.js'
import { clientServer, type ClientServer } from './server.js'

/** A client in which the user `facebook:1` is logged in, and what it has told about users since. */
export interface LoggedIn { server: ClientServer, client: Client, told: (string | null)[] }

export async function loggedIn (
  t: Test,
  options: Partial<ClientOptions> = {},
  server?: ClientServer
): Promise<LoggedIn> {
  server ??= await clientServer(t)
  const { client, told } = openClient({ url: server.url, ...options })
  await logIn(server, client)
  return { server, client, told }
}

export function openClient (options: ClientOptions): Pick<LoggedIn, 'client' | 'told'> {
  const client = createClient(options)
  const told: (string | null)[] = []
  client.onChange(user => told.push(user?.userId ?? null))
  return { client, told }
}

export async function logIn ({ idp }: ClientServer, client: Client, id = '1'): Promise<void> {
  await client.login('facebook', { access_token: idp.facebook.accessToken({ id }) })
}
