/**
 * Looks at the ownership record in the middle of service, in the thread that changes the volume (R6): some two microseconds, as long
 * as nothing has changed and the file is in memory.
 */
import { readOwnershipInto } from '../../system/data-calls.ts';
import { close, O_RDONLY } from '../../system/file-calls.ts';
import { openPrivate } from '../private-files/private-files.ts';
import { isAhead, newestSlot, OWNERSHIP_SIZE, type OwnershipRecord } from './ownership.ts';
import { ownershipFile } from './volume-files.ts';

export class OwnershipLook {
  readonly #root: string;
  readonly #file: string;
  readonly #owner: Pick<OwnershipRecord, 'epoch' | 'owner'>;
  /** Opened for each look: a network file system asks its server then, and may answer from memory otherwise. */
  readonly #anew: boolean;
  #fd: number;
  readonly #into: Buffer;
  /** The record that was found last, and was not ahead of us. */
  readonly #known: Buffer;

  constructor(root: string, owner: Pick<OwnershipRecord, 'epoch' | 'owner'>, anew: boolean) {
    this.#root = root;
    this.#file = ownershipFile(root);
    this.#owner = owner;
    this.#anew = anew;
    this.#fd = -1;
    this.#into = Buffer.alloc(OWNERSHIP_SIZE);
    this.#known = Buffer.alloc(OWNERSHIP_SIZE);
  }

  /** So that no look in the middle of service needs a descriptor. Nothing happens if there is none now: the next look asks again. */
  begin(): void {
    if (!this.#anew) this.#open();
  }

  /** The record of somebody newer; null: there is none. -errno: it could not be read. Throws VolumeRecordError. */
  ahead(): OwnershipRecord | null | number {
    const fd = this.#open();
    if (fd < 0) return fd;
    const size = readOwnershipInto(fd, this.#into);
    if (this.#anew) this.close();
    if (size < 0) return size;
    if (this.#into.equals(this.#known)) return null;
    const newest = newestSlot(this.#root, this.#into.subarray(0, size))?.record ?? null;
    if (newest !== null && isAhead(newest, this.#owner)) return newest;
    this.#into.copy(this.#known);
    return null;
  }

  #open(): number {
    if (this.#fd >= 0) return this.#fd;
    const fd = openPrivate(this.#file, O_RDONLY);
    if (fd >= 0) this.#fd = fd;
    return fd;
  }

  /** Gives the descriptor back. A later check opens the file again. */
  close(): void {
    if (this.#fd >= 0) close(this.#fd);
    this.#fd = -1;
  }
}
