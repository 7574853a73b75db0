import neostandard, { plugins } from 'neostandard'
import rooms from './eslint.rooms.js'

// tap answers a promise for each subtest, and waits for it itself.
const subtests = [{ from: 'package', package: '@tapjs/core', name: ['PromiseWithSubtest'] }]

export default [
  ...neostandard({ ts: true, ignores: ['dist/**', 'node_modules/**', '.tap/**', 'coverage/**'] }),
  {
    plugins: { '@stylistic': plugins['@stylistic'] },
    rules: { '@stylistic/max-len': ['error', { code: 120 }] }
  },
  {
    files: ['{src,test,bench,example}/**/*.ts'],
    // They belong to no program here: the applications that compile them have settings of their own.
    ignores: ['test/package/programs/**'],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/no-floating-promises': ['error', { allowForKnownSafePromises: subtests }],
      '@typescript-eslint/no-misused-promises': 'error',
      // Constants are written as everything else is; what another program has named (process.env) keeps its name.
      '@typescript-eslint/naming-convention': ['error',
        { selector: 'variable', modifiers: ['destructured'], format: null },
        { selector: 'variable', format: null, custom: { regex: '^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$', match: false } }
      ]
    }
  },
  {
    files: ['src/**/*.ts'],
    plugins: { rooms },
    rules: {
      'rooms/imports': 'error',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/consistent-type-assertions': ['error', { assertionStyle: 'never' }]
    }
  }
]
