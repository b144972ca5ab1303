/**
 * Does an object have everything that we want it to have? Fields that we do not name are not ours: defaults, status, what other
 * controllers write.
 */

/** True if `actual` contains `wanted`: objects member by member, lists of equal length item by item. */
export function matches(wanted: unknown, actual: unknown): boolean {
  // The API leaves out, or shows as null, what is empty: false, "", [], {}.
  if (actual === undefined || actual === null) return isEmpty(wanted);
  if (Array.isArray(wanted))
    return (
      Array.isArray(actual) &&
      wanted.length === actual.length &&
      wanted.every((item, index) => matches(item, actual[index]))
    );
  if (typeof wanted === 'object' && wanted !== null)
    return (
      typeof actual === 'object' &&
      Object.entries(wanted).every(([key, value]) => matches(value, (actual as Record<string, unknown>)[key]))
    );
  return wanted === actual;
}

/** Where `actual` does not have what is wanted, by the names of members: `spec.ports`, `conditions[Ready].status`. */
export function mismatches(wanted: unknown, actual: unknown, path = ''): string[] {
  if (matches(wanted, actual)) return [];
  const found = inside(wanted, actual, path);
  return found.length === 0 ? [path] : found;
}

function inside(wanted: unknown, actual: unknown, path: string): string[] {
  if (isKeyedList(wanted) && isKeyedList(actual)) {
    const items = byKey(actual);
    return wanted.flatMap((item) => mismatches(item, items.get(keyOf(item)), `${path}[${keyOf(item)}]`));
  }
  if (!isMembers(wanted) || !isMembers(actual)) return [];
  return Object.entries(wanted).flatMap(([name, value]) =>
    mismatches(value, actual[name], path === '' ? name : `${path}.${name}`),
  );
}

const isMembers = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** As Kubernetes has lists whose order means nothing. */
const keyOf = (item: unknown): unknown => (isMembers(item) ? (item['name'] ?? item['type']) : undefined);

const isKeyedList = (value: unknown): value is readonly unknown[] =>
  Array.isArray(value) && value.length > 0 && value.every((item) => typeof keyOf(item) === 'string');

const byKey = (items: readonly unknown[]): ReadonlyMap<unknown, unknown> =>
  new Map(items.map((item) => [keyOf(item), item]));

const isEmpty = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === false ||
  value === '' ||
  (typeof value === 'object' && Object.keys(value).length === 0);
