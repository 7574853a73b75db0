import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { defineConfig } from 'tsup'
import ts from 'typescript'

const entries = [
  'index', 'applications/index', 'client/index', 'providers/index', 'sessions/stores/index', 'telemetry/index',
  'testing/index'
]

export default defineConfig({
  entry: Object.fromEntries(entries.map(entry => [entry, `src/${entry}.ts`])),
  format: ['esm', 'cjs'],
  target: 'node20',
  clean: true,
  dts: false,
  // Names and lines stay, for stack traces; only what JavaScript can say more shortly is shortened.
  esbuildOptions (options) { options.minifySyntax = true },
  onSuccess: writeTypes
})

// Declarations come from tsc, file by file: a bundler of declarations turns interfaces into aliases,
// and an application could no longer merge its own members into TokenExchangeTypes.
async function writeTypes (): Promise<void> {
  const { status } = spawnSync('npx', ['tsc', '-p', 'tsconfig.build.json'], { stdio: 'inherit' })
  if (status !== 0) throw new Error('tsc could not emit the declarations')
  removeUnreachable()
  for (const entry of entries) writeFileSync(`dist/${entry}.d.cts`, typesOfCommonJs(entry))
}

/**
 * Most of the rooms are nobody's business outside: only declarations that an entry names, however indirectly, are
 * published. Augmentations of others' modules are always kept.
 */
function removeUnreachable (): void {
  const kept = new Set<ts.Node>()
  const asked = new Set<string>()

  function need (path: string, name: string): void {
    if (asked.has(`${path} ${name}`)) return
    asked.add(`${path} ${name}`)
    for (const statement of statementsOf(path)) {
      const found = specifiersOf(statement).find(specifier => specifier.name.text === name)
      if (found !== undefined) {
        kept.add(statement).add(found)
        need(targetOf(path, statement), (found.propertyName ?? found.name).text)
      } else if (namesOf(statement).includes(name)) keep(path, statement)
    }
  }

  function keep (path: string, node: ts.Node): void {
    if (ts.isStatement(node)) kept.add(node)
    if (ts.isIdentifier(node)) need(path, node.text)
    node.forEachChild(child => keep(path, child))
  }

  const all = readdirSync('dist', { recursive: true, encoding: 'utf8' })
    .map(path => join('dist', path)).filter(path => path.endsWith('.d.ts'))
  for (const path of all) statementsOf(path).filter(ts.isModuleDeclaration).forEach(statement => keep(path, statement))
  for (const path of entries.map(entry => join('dist', `${entry}.d.ts`))) {
    for (const statement of statementsOf(path)) {
      for (const { name } of specifiersOf(statement)) if (ts.isExportDeclaration(statement)) need(path, name.text)
      const isStar = ts.isExportDeclaration(statement) && statement.exportClause === undefined
      if (isStar) for (const one of statementsOf(targetOf(path, statement))) keep(targetOf(path, statement), one)
      if (!ts.isImportDeclaration(statement)) keep(path, statement)
    }
  }
  for (const path of all) {
    const lines = statementsOf(path).filter(statement => kept.has(statement)).map(statement => textOf(statement, kept))
    if (lines.length === 0) rmSync(path)
    else writeFileSync(path, `${lines.join('').trim()}\n`)
  }
}

const sources = new Map<string, ts.SourceFile>()

function statementsOf (path: string): readonly ts.Statement[] {
  if (!existsSync(path)) return []
  const source = sources.get(path) ??
    ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true)
  sources.set(path, source)
  return source.statements
}

function specifiersOf (statement: ts.Statement): ReadonlyArray<ts.ImportSpecifier | ts.ExportSpecifier> {
  if (ts.isExportDeclaration(statement)) {
    const { exportClause } = statement
    return exportClause !== undefined && ts.isNamedExports(exportClause) ? exportClause.elements : []
  }
  const bindings = ts.isImportDeclaration(statement) ? statement.importClause?.namedBindings : undefined
  return bindings !== undefined && ts.isNamedImports(bindings) ? bindings.elements : []
}

/** The file that a statement imports from; itself where it exports what it has, nobody's where that is a package. */
function targetOf (path: string, statement: ts.Statement): string {
  const isModule = ts.isImportDeclaration(statement) || ts.isExportDeclaration(statement)
  const specifier = isModule ? statement.moduleSpecifier : undefined
  if (specifier === undefined || !ts.isStringLiteral(specifier)) return path
  return specifier.text.startsWith('.') ? join(dirname(path), specifier.text.replace(/\.js$/, '.d.ts')) : ''
}

function namesOf (statement: ts.Statement): string[] {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map(({ name }) => name.getText())
  }
  if (ts.isImportDeclaration(statement)) {
    const { name, namedBindings } = statement.importClause ?? {}
    const whole = namedBindings !== undefined && ts.isNamespaceImport(namedBindings) ? namedBindings.name : undefined
    return [name, whole].flatMap(binding => binding?.text ?? [])
  }
  const isNamed = ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement) ||
    ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)
  return isNamed && statement.name !== undefined ? [statement.name.text] : []
}

/** With those of its specifiers that are needed. */
function textOf (statement: ts.Statement, kept: ReadonlySet<ts.Node>): string {
  const specifiers = specifiersOf(statement)
  if (specifiers.length === 0) return statement.getFullText()
  const needed = specifiers.filter(specifier => kept.has(specifier)).map(specifier => specifier.getText())
  return statement.getFullText().replace(/\{[^}]*\}/, `{ ${needed.join(', ')} }`)
}

/**
 * The types of what `require` answers: those of the ES module, by reference. With declarations of their own, a program
 * of both kinds of modules would augment Fastify's interfaces twice, and TypeScript refuses that.
 */
function typesOfCommonJs (entry: string): string {
  const module = `'./${entry.split('/').at(-1)}.js' with { 'resolution-mode': 'import' }`
  const values = Object.keys(createRequire(import.meta.url)(resolve(`dist/${entry}.cjs`)))
  const declarations = values.map(name => name === 'default'
    ? 'declare const main: typeof esm.default\nexport { main as default }'
    : `export declare const ${name}: typeof esm.${name}`)
  return `import type * as esm from ${module}\nexport type * from ${module}\n${declarations.join('\n')}\n`
}
