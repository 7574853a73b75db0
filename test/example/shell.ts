import { execFile, execFileSync } from 'node:child_process'
import { promisify } from 'node:util'

const separator = '@@@'

/** False, or why tests that paste commands are skipped. */
export const curlMissing = isMissing('curl', '--version') && 'curl is not installed'
export const opensslMissing = isMissing('openssl', 'version') && 'openssl is not installed'

/** Pastes lines into one shell, in order: what each of them printed. */
export async function paste (
  lines: readonly string[],
  env: Record<string, string> = {},
  cwd = process.cwd()
): Promise<string[]> {
  const script = lines.map(line => `${line}\necho '${separator}'`).join('\n')
  const { stdout } = await promisify(execFile)('sh', ['-c', script], {
    cwd,
    env: { PATH: process.env.PATH, no_proxy: '*', ...env }
  })
  return stdout
    .split(`${separator}\n`)
    .slice(0, -1)
    .map(printed => printed.trim())
}

// REQUIRE_SERVERS: nothing may be skipped; then what is missing fails its test.
function isMissing (command: string, question: string): boolean {
  if (process.env.REQUIRE_SERVERS !== undefined) return false
  try {
    execFileSync(command, [question], { stdio: 'ignore' })
    return false
  } catch {
    return true
  }
}
