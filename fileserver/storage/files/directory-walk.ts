/** Opens directories by their names, from the root of a volume down and from a directory up, as the server itself. */
import { close, O_DIRECTORY, O_NOFOLLOW, O_PATH, openAt } from '../../system/file-calls.ts';
import { asServer } from '../../system/thread-identity.ts';
import type { IdentityReader } from '../handles/file-identity.ts';
import type { Volume } from '../volume/volume.ts';
import type { FileTable } from './file-table.ts';

const DOT = new TextEncoder().encode('.');
const DOT_DOT = new TextEncoder().encode('..');

export class DirectoryWalk {
  readonly #table: FileTable;

  constructor(table: FileTable) {
    this.#table = table;
  }

  /** Walks down from the volume's root as the server itself, through directories only; a descriptor or -errno. */
  openBelow(
    volume: Volume,
    names: readonly Uint8Array[],
    identity: IdentityReader = volume.identity,
    passed: (key: string) => void = () => {},
  ): number {
    return asServer(() => this.#openBelow(volume, names, identity, passed));
  }

  #openBelow(
    volume: Volume,
    names: readonly Uint8Array[],
    identity: IdentityReader,
    passed: (key: string) => void,
  ): number {
    let fd = this.#openAt(volume, volume.rootFd, DOT, O_PATH | O_DIRECTORY);
    let parent = volume.rootKey;
    for (const name of names) {
      if (fd < 0) return fd;
      const next = this.#openAt(volume, fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
      close(fd);
      fd = next;
      if (fd < 0) return fd;
      const known = volume.noted(identity.call, identity.ofFd(fd));
      if (known < 0) {
        close(fd);
        return known;
      }
      const key = identity.key();
      volume.pathIndex?.learn(key, parent, name);
      passed(key);
      parent = key;
    }
    return fd;
  }

  /** The directory above, as a descriptor or -errno. */
  openAbove(volume: Volume, dir: number): number {
    return this.#openAt(volume, dir, DOT_DOT, O_PATH | O_DIRECTORY);
  }

  /** A descriptor or -errno. If none is left, descriptors of files that are not in use are given up for it. */
  #openAt(volume: Volume, dir: number, name: Uint8Array, flags: number): number {
    let fd = openAt(dir, name, flags);
    if (this.#table.makeRoom(fd)) fd = openAt(dir, name, flags);
    return volume.noted('openat', fd);
  }
}
