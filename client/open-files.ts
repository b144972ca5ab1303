/**
 * The files that a client has open: one FileWriter for each, for all its writers. Two of them for one file would each write again
 * what a server lost, and one could bring back what the other has replaced.
 */
import type { nfs_fh3 } from '../protocol/nfs3.ts';
import { FileWriter } from './file-writer.ts';
import type { Nfs3Client } from './nfs3-client.ts';
import type { Operation } from './operation.ts';

export interface OpenFile {
  readonly handle: nfs_fh3;
  readonly writer: FileWriter;
  users: number;
  /** The append that was called last; the next one waits for it. */
  appending: Promise<unknown>;
}

export class OpenFiles {
  readonly #nfs: Nfs3Client;
  readonly #writeSize: number;
  readonly #files = new Map<string, OpenFile>();

  constructor(nfs: Nfs3Client, writeSize: number) {
    this.#nfs = nfs;
    this.#writeSize = writeSize;
  }

  /** For one user more. A file whose data could not be written starts over: earlier users keep their error. */
  async open(handle: nfs_fh3, path: string): Promise<OpenFile> {
    let file = this.#files.get(keyOf(handle));
    while (file?.writer.isBroken === true) {
      await file.writer.atRest();
      if (this.#files.get(keyOf(handle)) === file) this.#files.delete(keyOf(handle));
      file = this.#files.get(keyOf(handle));
    }
    if (file === undefined) {
      const writer = new FileWriter(this.#nfs, handle, { writeSize: this.#writeSize, path });
      file = { handle, writer, users: 0, appending: Promise.resolve() };
      this.#files.set(keyOf(handle), file);
    }
    file.users += 1;
    return file;
  }

  /** Data that its last user leaves unconfirmed is confirmed behind its back, so that no other handle writes beside it. */
  close(file: OpenFile): void {
    file.users -= 1;
    if (file.users > 0) return;
    const forget = () => {
      const key = keyOf(file.handle);
      if (file.users === 0 && this.#files.get(key) === file) this.#files.delete(key);
    };
    if (file.writer.isClean) forget();
    else
      file.writer
        .commit()
        .catch(() => {})
        .finally(forget);
  }

  /**
   * Makes what was written durable, so that the server's answers about this file are true also after it has lost
   * something. Returns false if there was nothing to do.
   */
  async settle(handle: nfs_fh3, operation: Operation): Promise<boolean> {
    if (this.#files.size === 0) return false;
    const writer = this.#files.get(keyOf(handle))?.writer;
    if (writer === undefined || writer.isClean || writer.isBroken) return false;
    await operation.within(writer.commit());
    return true;
  }

  /** Makes everything durable. Rejects with the first error, after all have been tried. */
  async settleAll(): Promise<void> {
    const commits = [...this.#files.values()].map(({ writer }) => writer.commit());
    const failed = (await Promise.allSettled(commits)).find((each) => each.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }
}

function keyOf(handle: nfs_fh3): string {
  return Buffer.from(handle.buffer, handle.byteOffset, handle.length).toString('latin1');
}
