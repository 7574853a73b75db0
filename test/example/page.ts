import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import type { Test } from 'tap'
import { startChromium } from '../azure/clients/chromium.js'
import { run } from './program.js'

const { scripts } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'))

type Story = (t: Test, page: Page) => Promise<void>

/** The example in a process of its own, and a browser. */
export async function startPage (
  t: Test
): Promise<{ url: string, told (story: Story, options?: BrowserContextOptions): (t: Test) => Promise<void> }> {
  const program = run(scripts.start, { PORT: '0' })
  t.teardown(() => program.kill())
  const [, url = ''] = await program.until(/^Open (\S+)\n/)
  const browser = await startChromium()
  t.teardown(() => browser.close())
  return { url, told: (story, options = {}) => t => tell(t, browser, { url, story, options }) }
}

/** Opens the page for a story; at its end the console holds no error. */
async function tell (
  t: Test,
  browser: Browser,
  { url, story, options }: { url: string, story: Story, options: BrowserContextOptions }
): Promise<void> {
  const context = await browser.newContext(options)
  t.teardown(() => context.close())
  context.setDefaultTimeout(15_000)
  const complaints: string[] = []
  context.on('weberror', error => complaints.push(error.error().message))
  context.on('console', message => {
    // Chromium says so of each answer that is a refusal.
    const isRefusal = message.text().startsWith('Failed to load resource: the server responded with a status of')
    if (message.type() === 'error' && !isRefusal) complaints.push(message.text())
  })
  const page = await context.newPage()
  await page.goto(url)
  await story(t, page)
  t.strictSame(complaints, [], 'the console holds no error')
}

export async function press (page: Page, name: string | RegExp): Promise<void> {
  await page.getByRole('button', { name, exact: true }).click()
}

export async function choose (page: Page, name: string): Promise<void> {
  await page.getByText(name, { exact: true }).click()
}

export async function flip (page: Page, name: string, isOn: boolean): Promise<void> {
  await page.getByRole('switch', { name }).click()
  await page.getByRole('switch', { name, checked: isOn }).waitFor()
}

/** What one reads in a region, by its heading or label. */
export async function textOf (page: Page, name: string): Promise<string> {
  return await page.getByRole('region', { name, exact: true }).innerText()
}

export async function boardOf (page: Page): Promise<string[][]> {
  await page.getByRole('button', { name: /^200: \/api\/admin with: Master key/ }).waitFor()
  const table = page.getByRole('table', { name: 'What opens' })
  const rows = await table.getByRole('row').all()
  return await Promise.all(rows.slice(1).map(async row => await row.getByRole('button').allInnerTexts()))
}

export async function secondTab (page: Page): Promise<Page> {
  const opened = page.context().waitForEvent('page')
  await page.getByRole('link', { name: 'Log in in a second tab' }).click()
  const second = await opened
  await second.getByText('#1').waitFor()
  return second
}
