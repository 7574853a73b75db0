import { JSDOM, VirtualConsole } from 'jsdom'
import t from 'tap'
import { startExample } from './example.js'
import { bundleSdk, cordovaSdk } from './sdk.js'
import { expectedOf, story } from './story.js'

const origin = 'http://app.example'

t.test('clients from npm log in, call the four APIs and use the table', async t => {
  const example = await startExample([origin])
  t.teardown(() => example.close())
  for (const [name, script] of [
    ['azure-mobile-apps-client', bundleSdk()],
    ['cordova-plugin-ms-azure-mobile-apps', await cordovaSdk()]
  ] as const) {
    // The console would print each refused request.
    const { window } = new JSDOM('<!DOCTYPE html>', {
      url: `${origin}/`,
      runScripts: 'outside-only',
      virtualConsole: new VirtualConsole()
    })
    window.eval(script)
    const login = `await client.login('facebook', { access_token: ${JSON.stringify(example.facebookToken)} })`
    const seen: unknown = JSON.parse(String(await window.eval(story(example.url, login))))
    t.match(seen, expectedOf('facebook:10158000000000008'), name)
    window.close()
  }
})
