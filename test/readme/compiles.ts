import type { Test } from 'tap'
import { run } from '../example/program.js'

/** The strict compiler has nothing to say of the files of a workshop. */
export async function compiles (t: Test, directory: string): Promise<void> {
  const compiling = run('tsc --noEmit', {}, directory)
  t.teardown(() => compiling.kill())
  t.equal(await compiling.ended(), 0, 'compiles')
  t.equal(compiling.output(), '')
}
