/** What a route can ask for, from nothing to most. Each names a credential; they are no ladder of users. */
export const levels = ['everyone', 'application', 'authenticated', 'admin'] as const

/** A level that a route asks for. */
export type Level = (typeof levels)[number]

/** A level that a user can hold. */
export type UserLevel = Extract<Level, 'authenticated' | 'admin'>

export function isLevel (value: unknown): value is Level {
  return levels.some(level => level === value)
}

export function isUserLevel (value: unknown): value is UserLevel {
  return value === 'authenticated' || value === 'admin'
}
