/** Records by names that people choose. They have no prototype: a claim, a node or a Secret may be called `constructor`. */

export const byName = <T>(entries: Iterable<readonly [name: string, value: T]> = []): Record<string, T> =>
  Object.assign(Object.create(null) as Record<string, T>, Object.fromEntries(entries));
