/** A file that is written on a server, under a temporary name until it is whole. */
import { join } from 'node:path';
import { FILE_SYNC, type nfs_fh3 } from '../../../protocol/nfs3.ts';
import { setTime } from '../../file-arguments.ts';
import { readRange } from '../../file-reader.ts';
import { FileWriter } from '../../file-writer.ts';
import type { FilerPairClient } from '../../filer-pair-client.ts';
import type { IoSizes } from '../../mount.ts';
import { Operation } from '../../operation.ts';
import type { NfsUrl } from '../../url.ts';
import { ignoreRefusal } from './local-place.ts';
import { type Attributes, type FileSink, type Name, UNCONFIRMED_SIZE_MAX } from './place.ts';

/** READs and WRITEs in flight of one file. */
export const WINDOW = 8;

/** An export of a server. */
export interface Export {
  readonly client: FilerPairClient;
  readonly url: NfsUrl;
  readonly sizes: IoSizes;
}

/** A place below it. */
export interface Where {
  readonly directory: () => Promise<nfs_fh3>;
  /** The directory's path below the export. */
  readonly parent: string;
  /** '' is the export itself. */
  readonly name: Name;
  readonly path: string;
  readonly label: string;
}

export function operationAt({ path }: Where, { client }: Export, syscall: string): Operation {
  return new Operation({ syscall, path: join(client.exportPath, path) });
}

export async function setAll(
  { client: { nfs } }: Export,
  handle: nfs_fh3,
  { mode, uid, gid, mtimeMs, atimeMs }: Attributes,
  operation: Operation,
): Promise<void> {
  const times = { mtime: setTime(mtimeMs / 1000), atime: setTime(atimeMs / 1000) };
  // In one call where it is permitted; only an administrator may give files away.
  await nfs.setattr(handle, { uid, gid, mode, ...times }, null, operation).catch(async (error: unknown) => {
    ignoreRefusal(error);
    await nfs.setattr(handle, { mode, ...times }, null, operation);
  });
}

interface Made {
  readonly temporary: string;
  readonly directory: nfs_fh3;
  readonly handle: nfs_fh3;
  readonly start: number;
  readonly size: number;
}

export class NfsSink implements FileSink {
  readonly start: number;
  readonly #on: Export;
  readonly #where: Where;
  readonly #made: Made;
  readonly #writer: FileWriter;
  /** All of a file that one WRITE holds. */
  #small: Uint8Array | null = null;
  #end: number;

  constructor(on: Export, where: Where, made: Made) {
    this.#on = on;
    this.#where = where;
    this.#made = made;
    this.start = made.start;
    this.#end = made.start;
    const { client, sizes } = on;
    this.#writer = new FileWriter(client.nfs, made.handle, {
      writeSize: sizes.writeSize,
      window: WINDOW,
      unconfirmedSizeMax: UNCONFIRMED_SIZE_MAX,
      path: join(client.exportPath, where.path),
    });
  }

  async write(offset: number, data: Uint8Array): Promise<void> {
    this.#end = offset + data.length;
    const { writeSize } = this.#on.sizes;
    const isAll = offset === 0 && data.length >= this.#made.size && data.length <= writeSize;
    if (isAll && this.#small === null) {
      this.#small = data;
      return;
    }
    await this.#writeSmall();
    await this.#writer.write(offset, data);
  }

  /** It has grown since. */
  async #writeSmall(): Promise<void> {
    const small = this.#small;
    this.#small = null;
    if (small !== null) await this.#writer.write(0, small);
  }

  async complete(): Promise<void> {
    const { nfs } = this.#on.client;
    const operation = operationAt(this.#where, this.#on, 'write');
    if (this.#small !== null) {
      // A WRITE that is durable when it is answered spares the COMMIT.
      const { count } = await nfs.write(this.#made.handle, 0, this.#small, FILE_SYNC, operation);
      if (count === this.#small.length) return;
      await this.#writeSmall();
    }
    await this.#writer.commit();
    // A part that is gone on with may have been longer than the file is now.
    if (this.start > 0) await nfs.setattr(this.#made.handle, { size: this.#end }, null, operation);
  }

  readBack(): AsyncIterable<Uint8Array> {
    const { client, sizes } = this.#on;
    const operation = operationAt(this.#where, this.#on, 'read');
    return readRange(client.nfs, this.#made.handle, { readSize: sizes.readSize, window: WINDOW, operation });
  }

  async finish(attributes: Attributes | null): Promise<void> {
    const { handle, directory, temporary } = this.#made;
    if (attributes !== null)
      await setAll(this.#on, handle, attributes, operationAt(this.#where, this.#on, 'utime'));
    const operation = operationAt(this.#where, this.#on, 'rename');
    await this.#on.client.nfs.rename(directory, temporary, directory, this.#where.name, operation);
  }

  async abandon(keep: boolean): Promise<void> {
    const { directory, temporary } = this.#made;
    if (!keep) await this.#on.client.nfs.remove(directory, temporary);
  }
}
