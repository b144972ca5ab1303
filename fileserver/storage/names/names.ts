/**
 * Which names a client may use in a directory. Names are bytes; only these may never reach the kernel, where they would mean
 * something else than the name of one entry: the empty name, names with `/` or NUL.
 */
import type { VolumeFailure } from '../failures/status.ts';

// RFC 1813 §3.2 ("General comments on filenames"): NFS3ERR_ACCES for a null name and for characters that the
// server can't handle, NFS3ERR_NAMETOOLONG for more bytes than the file system takes.

/** Bytes; NAME_MAX of Linux, for every file system it has. */
export const NAME_SIZE_MAX = 255;

const SLASH = 47;
const DOT = 46;

/** null: it is one. Otherwise why not. `.` and `..` are names like any other here. */
export function checkName(name: Uint8Array): VolumeFailure | null {
  const size = name.length;
  if (size === 0) return 'accessDenied';
  if (size > NAME_SIZE_MAX) return 'nameTooLong';
  for (let i = 0; i < size; i++) {
    const byte = name[i]!;
    if (byte === 0 || byte === SLASH) return 'accessDenied';
  }
  return null;
}

export function isDot(name: Uint8Array): boolean {
  return name.length === 1 && name[0] === DOT;
}

export function isDotDot(name: Uint8Array): boolean {
  return name.length === 2 && name[0] === DOT && name[1] === DOT;
}

/** The directory at a volume's root that holds what FilerPair keeps there. */
export const PRIVATE_DIRECTORY = '.filerpair';
const privateName = new TextEncoder().encode(PRIVATE_DIRECTORY);

/** True for PRIVATE_DIRECTORY, which clients cannot reach at a volume's root. */
export function isPrivateName(name: Uint8Array): boolean {
  if (name.length !== privateName.length) return false;
  for (let i = 0; i < privateName.length; i++) if (name[i] !== privateName[i]) return false;
  return true;
}
