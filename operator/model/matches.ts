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

const isEmpty = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === false ||
  value === '' ||
  (typeof value === 'object' && Object.keys(value).length === 0);
