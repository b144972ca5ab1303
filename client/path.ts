/** Paths below an export: text, or bytes for names that are not UTF-8. */
import { TypeErrorWithCode } from './errors.ts';
import type { Name } from './nfs3-client.ts';

/** Below the export; a slash at the beginning means nothing. Bytes are taken as they are. */
export type PathLike = string | Uint8Array;

const SLASH = 0x2f;
const DOT = 0x2e;

/** The names in a path; empty ones and `.` are dropped, `..` is kept. */
export function namesIn(path: PathLike): Name[] {
  if (typeof path === 'string') {
    if (path.includes('\0')) throw badPath('it holds a NUL');
    return path.split('/').filter((name) => name !== '' && name !== '.');
  }
  if (!(path instanceof Uint8Array)) {
    throw new TypeErrorWithCode(
      'ERR_INVALID_ARG_TYPE',
      'The path must be a string, a Buffer or a Uint8Array',
    );
  }
  if (path.includes(0)) throw badPath('it holds a NUL');
  const names: Uint8Array[] = [];
  for (let start = 0; start <= path.length; ) {
    const slash = path.indexOf(SLASH, start);
    const end = slash < 0 ? path.length : slash;
    const name = path.subarray(start, end);
    if (name.length > 0 && !(name.length === 1 && name[0] === DOT)) names.push(name.slice());
    start = end + 1;
  }
  return names;
}

export function isAbsolute(path: Uint8Array): boolean {
  return path[0] === SLASH;
}

export function isParent(name: Name): boolean {
  return typeof name === 'string' ? name === '..' : name.length === 2 && name[0] === DOT && name[1] === DOT;
}

/** Rest of `names` below the directory of `parents`; null if they lead elsewhere. */
export function namesBelow(parents: readonly Name[], names: readonly Name[]): Name[] | null {
  const same = (parent: Name, i: number) =>
    names[i] !== undefined && Buffer.compare(bytesOf(parent), bytesOf(names[i])) === 0;
  return parents.every(same) ? names.slice(parents.length) : null;
}

/** As text; bytes that are not UTF-8 are replaced. */
export function pathText(names: readonly Name[]): string {
  return names
    .map((name) => (typeof name === 'string' ? name : Buffer.from(name).toString('utf8')))
    .join('/');
}

export function pathBytes(names: readonly Name[]): Buffer {
  const slash = Buffer.from('/');
  return Buffer.concat(names.flatMap((name, i) => (i === 0 ? [bytesOf(name)] : [slash, bytesOf(name)])));
}

function bytesOf(name: Name): Uint8Array {
  return typeof name === 'string' ? Buffer.from(name, 'utf8') : name;
}

function badPath(why: string): TypeErrorWithCode {
  return new TypeErrorWithCode('ERR_INVALID_ARG_VALUE', `The path cannot be one: ${why}`);
}
