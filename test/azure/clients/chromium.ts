import { accessSync } from 'node:fs'
import { chromium, type Browser } from 'playwright-core'

const executablePath = '/usr/bin/chromium'
const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

/** Why a suite is skipped; false where there is Debian's Chromium. */
export const chromiumMissing: string | false = (() => {
  try {
    accessSync(executablePath)
    return false
  } catch {
    return 'chromium is not installed (apt-get install chromium)'
  }
})()

export async function startChromium (): Promise<Browser> {
  return await chromium.launch({ executablePath, args, headless: true })
}
