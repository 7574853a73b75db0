import type { Route } from 'playwright-core'
import t from 'tap'
import { chromiumMissing } from '../azure/clients/chromium.js'
import { boardOf, choose, flip, press, secondTab, startPage, textOf } from './page.js'
import { curlMissing, paste } from './shell.js'

const grace = 'facebook:10158000000000008'

t.test('the page of the example, by what one reads on it', { skip: chromiumMissing }, async t => {
  const { url, told } = await startPage(t)

  t.test('an app logs in: the token, its claims, what it opens', told(async (t, page) => {
    await press(page, 'Log in as an app does')
    await page.getByText('#1').waitFor()
    const held = await textOf(page, 'What the app holds')
    for (const text of ['Grant of Facebook', grace, 'todo:read', 'level', '#1', url]) t.match(held, text)
    t.match(held, /\b[45]:\d\d left/, 'a countdown')
    t.match(await textOf(page, 'Answers to the login'), /200[^]*POST \/login\/facebook[^]*curl -i http/)
    await page.getByText(`/api/auth answers 200, each second, to ${grace}`).waitFor()

    await press(page, 'Ask all sixteen')
    t.strictSame(await boardOf(page), [
      ['200', '401', '401', '401'],
      ['200', '200', '401', '401'],
      ['200', '401', '200', '403'],
      ['200', '200', '200', '200']
    ])
    await press(page, /\/api\/admin with: Access token/)
    await page.getByRole('region', { name: "The API's answer" }).getByText('AUTH_ERR_LEVEL_INSUFFICIENT').waitFor()
    t.match(await textOf(page, "The API's answer"), /403[^]*WWW-Authenticate[^]*insufficient_scope/)
  }))

  t.test('an administrator may do more; others are told what is wrong', told(async (t, page) => {
    await choose(page, 'Ada')
    await press(page, 'Log in as an app does')
    await page.getByText('#1').waitFor()
    await press(page, 'Ask all sixteen')
    t.strictSame((await boardOf(page))[2], ['200', '401', '200', '200'])

    for (const [name, status, code] of [
      ['Mallory', '403', 'AUTH_ERR_ACCESS_DENIED'],
      ['Expired token', '401', 'AUTH_ERR_GRANT_REJECTED'],
      ['Another app’s token', '401', 'AUTH_ERR_GRANT_REJECTED']
    ] as const) {
      for (const provider of ['Facebook', 'Google', 'Apple', 'Microsoft', 'GitHub']) {
        await choose(page, provider)
        await choose(page, name)
        await press(page, 'Log in as an app does')
        await page.getByText(`Grant of ${provider}`).waitFor()
        const answers = page.getByRole('region', { name: 'Answers to the login' })
        await answers.getByText(`POST /login/${provider.toLowerCase()}`).waitFor()
        await answers.getByText(code).waitFor()
        t.match(await answers.innerText(), status, `${name} at ${provider}`)
      }
    }
  }))

  t.test('by redirect, at every provider', told(async (t, page) => {
    for (const [provider, id] of [
      ['Facebook', grace],
      ['Google', 'google:110169484474386270008'],
      ['Apple', 'apple:001234.5a1b2c3d4e5f60718293a4b5c6d7e808.1234'],
      ['Microsoft', 'microsoft:72f988bf-0000-4000-8000-2d7cd011db47:690222be-ff1a-4d56-abd1-7e4f7d38e408'],
      ['GitHub', 'github:583208']
    ] as const) {
      await choose(page, provider)
      await press(page, 'Log in by redirect')
      await page.getByText(`Grant of ${provider}`).waitFor()
      await page.getByText(`/api/auth answers 200, each second, to ${id}`).waitFor()
      t.match(await textOf(page, 'Answers to the login'), /200[^]*POST \/token[^]*authorization_code/, provider)
      t.equal(page.url(), `${url}/`, 'no code stays in the address')
    }
  }))

  t.test('refresh tokens rotate; a lost answer harms nobody; an old one ends the session', told(async (t, page) => {
    await press(page, 'Log in as an app does')
    await page.getByText('#1').waitFor()
    await press(page, 'Refresh')
    await page.getByText('#2').waitFor()
    await press(page, 'Lose the answer to a refresh')
    await page.getByText('#3').waitFor()
    await page.getByText('lost-answer').or(page.getByText('concurrent')).first().waitFor()
    t.match(await textOf(page, 'What the app holds'), /#1[^]*spent[^]*#2[^]*spent[^]*#3[^]*current/)

    await press(page, 'Send an old refresh token')
    await page.getByText('This session has ended').waitFor()
    t.match(await textOf(page, 'Answers to refreshes'), /400[^]*POST \/token[^]*AUTH_ERR_REFRESH_REUSED/)
    t.match(await textOf(page, 'What the app holds'), /ended: AUTH_ERR_SESSION_REVOKED.*AUTH_ERR_TOKEN_REVOKED/)
    const events = await page.getByRole('log').innerText()
    for (const event of ['session.reused', 'session.ended']) t.match(events, event)
    await page.getByText('Nobody is logged in').waitFor()
  }))

  t.test('sessions: here, the others, everywhere', told(async (t, page) => {
    await choose(page, 'Ada')
    await press(page, 'Log in as an app does')
    await page.getByText('#1').waitFor()
    const second = await secondTab(page)
    await press(page, 'Show my sessions')
    await page.getByText('this tab').waitFor()
    t.match(await textOf(page, 'Where you are logged in'), /200[^]*GET \/sessions/)

    await press(page, 'Log out the others')
    await second.getByText('This session has ended: AUTH_ERR_SESSION_REVOKED').waitFor()
    await page.getByText('/api/auth answers 200').waitFor()
    t.match(await textOf(page, 'Where you are logged in'), /this tab/)

    await press(second, 'Log in as an app does')
    await second.getByText('#1').waitFor()
    await press(page, 'Log out everywhere')
    await page.getByText('You have logged out.').waitFor()
    await second.getByText('This session has ended').waitFor()

    await press(page, 'Log in as an app does')
    await page.getByText('#1').waitFor()
    await press(page, 'Log out here')
    await page.getByText('You have logged out.').waitFor()
    t.match(await textOf(page, 'Answers to logouts'), /200[^]*POST \/revoke/)
  }))

  t.test('who logs out has logged out, whatever is answered to what was on its way', told(async (t, page) => {
    await press(page, 'Log in as an app does')
    await page.getByText('#1').waitFor()
    const late = await new Promise<Route>(resolve => {
      page.route('**/api/auth?*', resolve, { times: 1 }).catch(t.fail)
    })
    await press(page, 'Log out here')
    await page.getByText('You have logged out.').waitFor()

    const [answer] = await Promise.all([page.waitForResponse('**/api/auth?*'), late.continue()])
    t.equal(answer.status(), 401)
    t.match(await answer.json(), { code: 'AUTH_ERR_TOKEN_REVOKED' })
    await page.evaluate(() => new Promise(resolve => { requestAnimationFrame(resolve) }))
    t.ok(await page.getByText('You have logged out.').isVisible())
    t.notOk(await page.getByText('This session has ended').isVisible())
    t.ok(await page.getByText('Nobody is logged in').isVisible())
  }))

  t.test('also where the server has ended the session, and the logout is not answered yet', told(async (t, page) => {
    await press(page, 'Log in as an app does')
    await page.getByText('/api/auth answers 200').waitFor()
    const logout = new Promise<Route>(resolve => { page.route('**/revoke', resolve, { times: 1 }).catch(t.fail) })
    await press(page, 'Log out here')
    const held = await logout
    const response = await held.fetch()
    const refused = await page.waitForResponse(answer => answer.url().includes('/api/auth?') && !answer.ok())
    t.match(await refused.json(), { code: 'AUTH_ERR_TOKEN_REVOKED' })
    await held.fulfill({ response })
    await page.getByText('You have logged out.').waitFor()
    await page.evaluate(() => new Promise(resolve => { requestAnimationFrame(resolve) }))
    t.notOk(await page.getByText('This session has ended').isVisible())
    t.ok(await page.getByText('You have logged out.').isVisible())
  }))

  t.test('an outage of the provider refuses logins, and logs nobody out', told(async (t, page) => {
    await press(page, 'Log in as an app does')
    await page.getByText('/api/auth answers 200').waitFor()
    const tried = page.getByRole('region', { name: 'Answers to the tried login' })

    await flip(page, 'Outage', true)
    await press(page, 'Try a login')
    await tried.getByText('AUTH_ERR_PROVIDER_UNAVAILABLE').waitFor()
    t.match(await tried.innerText(), /503[^]*Retry-After/)
    await page.getByText('provider.unavailable').first().waitFor()
    t.match(await textOf(page, 'What the app holds'), grace)

    await flip(page, 'Outage', false)
    await flip(page, 'Slow answers', true)
    await press(page, 'Try a login')
    await tried.getByText(grace).waitFor()
    await page.getByText('provider.recovered').first().waitFor()
    await flip(page, 'Slow answers', false)

    await choose(page, 'Google')
    await press(page, 'Rotate the keys')
    await press(page, 'Try a login')
    await tried.getByText('google:110169484474386270008').waitFor()
    t.match(await tried.innerText(), '200', 'new keys are fetched')
    await page.getByText('/api/auth answers 200').waitFor()
  }))

  t.test('the commands that it shows do the same', { skip: curlMissing }, told(async (t, page) => {
    await press(page, 'Log in as an app does')
    await page.getByText('#1').waitFor()
    await press(page, /\/api\/auth with: Access token/)
    const lines = []
    for (const region of ['Answers to the login', "The API's answer"]) {
      lines.push(await page.getByRole('region', { name: region }).getByText('curl -i').innerText())
    }
    const [login, api] = await paste(lines)
    t.match(login, /^HTTP\/1\.1 200[^]*access_token/)
    t.match(api, /^HTTP\/1\.1 200[^]*Hello, user/)
  }))

  t.test('by keyboard', told(async (t, page) => {
    const focused = () => page.evaluate('document.activeElement.textContent.trim() || document.activeElement.value')
    // The page asks the server for them when it is there.
    await page.locator('[value=facebook]').waitFor({ state: 'attached' })
    await page.keyboard.press('Tab')
    t.equal(await focused(), 'Skip to the login')
    await page.keyboard.press('Enter')
    for (const [key, expected] of [
      ['Tab', 'facebook'], ['ArrowRight', 'google'], ['Tab', 'user'], ['ArrowDown', 'administrator']
    ]) {
      await page.keyboard.press(key ?? '')
      t.equal(await focused(), expected)
    }
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    // The log of events may tell of the login before its answer is there.
    await page.getByText('#1').waitFor()
    const held = await textOf(page, 'What the app holds')
    for (const text of ['google:110169484474386270007', 'admin']) t.match(held, text)
  }))
})
