import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createRequire, isBuiltin } from 'node:module'

const require = createRequire(import.meta.url)

/** What the SDK's dependencies ask of Node; its own build took browserify's copies of these modules. */
const builtins: Readonly<Record<string, string>> = {
  util: `
    exports.inherits = function (child, parent) {
      child.super_ = parent
      Object.setPrototypeOf(child.prototype, parent.prototype)
    }
    exports.format = function (text) {
      var values = [].slice.call(arguments, 1)
      return String(text).replace(/%[sdj]/g, function () { return values.shift() })
    }`,
  assert: 'module.exports = function () {}; module.exports.ok = module.exports.equal = module.exports',
  stream: 'exports.Stream = function Stream () {}',
  buffer: 'exports.Buffer = { isBuffer: function () { return false } }'
}

/**
 * `azure-mobile-apps-client` from npm as a script of a page: it defines `WindowsAzure`. Every module stays as it is
 * written, in a function of its own, as browserify had it: the SDK reads the names of its functions from their source,
 * and bundlers of today rename them.
 */
export function bundleSdk (): string {
  const modules = new Map<string, string>()
  const entry = add(require.resolve('azure-mobile-apps-client'))

  function add (id: string): string {
    if (modules.has(id)) return id
    modules.set(id, '')
    const source = builtins[id] ?? readFileSync(id, 'utf8').replace(/^\uFEFF/, '')
    modules.set(
      id,
      id.endsWith('.json')
        ? `module.exports = ${source}`
        : source.replace(
          /\brequire\((['"])([^'"]+)\1\)/g,
          (_whole, _quote, name: string) => `require(${JSON.stringify(resolve(name, id))})`
        )
    )
    return id
  }

  function resolve (name: string, from: string): string {
    // Who asks for another module of Node does so in a `try`.
    if (isBuiltin(name)) return name in builtins ? add(name) : name
    return add(createRequire(from).resolve(name))
  }

  const table = Array.from(
    modules,
    ([id, source]) =>
      `${JSON.stringify(id)}: function (module, exports, require, global, process, Buffer) {${source}\n}`
  )
  return `var WindowsAzure = (function (modules) {
    var loaded = {}, process = { env: {} }, Buffer = { isBuffer: function () { return false } }
    function require (id) {
      if (!(id in modules)) throw new Error('Cannot find module ' + id)
      if (!loaded[id]) {
        var module = loaded[id] = { exports: {} }
        modules[id].call(window, module, module.exports, require, window, process, Buffer)
      }
      return loaded[id].exports
    }
    return require(${JSON.stringify(entry)})
  })({${table.join(',\n')}})`
}

/** The SDK as the Cordova plugin of npm ships it. */
export async function cordovaSdk (): Promise<string> {
  return await readFile(require.resolve('cordova-plugin-ms-azure-mobile-apps/www/MobileServices.Cordova.js'), 'utf8')
}
