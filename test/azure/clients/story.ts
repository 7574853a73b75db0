/** What an app does with the SDK, as a script of a page; its value is a promise of what it saw. */
export function story (url: string, login: string): string {
  return `(async () => {
    const client = new WindowsAzure.MobileServiceClient(${JSON.stringify(url)})
    const seen = {}
    const status = work => work.then(() => 200, error => error.request ? error.request.status : String(error))
    const apis = async () => {
      const statuses = []
      for (const api of ['everyone', 'app', 'auth', 'admin']) {
        statuses.push(await status(client.invokeApi(api, { method: 'get' })))
      }
      return statuses
    }
    seen.anonymous = await apis()
    seen.refusal = await client.invokeApi('auth', { method: 'get' }).then(() => '', error => error.message)
    seen.wrongLogin = await status(client.login('facebook', { access_token: 'wrong' }))
    const user = ${login}
    seen.userId = user.userId
    seen.hasToken = typeof user.mobileServiceAuthenticationToken === 'string'
    seen.loggedIn = await apis()
    const table = client.getTable('todoitem')
    const one = await table.insert({ text: 'one', complete: false })
    const two = await table.insert({ text: "it's two", complete: true })
    seen.inserted = [one.text, typeof one.id, one.version]
    seen.lookup = (await table.lookup(one.id)).text
    seen.filtered = (await table.where({ complete: true }).read()).map(item => item.text)
    const started = await table.read("$filter=startswith(text,'o') and not (complete eq true)")
    seen.startsWith = started.map(item => item.text)
    const page = await table.orderByDescending('text').skip(0).take(1).select('id', 'text').includeTotalCount().read()
    seen.page = [page.map(item => item.text), page.totalCount]
    const updated = await table.update({ id: one.id, text: 'uno', version: one.version })
    seen.updated = [updated.text, updated.version]
    seen.conflict = await table.update({ id: one.id, text: 'eins', version: one.version }).then(() => null, error =>
      [error.request.status, error.serverInstance && error.serverInstance.text])
    seen.missing = await status(table.lookup('nowhere'))
    await table.del({ id: two.id, version: two.version })
    await table.del({ id: one.id })
    seen.left = (await table.read()).length
    client.currentUser = { mobileServiceAuthenticationToken: 'garbage' }
    seen.garbage = await apis()
    return JSON.stringify(seen)
  })()`
}

/** What every client sees. */
export function expectedOf (userId: string): object {
  return {
    anonymous: [200, 401, 401, 401],
    refusal: 'Error: A credential that this route asks for is missing.',
    wrongLogin: 401,
    userId,
    hasToken: true,
    loggedIn: [200, 401, 200, 401],
    inserted: ['one', 'string', '1'],
    lookup: 'one',
    filtered: ["it's two"],
    startsWith: ['one'],
    page: [['one'], 2],
    updated: ['uno', '2'],
    conflict: [412, 'uno'],
    missing: 404,
    left: 0,
    garbage: [401, 401, 401, 401]
  }
}
