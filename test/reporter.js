import { PassThrough, Writable } from 'node:stream'
import { inspect } from 'node:util'
import { Parser } from 'tap-parser'

// What of a failure's diagnostics is printed, in this order. The source is at hand.
const details = ['message', 'error', 'code', 'at', 'diff', 'found', 'wanted', 'stack', 'signal', 'exitCode', 'timeout']

/**
 * Reports a run of tap in as little as it takes: a sign for each file, each failure in full, what was skipped, and a
 * last line `N passed, N failed` (and `, N skipped`), which counts tests: subtests that hold no further ones.
 */
export default class ShortReporter extends Writable {
  #out = new PassThrough()
  #parser = new Parser()
  #passed = 0
  #failures = []
  #skipped = []
  #files = 0
  #failuresBefore = 0
  #since = Date.now()

  constructor () {
    super()
    this.#parser.on('extra', text => this.#out.write(text))
    this.#parser.on('child', file => this.#file(file))
    this.#parser.on('assert', result => this.#closeFile(result))
    this.#parser.on('bailout', reason => this.#fail([], { name: `bail out: ${reason}` }))
  }

  pipe (destination) {
    return this.#out.pipe(destination)
  }

  _write (chunk, _encoding, done) {
    this.#parser.write(chunk)
    done()
  }

  _final (done) {
    this.#parser.end()
    this.#out.end(this.#summary())
    done()
  }

  #file (file) {
    this.#files++
    this.#failuresBefore = this.#failures.length
    this.#test(file, [])
  }

  // A file may fail as a whole, its tests all having passed: by its exit code, or because it took too long.
  #closeFile (result) {
    const isNew = this.#failures.length === this.#failuresBefore
    if (!result.ok && isNew) this.#fail([], result)
    if (result.skip) this.#skip([], result)
    this.#out.write(result.ok ? '.' : 'F')
  }

  #test (test, path) {
    const names = [...path, test.name]
    const failures = []
    let subtests = 0
    test.on('extra', text => this.#out.write(text))
    test.on('child', child => {
      subtests++
      this.#test(child, names)
    })
    test.on('assert', result => {
      if (result.skip) this.#skip(names, result)
      else if (!result.ok && !result.todo && !result.closingTestPoint) failures.push(result)
    })
    test.on('complete', results => {
      for (const failure of failures) this.#fail(names, failure)
      if (subtests === 0 && results.ok) this.#passed++
      if (subtests === 0 && !results.ok && failures.length === 0) this.#fail(path, { name: test.name })
    })
  }

  #skip (path, { name, skip }) {
    this.#skipped.push(`${[...path, name].join(' > ')}${skip === true ? '' : `: ${skip}`}`)
  }

  #fail (path, { name, diag }) {
    const given = details.filter(detail => diag?.[detail] != null)
    const lines = given.map(detail => indent(textOf(detail, diag[detail])))
    this.#failures.push({ test: path.join(' > '), text: [[...path, name].join(' > '), ...lines].join('\n') })
  }

  #summary () {
    const failed = new Set(this.#failures.map(({ test, text }) => test === '' ? text : test)).size
    const counts = [`${this.#passed} passed`, `${failed} failed`]
    if (this.#skipped.length > 0) counts.push(`${this.#skipped.length} skipped`)
    const seconds = Math.round((Date.now() - this.#since) / 1000)
    return [
      '',
      ...this.#failures.map(({ text }, index) => `\nFailure ${index + 1}: ${text}`),
      ...this.#skipped.map(text => `Skipped: ${text}`),
      '',
      `${this.#files} files in ${seconds} s`,
      counts.join(', '),
      ''
    ].join('\n')
  }
}

function textOf (detail, value) {
  if (detail === 'at' && value.fileName) return `at ${value.fileName}:${value.lineNumber}:${value.columnNumber}`
  const text = typeof value === 'string' ? value.trimEnd() : inspect(value, { depth: 8 })
  return text.includes('\n') ? `${detail}:\n${indent(text)}` : `${detail}: ${text}`
}

function indent (text) {
  return text.replaceAll(/^(?=.)/gm, '  ')
}
