import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { delimiter, join } from 'node:path'

const root = join(import.meta.dirname, '../..')

/** A program of the documentation in a process of its own. */
export interface Program {
  /** All that it has printed so far. */
  output (): string
  /** Waits until it has printed this. Rejects when it ends before, with what it printed. */
  until (pattern: RegExp): Promise<RegExpExecArray>
  /** Waits for its end; its exit code, null where a signal ended it. */
  ended (): Promise<number | null>
  /** Asks it to end as an operator would, SIGTERM. */
  stop (): Promise<number | null>
  /** Asks it to end as somebody at a terminal would, SIGINT. */
  interrupt (): Promise<number | null>
  /** Ends it and all that it started. */
  kill (): void
}

/** Runs a command of npm's scripts; nothing of the environment of the test reaches it but the path. */
export function run (command: string, env: Record<string, string> = {}, cwd = root): Program {
  const [name = '', ...words] = command.split(' ')
  const path = [join(root, 'node_modules/.bin'), process.env.PATH].join(delimiter)
  const child = spawn(name, words, {
    cwd,
    env: { PATH: path, HOME: process.env.HOME ?? root, ...env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe']
  })
  const closed = once(child, 'close')
  let printed = ''
  const add = (chunk: Buffer): void => { printed += chunk.toString() }
  child.stdout.on('data', add)
  child.stderr.on('data', add)

  async function until (pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(printed)
      if (match !== null) return match
      if (child.exitCode !== null || child.signalCode !== null) {
        throw new Error(`it ended without printing ${pattern}: ${printed}`)
      }
      await Promise.race([once(child.stdout, 'data'), once(child.stderr, 'data'), closed])
    }
  }

  async function ended (): Promise<number | null> {
    await closed
    return child.exitCode
  }

  async function endBy (signal: 'SIGTERM' | 'SIGINT'): Promise<number | null> {
    child.kill(signal)
    return await ended()
  }

  return {
    output: () => printed,
    until,
    ended,
    stop: () => endBy('SIGTERM'),
    interrupt: () => endBy('SIGINT'),
    kill () {
      if (child.pid === undefined) return
      try {
        process.kill(-child.pid, 'SIGKILL')
      } catch { /* the whole group has ended */ }
    }
  }
}
