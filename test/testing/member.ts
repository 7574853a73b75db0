/** The member of a JSON value at a path, or undefined. */
export function member (value: unknown, ...path: readonly string[]): unknown {
  return path.reduce(
    (at: unknown, name) => (typeof at === 'object' && at !== null ? Reflect.get(at, name) : undefined),
    value
  )
}
