import { ClientError, createClient, type Client, type ClientStorage } from 'fastify-token-exchange/client'

/** The app's one client. `show` is called with who is logged in: at the start, and whenever that changes. */
export function openClient (url: string, storage: ClientStorage, show: (userId: string | null) => void): Client {
  const client = createClient({ url, storage, clientId: 'web' })
  client.onChange(user => show(user?.userId ?? null))
  return client
}

/** What to tell the user after a login with Google's SDK; null where all is well. */
export async function logIn (client: Client, idToken: string): Promise<string | null> {
  try {
    await client.login('google', { id_token: idToken })
    return null
  } catch (error) {
    if (!(error instanceof ClientError)) throw error
    if (error.code === 'AUTH_ERR_ACCESS_DENIED') return 'You have no account here.'
    if (error.status === 401) return 'Google does not confirm this login.'
    return `Please try again in ${error.retryAfter ?? 10} seconds.`
  }
}

export async function addTodo (client: Client, text: string): Promise<boolean> {
  const answer = await client.fetch('/todos', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ text })
  })
  return answer.ok
}

/** At the start of each page. Answers the address without what the login has put there. */
export async function afterRedirect (client: Client, address: string): Promise<string> {
  const url = new URL(address)
  if (url.searchParams.has('state') && url.searchParams.has('iss')) {
    await client.completeRedirect(address)
    url.search = ''
  }
  return url.href
}

/** What `import * as SecureStore from 'expo-secure-store'` brings, as far as it is needed. */
interface SecureStore {
  getItemAsync (name: string): Promise<string | null>
  setItemAsync (name: string, text: string): Promise<void>
  deleteItemAsync (name: string): Promise<void>
}

export function secureStorage (store: SecureStore): ClientStorage {
  return {
    get: name => store.getItemAsync(name),
    set: (name, text) => store.setItemAsync(name, text),
    remove: name => store.deleteItemAsync(name)
  }
}
