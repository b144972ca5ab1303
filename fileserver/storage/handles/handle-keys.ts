/** Keys that sign file handles (file-handle.ts). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { asServer } from '../../system/thread-identity.ts';
import { VolumeRecordError } from '../private-files/private-files.ts';

// A volume that is a whole file system keeps its key on itself: a process that reads it there has the file system anyway. Of a
// directory of a larger one others may own what lies beside it, and the key would open that. So there the pair has one, which
// both servers read from a directory of their own: `current` signs, `next` and `previous` count too if they are there.
//
// A key that a volume has from before goes on signing there: an earlier version of the partner may have to serve it. An administrator
// moves on by renaming it (`secret.previous`), and then it only counts, until it is removed.

/** At least one. The first signs, all count. */
export type HandleKeys = readonly Uint8Array[];

/** Bytes of a key. */
export const HANDLE_KEY_SIZE = 32;

/** The pair's keys. Throws VolumeRecordError. */
export function readPairKeys(directory: string): HandleKeys {
  const current = readKey(join(directory, 'current'));
  if (current === null) {
    throw new VolumeRecordError(
      `${join(directory, 'current')} is not there: it holds the key that signs file handles (handleKeysDirectory)`,
    );
  }
  const others = ['next', 'previous'].flatMap((name) => readKey(join(directory, name)) ?? []);
  return [current, ...others];
}

/** null: it is not there. */
function readKey(path: string): Uint8Array | null {
  let key: Buffer;
  try {
    key = asServer(() => readFileSync(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new VolumeRecordError(`the key for file handles cannot be read: ${(error as Error).message}`);
  }
  if (key.length === HANDLE_KEY_SIZE) return new Uint8Array(key);
  throw new VolumeRecordError(`${path} has ${key.length} bytes instead of ${HANDLE_KEY_SIZE}`);
}

/** Keys that lie on a volume. null: not there. */
export interface OwnKeys {
  readonly current: Uint8Array | null;
  /** It was renamed. */
  readonly previous: Uint8Array | null;
}

/** Which keys count on a volume; null: there is none that signs. pair: null where the configuration names none. */
export function keysOf(own: OwnKeys, pair: HandleKeys | null): HandleKeys | null {
  const signing = [...(own.current === null ? [] : [own.current]), ...(pair ?? [])];
  if (signing.length === 0) return null;
  return own.previous === null ? signing : [...signing, own.previous];
}

/** For people: what is to be done about a key on a volume that is a directory of a larger file system. null: nothing. */
export function keyNotice(
  { name, path }: { readonly name: string; readonly path: string },
  secretFile: string,
  own: OwnKeys,
  pair: HandleKeys | null,
): string | null {
  const where = `volume ${name}: ${path} is a directory of a larger file system`;
  if (own.current !== null) {
    const wayOut = pair === null ? 'give both servers a key of their own (handleKeysDirectory)' : 'rename it';
    return `${where}, and the key that signs its file handles lies on it (${secretFile}): a client that reads that signs handles of its own. When both servers run this version, ${wayOut}`;
  }
  if (own.previous === null) return null;
  return `${where}, and handles that were signed with the key on it still count. When its clients have mounted it again, remove ${secretFile}.previous`;
}
