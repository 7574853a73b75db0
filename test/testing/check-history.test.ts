import t from 'tap'
import { checkHistory, type History, type Operation } from '../../src/testing/index.js'

/** One that is sent at `sentAt` to the server `a` and done 10 ms later, unless it says otherwise. */
const sent = (sentAt: number, different: object = {}) =>
  ({ server: 'a', sentAt, answeredAt: sentAt + 10, outcome: 'done', ...different }) as const

const tokens = (name: string) => ({ accessToken: `access ${name}`, refreshToken: `refresh ${name}` })

const login = (sentAt: number, name: string, different = {}): Operation =>
  ({ kind: 'login', user: 'ada', identity: 'google 1', tokens: tokens(name), ...sent(sentAt, different) })
const refresh = (sentAt: number, from: string, to: string, different = {}): Operation =>
  ({ kind: 'refresh', refreshToken: `refresh ${from}`, tokens: tokens(to), ...sent(sentAt, different) })
const call = (sentAt: number, name: string, different = {}): Operation =>
  ({ kind: 'call', accessToken: `access ${name}`, ...sent(sentAt, different) })
const logout = (sentAt: number, name: string, scope: 'this' | 'others' | 'all' = 'this', different = {}): Operation =>
  ({ kind: 'logout', accessToken: `access ${name}`, scope, ...sent(sentAt, different) })
const revoke = (sentAt: number, name: string, different = {}): Operation =>
  ({ kind: 'revoke', refreshToken: `refresh ${name}`, ...sent(sentAt, different) })
const revokeUser = (sentAt: number, user: string, different = {}): Operation =>
  ({ kind: 'revokeUser', user, ...sent(sentAt, different) })
const revokeIdentity = (sentAt: number, identity: string, different = {}): Operation =>
  ({ kind: 'revokeIdentity', identity, ...sent(sentAt, different) })

const onB = { server: 'b' }
const refused = { outcome: 'refused', tokens: undefined }
const unavailable = { outcome: 'unavailable', tokens: undefined }
const lost = { outcome: 'lost', tokens: undefined }

type Rows = Record<string, readonly Operation[] | History>

const explained: Rows = {
  'no operation': [],
  'a login, refreshes on both servers, a logout, and refusals after it': [
    login(0, '0'), refresh(20, '0', '1'), call(40, '1', onB), refresh(60, '1', '2', onB), call(80, '0'),
    logout(100, '2'), call(111, '2', refused), refresh(2000, '2', '3', { ...onB, ...refused })
  ],
  'concurrent refreshes, one of which is answered late': [
    login(0, '0'), refresh(20, '0', '1', { answeredAt: 900 }), refresh(30, '0', '1', onB), call(50, '1'),
    refresh(1000, '1', '2', onB)
  ],
  'a lost answer: the token comes again, a day later, on the other server': [
    login(0, '0'), refresh(20, '0', '1', lost), refresh(86_400_000, '0', '1', onB), refresh(86_400_020, '1', '2')
  ],
  'a lost answer that came late, so that the token was taken for a theft': [
    login(0, '0'), refresh(20, '0', '1', lost), refresh(40, '0', '1', onB), refresh(60, '1', '2', onB),
    refresh(100, '2', '3', { ...onB, ...refused })
  ],
  'an outage in which nothing is answered but 503': [
    login(0, '0'), refresh(20, '0', '1', unavailable), logout(40, '0', 'all', unavailable), refresh(60, '0', '1'),
    call(80, '1')
  ],
  'a logout that was answered 503, and happened when the store was back': [
    login(0, '0'), logout(20, '0', 'this', unavailable), call(40, '0'), refresh(60, '0', '1', { ...onB, ...refused })
  ],
  'a logout that was not answered, and did not happen': [login(0, '0'), logout(20, '0', 'this', lost), call(5000, '0')],
  'a revocation that another server hears of within a second': [
    login(0, '0'), revokeUser(20, 'ada'), call(1000, '0', onB), call(1031, '0', { ...onB, ...refused })
  ],
  'one that a server behind a partition hears of a second after its end': {
    operations: [
      login(0, '0'), revokeUser(20, 'ada'), call(5900, '0', onB), call(6001, '0', { ...onB, ...refused })
    ],
    outages: [
      { server: 'b', beganAt: 1000, endedAt: 3000 },
      { server: null, beganAt: 3500, endedAt: 5000 },
      { server: 'c', beganAt: 0, endedAt: 99_000 }
    ]
  },
  'a logout of the others, and of all': [
    login(0, '0'), login(0, 'x'), logout(20, '0', 'others'), call(40, 'x'), call(41, 'x', refused), call(41, '0'),
    login(60, 'y'), logout(80, '0', 'all'), call(100, 'y', refused), call(100, '0', refused)
  ],
  'a revocation ends what began before it, whatever has begun since': [
    login(0, '0'), revokeUser(20, 'ada'), revokeIdentity(40, 'google 2'), login(60, '1'), call(80, '0', refused),
    call(5000, '1')
  ],
  'a login while its user, or its identity, is revoked: refused or not': [
    login(0, '', { ...refused, answeredAt: 50 }), revokeUser(20, 'ada', { ...onB, answeredAt: 90 }), login(40, '1'),
    call(3000, '1'), login(4000, '', { ...refused, answeredAt: 4100 }), revokeIdentity(4020, 'google 1')
  ],
  'a theft': [
    login(0, '0'), refresh(20, '0', '1'), refresh(40, '1', '2'), refresh(60, '0', '', { ...onB, ...refused }),
    refresh(80, '2', '', refused), call(100, '2', onB), call(1200, '2', { ...onB, ...refused })
  ],
  'a predecessor that comes after the retry window': {
    operations: [
      login(0, '0'), refresh(20, '0', '1'), call(40, '1'), refresh(10_100, '0', '', refused),
      refresh(10_200, '1', '', refused)
    ],
    retryWindow: 10
  },
  'an access token that has expired': {
    operations: [login(0, '0'), call(60_000, '0', refused), refresh(60_020, '0', '1'), call(70_000, '1')],
    accessTokenLifetime: 60
  },
  'RFC 7009: each token of the session, also when it has ended': [
    login(0, '0'), refresh(20, '0', '1'), revoke(40, '0'), revoke(2000, '1', onB), refresh(60, '1', '', refused)
  ]
}

