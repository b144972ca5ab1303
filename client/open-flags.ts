/** How a file is opened: the flags of node:fs, as text ('r', 'wx', 'a+', ...) or as numbers (O_CREAT | O_EXCL, ...). */
import { constants } from 'node:fs';
import { TypeErrorWithCode } from './errors.ts';

export interface OpenFlags {
  readonly read: boolean;
  readonly write: boolean;
  /** Each write goes to the end. */
  readonly append: boolean;
  readonly create: boolean;
  readonly exclusive: boolean;
  readonly truncate: boolean;
  /** Each write is on the disk when it resolves. */
  readonly sync: boolean;
  readonly directory: boolean;
  readonly noFollow: boolean;
}

const { O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR, O_SYNC, O_TRUNC, O_WRONLY } =
  constants;

const BASES = new Map<string, number>([
  ['r', 0],
  ['w', O_CREAT | O_TRUNC],
  ['a', O_CREAT | O_APPEND],
]);

/** Throws a TypeError (ERR_INVALID_ARG_VALUE) for what node:fs does not know either. */
export function parseOpenFlags(flags: string | number): OpenFlags {
  const bits = typeof flags === 'number' ? flags : bitsOf(flags);
  const access = bits & (O_RDONLY | O_WRONLY | O_RDWR);
  return {
    read: access !== O_WRONLY,
    write: access !== O_RDONLY,
    append: (bits & O_APPEND) !== 0,
    create: (bits & O_CREAT) !== 0,
    exclusive: (bits & O_EXCL) !== 0,
    truncate: (bits & O_TRUNC) !== 0,
    // O_SYNC has a bit of O_DSYNC, which means nothing less here.
    sync: (bits & O_SYNC) !== 0,
    directory: (bits & O_DIRECTORY) !== 0,
    noFollow: (bits & O_NOFOLLOW) !== 0,
  };
}

/** One letter for the way; `x`, `s` and `+` in any order, as node:fs takes them. */
function bitsOf(flags: string): number {
  const way = [...flags].filter((each) => BASES.has(each));
  const has = (letter: string) => flags.includes(letter);
  const unique = new Set(flags).size === flags.length;
  const known = /^[rwaxs+]+$/.test(flags);
  if (!known || !unique || way.length !== 1 || (has('x') && has('r')) || (has('s') && has('w'))) {
    throw new TypeErrorWithCode('ERR_INVALID_ARG_VALUE', `The flags '${flags}' are none of node:fs`);
  }
  const access = has('+') ? O_RDWR : way[0] === 'r' ? O_RDONLY : O_WRONLY;
  return BASES.get(way[0]!)! | access | (has('x') ? O_EXCL : 0) | (has('s') ? O_SYNC : 0);
}
