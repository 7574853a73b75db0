import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import t from 'tap'
import { chromiumMissing } from '../azure/clients/chromium.js'
import { flip, press, startPage } from './page.js'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
// Kept by CI, for whoever wants to see what a change looks like.
const screenshots = join(import.meta.dirname, '../../screenshots')

t.test('the page is accessible', { skip: chromiumMissing }, async t => {
  const { told } = await startPage(t)
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [390, 1280]) {
      t.test(`${colorScheme}, ${width} px wide`, told(async (t, page) => {
        await press(page, 'Log in as an app does')
        await page.getByText('#1').waitFor()
        await press(page, 'Refresh')
        await page.getByText('#2').waitFor()
        await press(page, 'Ask all sixteen')
        await press(page, 'Show my sessions')
        await page.getByText('this tab').waitFor()
        t.equal(await page.evaluate('document.documentElement.scrollWidth'), width, 'no scrolling sideways')
        const list = "document.querySelector('#session-list')"
        t.equal(await page.evaluate(`${list}.scrollWidth - ${list}.clientWidth`), 0, 'no session is cut off')
        await page.screenshot({ path: join(screenshots, `page-${width}-${colorScheme}.png`), fullPage: true })
        await flip(page, 'Outage', true)
        await press(page, 'Try a login')
        await page.getByText('AUTH_ERR_PROVIDER_UNAVAILABLE').first().waitFor()
        await flip(page, 'Outage', false)
        t.strictSame(await violationsOf(page), [])
      }, { colorScheme, viewport: { width, height: 900 }, reducedMotion: 'reduce' }))
    }
  }
})

/** What axe finds that is serious or worse. The page lets no script of others run: it is told to by the debugger. */
async function violationsOf (page: Page): Promise<unknown> {
  await page.evaluate(axe)
  return await page.evaluate(`axe.run().then(({ violations }) => violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => [id, ...nodes.map(node => node.html.slice(0, 120) + ' ' + node.failureSummary)]))`)
}
