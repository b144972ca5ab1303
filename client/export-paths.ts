/**
 * Operations on paths of an export: each runs as one, has its paths in its errors as they are on the server, and finds what they
 * name.
 */
import type { fattr3, nfs_fh3 } from '../protocol/nfs3.ts';
import type { BigIntOption } from './client-options.ts';
import type { ListedDirectory } from './directory.ts';
import type { ExportSession } from './export-session.ts';
import type { Attributes } from './nfs3-client.ts';
import type { Operation, OperationOptions } from './operation.ts';
import type { Operations } from './operations.ts';
import type { PathLike } from './path.ts';
import type { Located, Resolved } from './path-walk.ts';
import { BigIntStats, Stats } from './stats.ts';

export class ExportPaths {
  readonly #session: ExportSession;
  readonly #operations: Operations;

  constructor(session: ExportSession, operations: Operations) {
    this.#session = session;
    this.#operations = operations;
  }

  /** `syscall`: as errors name it. */
  run<T>(
    syscall: string,
    path: PathLike,
    options: OperationOptions | undefined,
    work: (operation: Operation) => Promise<T>,
  ): Promise<T> {
    return this.#operations.run({ syscall, path: this.label(path) }, options, work);
  }

  /** The same with a second path. */
  runTwo<T>(
    syscall: string,
    path: PathLike,
    dest: PathLike,
    options: OperationOptions | undefined,
    work: (operation: Operation) => Promise<T>,
  ): Promise<T> {
    return this.#operations.run({ syscall, path: this.label(path), dest: this.label(dest) }, options, work);
  }

  /** A path as it is on the server. */
  label(path: PathLike): string {
    return this.#session.there.walk.label(path);
  }

  /** The object at the path. */
  resolve(path: PathLike, followLast: boolean, operation: Operation): Promise<Resolved> {
    return this.#session.there.walk.resolve(path, followLast, operation);
  }

  /** The directory of the path's last name. `atRoot`: the code of the error if the path is the export itself. */
  locate(path: PathLike, atRoot: string, operation: Operation): Promise<Located> {
    return this.#session.there.walk.locate(path, atRoot, operation);
  }

  /** Includes what this client has written there. */
  async attributes(path: PathLike, followLast: boolean, operation: Operation): Promise<fattr3> {
    const { handle, attributes } = await this.resolve(path, followLast, operation);
    const { nfs, files } = this.#session.there.access;
    return (await files.settle(handle, operation)) ? nfs.getattr(handle, operation) : attributes;
  }

  listed(path: PathLike, handle: nfs_fh3): ListedDirectory {
    const { nfs, sizes } = this.#session.there.access;
    return { nfs, handle, path: this.label(path), listingSize: sizes.listingSize };
  }

  statsOf(attributes: fattr3, { bigint }: BigIntOption): Stats | BigIntStats {
    const { readSize } = this.#session.there.access.sizes;
    return bigint === true ? new BigIntStats(attributes, readSize) : new Stats(attributes, readSize);
  }

  /** Changes attributes. */
  async change(
    syscall: string,
    path: PathLike,
    followLast: boolean,
    attributes: Attributes,
    options: OperationOptions | undefined,
  ): Promise<void> {
    await this.run(syscall, path, options, async (operation) => {
      const { handle } = await this.resolve(path, followLast, operation);
      const { nfs, files } = this.#session.there.access;
      // Data that is written again later would undo a new size or time.
      await files.settle(handle, operation);
      await nfs.setattr(handle, attributes, null, operation);
    });
  }
}
