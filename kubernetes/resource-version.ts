/**
 * The order of resourceVersions. They are numbers of one count for the whole store and may be compared (KEP-5504, before it by
 * the way in which etcd works). An API server that sends something else is never said to have gone back.
 */

const isNumber = (version: string | undefined): version is string =>
  version !== undefined && /^[1-9]\d*$/.test(version);

/** Whether `version` comes before `than`; false where one of them is no number. */
export const isOlder = (version: string | undefined, than: string | undefined): boolean =>
  isNumber(version) && isNumber(than) && BigInt(version) < BigInt(than);
