import t from 'tap'
import { decodeUtf8, parseJson, parseMembers } from '../src/strict-json.js'

const refused: Array<[string, string]> = [
  ['a member twice', '{"a":1,"a":2}'],
  ['once escaped', '{"a":1,"\\u0061":2}'],
  ['in an object of a list', '[{"b":{"a":1,"a":2}}]'],
  ['beside a colon in a string', '{"a" :1,"b":"\\":","a":2}'],
  ['beside a bracket in a string', '{"x":"{\\"[","x":2}'],
  ['beside an address in a string', '{"a":"x:/","a":1}'],
  ['__proto__ twice', '{"__proto__":1,"__proto__":2}'],
  ['a name that is a digit', '{"1":1,"1":2}'],
  ['lists too deep', `${'['.repeat(65)}${']'.repeat(65)}`],
  ['objects too deep', `${'{"a":'.repeat(65)}1${'}'.repeat(65)}`],
  ['both, mixed', `${'[{"a":'.repeat(33)}1${'}]'.repeat(33)}`],
  ['what is not even JSON, too deep', '['.repeat(100)],
  ['nothing', ''],
  ['an open string', '"'],
  ['a blank before a digit', '1 2'],
  ['a number of sixteen digits, and a letter', '{"a":1234567890123456x}']
]
for (const [name, text] of refused) {
  t.test(`refused: ${name}`, async t => { t.throws(() => parseJson(text), { name: 'SyntaxError' }) })
}

const taken = [
  '[]', '{}', 'null', '"a:b"', '{"a":{"a":[{"a":1},{"a":1}]}}', '{"a":":","b":"\\\\","c":":/"}', '{"":1,"a b" : 2}',
  '{"a":"{[{[","b":"\\"}"}', `${'['.repeat(64)}${']'.repeat(64)}`, `[${'[],'.repeat(100)}1]`, '{"__proto__":{"a":1}}'
]
for (const text of taken) {
  t.test(`taken as JSON.parse takes it: ${text.slice(0, 40)}`, async t => {
    t.strictSame(parseJson(text), { plain: JSON.parse(text), exact: JSON.parse(text) })
  })
}

t.test('the depth may be another', async t => {
  t.throws(() => parseJson('[[[]]]', 2), { name: 'SyntaxError', message: 'nested too deeply' })
  t.strictSame(parseJson('[[[]]]', 3).plain, [[[]]])
})

t.test('of members, only the outermost names are looked at', async t => {
  const deep = `{"a":${'['.repeat(1000)}${']'.repeat(1000)}}`
  for (const text of ['{"a":{"b":1,"b":2},"b":[{"a":1}]}', deep, '{"a":":"}']) {
    t.strictSame(parseMembers(text), JSON.parse(text), text)
  }
  for (const text of ['{"a":{"b":1},"a":1}', '{"a":":","\\u0061":1}', '{"a":"}","a":1}']) {
    t.throws(() => parseMembers(text), { name: 'SyntaxError' }, text)
  }
  for (const text of ['[]', 'null', '"a"', '1']) t.throws(() => parseMembers(text), { name: 'TypeError' }, text)
})

t.test('integers beyond 2^53 keep every digit, and nothing else changes', async t => {
  const text = '{"a":10158000000000000001,"b":[-90071992547409931,9007199254740991,1.5e300,1234567890123456.5],' +
    '"c":"10158000000000000001 \\" 10158000000000000003","10158000000000000001":1}'
  t.strictSame(parseJson(text).exact, {
    a: '10158000000000000001',
    b: ['-90071992547409931', 9007199254740991, 1.5e300, 1234567890123456.5],
    c: '10158000000000000001 " 10158000000000000003',
    '10158000000000000001': 1
  })
  t.strictSame(parseJson(text).plain, JSON.parse(text))
})

t.test('bytes are UTF-8 or nothing', async t => {
  t.equal(decodeUtf8(Buffer.from('\ufeff{"a":"é"}')), '{"a":"é"}')
  for (const bytes of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0x80]]) {
    t.throws(() => decodeUtf8(Uint8Array.from(bytes)), { name: 'TypeError' })
  }
})

// Half a megabyte, the most that is read of a provider; none of these may cost more than a parser has to.
const size = 512 * 1024
const worst: Record<string, string> = {
  'nothing but brackets': '['.repeat(size),
  'brackets that are closed': '['.repeat(size / 2) + ']'.repeat(size / 2),
  'objects in objects': '{"a":'.repeat(size / 5),
  'one string of brackets': `"${'['.repeat(size)}"`,
  'one string of escapes': `["${'\\"'.repeat(size / 2)}",1234567890123456]`,
  'a string that does not end': `${'['.repeat(70)}"${'\\'.repeat(size)}`,
  'blanks after a string': `${'['.repeat(60)}"a"${' '.repeat(size)}`,
  digits: '1'.repeat(size),
  'digits and signs': ' 1-'.repeat(size / 3),
  colons: `"${':'.repeat(size)}"`,
  'many names': `{${Array.from({ length: size / 16 }, (_, i) => `"${i}":1`).join(',')},"1":1}`
}
for (const [name, text] of Object.entries(worst)) {
  t.test(`no blow-up: ${name}`, async t => {
    const before = process.cpuUsage()
    for (const parse of [parseJson, parseMembers]) {
      try { parse(text) } catch { /* refused or not: here only the work counts */ }
    }
    const { user, system } = process.cpuUsage(before)
    t.ok(user + system < 200_000, `${(user + system) / 1000} ms`)
  })
}