const unexplained: Record<string, { history: readonly Operation[] | History, violations: readonly string[] }> = {
  'two successors of one token': {
    history: [login(0, '0'), refresh(20, '0', '1'), refresh(20, '0', '1b', onB)],
    violations: ['operation 1 (refresh on a) and operation 2 (refresh on b) gave one refresh token two successors.']
  },
  'another successor when a lost answer is asked for again': {
    history: [login(0, '0'), refresh(20, '0', '1'), refresh(86_400_000, '0', '1b')],
    violations: ['operation 1 (refresh on a) and operation 2 (refresh on a) gave one refresh token two successors.']
  },
  'a token that is its own successor, and one of two logins': {
    history: [login(0, '0'), refresh(20, '0', '0'), login(40, '0')],
    violations: [
      'operation 1 (refresh on a) gave a token that operation 0 (login on a) had given as another.',
      'operation 2 (login on a) gave a token that operation 0 (login on a) had given as another.'
    ]
  },
  'a token that nobody was given, or not yet': {
    history: [login(50, '0'), call(20, '0'), refresh(60, 'forged', '1')],
    violations: [
      'operation 1 (call on a) presents a token that no operation before it had given.',
      'operation 2 (refresh on a) presents a token that no operation before it had given.'
    ]
  },
  'an answer without tokens': {
    history: [login(0, '0', { tokens: undefined })],
    violations: ['operation 0 (login on a) was answered without tokens.']
  },
  'a call after the logout on the same server': {
    history: [login(0, '0'), logout(20, '0'), call(31, '0')],
    violations: ['operation 2 (call on a) was accepted, sent 1 ms after operation 1 (logout on a) had been answered.']
  },
  'a call and a refresh more than a second later on another': {
    history: [login(0, '0'), revokeUser(20, 'ada'), call(1031, '0', onB), refresh(1500, '0', '1', onB)],
    violations: [
      'operation 2 (call on b) was accepted, sent 1001 ms after operation 1 (revokeUser on a) had been answered.',
      'operation 3 (refresh on b) was accepted, sent 1470 ms after operation 1 (revokeUser on a) had been answered.'
    ]
  },
  'a logout by a token that is not good any more': {
    history: [login(0, '0'), revokeIdentity(20, 'google 1'), logout(40, '0')],
    violations: [
      'operation 2 (logout on a) was accepted, sent 10 ms after operation 1 (revokeIdentity on a) had been answered.'
    ]
  },
  'a call more than a second after a partition, and outages that are no excuse': {
    history: {
      operations: [login(0, '0'), revoke(20, '0'), call(4001, '0', onB)],
      outages: [
        { server: 'b', beganAt: 0, endedAt: 3000 }, { server: 'c', beganAt: 0, endedAt: 9000 },
        { server: 'b', beganAt: 4000.5, endedAt: 9000 }
      ]
    },
    violations: [
      'operation 2 (call on b) was accepted, sent 3971 ms after operation 1 (revoke on a) had been answered.'
    ]
  },
  'a server that hears later than it should': {
    history: { operations: [login(0, '0'), revoke(20, '0'), call(900, '0', onB)], heardWithin: 0.5 },
    violations: ['operation 2 (call on b) was accepted, sent 870 ms after operation 1 (revoke on a) had been answered.']
  },
  'an end that came, and went again': {
    history: [
      login(0, '0'), logout(20, '0', 'this', lost), refresh(40, '0', '', { ...onB, ...refused }), call(1051, '0')
    ],
    violations: [
      'operation 3 (call on a) was accepted after operation 2 (refresh on b) had been refused.'
    ]
  },
  'a refresh that is refused without a reason': {
    history: [login(0, '0'), refresh(20, '0', '', refused)],
    violations: ['operation 1 (refresh on a) was refused: nothing had ended the session of operation 0 (login on a).']
  },
  'one that is refused before the theft': {
    history: [
      login(0, '0'), refresh(20, '0', '1'), refresh(40, '1', '2'), call(60, '2', refused), refresh(80, '0', '', refused)
    ],
    violations: ['operation 3 (call on a) was refused: nothing had ended the session of operation 0 (login on a).']
  },
  'one for which a refusal without a reason is none': {
    history: [login(0, '0'), refresh(20, '0', '1'), refresh(40, '1', '', refused), refresh(60, '0', '', refused)],
    violations: [
      'operation 2 (refresh on a) was refused: nothing had ended the session of operation 0 (login on a).',
      'operation 3 (refresh on a) was refused: nothing had ended the session of operation 0 (login on a).'
    ]
  },
  'a refresh that is refused when the access token has expired': {
    history: { operations: [login(0, '0'), refresh(90_000, '0', '', refused)], accessTokenLifetime: 60 },
    violations: ['operation 1 (refresh on a) was refused: nothing had ended the session of operation 0 (login on a).']
  },
  'a lost answer that is not yielded again': {
    history: [login(0, '0'), refresh(20, '0', '', unavailable), refresh(40, '0', '', { ...onB, ...refused })],
    violations: ['operation 2 (refresh on b) was refused: nothing had ended the session of operation 0 (login on a).']
  },
  'a predecessor that is refused within the retry window': {
    history: [login(0, '0'), refresh(20, '0', '1'), call(40, '1'), refresh(29_000, '0', '', refused)],
    violations: ['operation 3 (refresh on a) was refused: nothing had ended the session of operation 0 (login on a).']
  },
  'a call that is refused without a reason, and by ends of others': {
    history: [
      login(0, '0'), login(0, 'x', { user: 'bob', identity: 'apple 1' }), logout(20, 'x', 'all'),
      revokeIdentity(40, 'apple 1'), logout(60, '0', 'others'), logout(80, '0', 'all', refused), call(100, '0', refused)
    ],
    violations: [
      'operation 5 (logout on a) was refused: nothing had ended the session of operation 0 (login on a).',
      'operation 6 (call on a) was refused: nothing had ended the session of operation 0 (login on a).'
    ]
  },
  'a session that ends by what was over before it began, or came after': {
    history: [revokeUser(0, 'ada'), login(20, '0'), call(40, '0', refused), revokeUser(60, 'ada')],
    violations: ['operation 2 (call on a) was refused: nothing had ended the session of operation 1 (login on a).']
  },
  'a login that is refused right after a revocation': {
    history: [revokeUser(0, 'ada'), login(20, '', refused)],
    violations: ['operation 1 (login on a) was refused: nothing was revoked during it.']
  },
  'a token whose successor was used already': {
    history: [login(0, '0'), refresh(20, '0', '1'), refresh(40, '1', '2'), refresh(60, '0', '1', onB)],
    violations: [
      'operation 3 (refresh on b) was accepted after operation 2 (refresh on a) had presented its successor.'
    ]
  }
}

const historyOf = (row: readonly Operation[] | History): History => 'operations' in row ? row : { operations: row }

t.test('one order explains', async t => {
  for (const [name, row] of Object.entries(explained)) t.strictSame(checkHistory(historyOf(row)), [], name)
})

t.test('no order explains', async t => {
  for (const [name, { history, violations }] of Object.entries(unexplained)) {
    t.strictSame(checkHistory(historyOf(history)), violations, name)
  }
})
