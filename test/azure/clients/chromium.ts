import { existsSync } from 'node:fs'
import { chromium, type Browser } from 'playwright-core'

const executablePath = '/usr/bin/chromium'
const args = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync'
]

/** False, or why a suite is skipped. With REQUIRE_SERVERS nothing may be: then what is missing fails its test. */
export const chromiumMissing =
  process.env.REQUIRE_SERVERS === undefined &&
  !existsSync(executablePath) &&
  'chromium is not installed (apt-get install chromium)'

export async function startChromium (): Promise<Browser> {
  return await chromium.launch({ executablePath, args, headless: true })
}
