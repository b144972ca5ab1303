/**
 * Effects of one handle's reads and writes on its file: where they begin, in which order they come, and what the server is asked
 * before.
 */
import { FILE_SYNC, type fattr3 } from '../protocol/nfs3.ts';
import { RpcError } from './errors.ts';
import type { FileAccess } from './file-access.ts';
import { readPiece, readRange } from './file-reader.ts';
import type { Attributes } from './nfs3-client.ts';
import type { OpenFile } from './open-files.ts';
import type { OpenFlags } from './open-flags.ts';
import type { Operation } from './operation.ts';

// Writes are kept until a COMMIT confirms them (file-writer.ts).

export class HandleData {
  readonly #access: FileAccess;
  readonly #file: OpenFile;
  readonly #flags: OpenFlags;
  /** Where the next read or write without a position begins. */
  #position = 0;
  /** Reads without a position follow each other. */
  #reading: Promise<unknown> = Promise.resolve();
  /** The error of a write that this handle's user knows. */
  known: unknown = null;

  constructor(access: FileAccess, file: OpenFile, flags: OpenFlags) {
    this.#access = access;
    this.#file = file;
    this.#flags = flags;
  }

  /** Without a position: from where the last one has ended. Fills the target, or as much of it as there is before the end of the file. */
  read(
    target: Uint8Array,
    position: number | bigint | null | undefined,
    operation: Operation,
  ): Promise<number> {
    if (position !== undefined && position !== null && position >= 0)
      return this.#readInto(target, Number(position), operation);
    return this.#inTurn(operation, async () => {
      const size = await this.#readInto(target, this.#position, operation);
      this.#position += size;
      return size;
    });
  }

  /** From where the last one without a position has ended, to the end of the file. */
  readRest(operation: Operation): Promise<Buffer> {
    return this.#inTurn(operation, async () => {
      const found = await this.#restFrom(this.#position, operation);
      this.#position += found.length;
      return found;
    });
  }

  /** The file's data from a place on, several READs ahead. For streams. */
  pieces(start: number, end: number, operation: Operation): AsyncGenerator<Uint8Array> {
    const { nfs, sizes } = this.#access;
    const range = { offset: start, length: end - start, readSize: sizes.readSize, operation };
    return readRange(nfs, this.#file.handle, range);
  }

  /** `position`: null, absent or negative means behind the last byte read or written. `owned`: the bytes do not change any more. */
  async put(
    bytes: Uint8Array,
    position: number | null | undefined,
    operation: Operation,
    owned = false,
  ): Promise<void> {
    if (this.#flags.append) return this.#append(bytes, operation);
    let at = position;
    if (at === undefined || at === null || at < 0) {
      at = this.#position;
      this.#position += bytes.length;
    }
    await this.#writeAt(at, bytes, owned, operation);
  }

  /** Makes the file empty. */
  async clear(operation: Operation): Promise<void> {
    if ((await this.attributes(operation)).size > 0) await this.set({ size: 0 }, operation);
  }

  /** Resolves when the written data is on the disk of the server. Not in Node. */
  async commit(operation: Operation): Promise<void> {
    await operation.within(this.#file.writer.commit());
  }

  /** Makes true what the server says of the file. */
  settle(operation: Operation): Promise<boolean> {
    return this.#access.files.settle(this.#file.handle, operation);
  }

  async attributes(operation: Operation): Promise<fattr3> {
    await this.settle(operation);
    return this.#access.nfs.getattr(this.#file.handle, operation);
  }

  set(attributes: Attributes, operation: Operation): Promise<void> {
    return this.#access.nfs.setattr(this.#file.handle, attributes, null, operation);
  }

  #inTurn<T>(operation: Operation, work: () => Promise<T>): Promise<T> {
    const turn = this.#reading.then(() => {
      operation.throwIfOver();
      return work();
    });
    this.#reading = turn.catch(() => {});
    return operation.within(turn);
  }

  async #readInto(target: Uint8Array, position: number, operation: Operation): Promise<number> {
    if (target.length === 0) return 0;
    await this.settle(operation);
    const { nfs, sizes } = this.#access;
    if (target.length <= sizes.readSize) {
      const { data } = await readPiece(nfs, this.#file.handle, position, target.length, operation);
      target.set(data);
      return data.length;
    }
    let size = 0;
    for await (const data of this.pieces(position, position + target.length, operation)) {
      target.set(data, size);
      size += data.length;
    }
    return size;
  }

  async #restFrom(position: number, operation: Operation): Promise<Buffer> {
    await this.settle(operation);
    const parts: Uint8Array[] = [];
    for await (const data of this.pieces(position, Number.POSITIVE_INFINITY, operation)) parts.push(data);
    return Buffer.concat(parts);
  }

  /**
   * NFSv3 has no append: the end is asked for. Appends of one client follow each other, those of several clients may
   * meet, and one is lost then.
   */
  #append(bytes: Uint8Array, operation: Operation): Promise<void> {
    const file = this.#file;
    const turn = file.appending.then(async () => {
      operation.throwIfOver();
      const { size } = await this.attributes(operation);
      await this.#writeAt(size, bytes, false, operation);
    });
    file.appending = turn.catch(() => {});
    return operation.within(turn);
  }

  async #writeAt(at: number, bytes: Uint8Array, owned: boolean, operation: Operation): Promise<void> {
    const { writer } = this.#file;
    const through = this.#flags.sync && writer.isClean && !writer.isBroken;
    try {
      if (through) return await this.#writeThrough(at, bytes, operation);
      await operation.within(writer.write(at, owned ? bytes : Uint8Array.prototype.slice.call(bytes)));
      if (this.#flags.sync) await operation.within(writer.commit());
    } catch (error) {
      this.known = error;
      throw error;
    }
  }

  /** FILE_SYNC: nothing is kept, and nothing is copied. */
  async #writeThrough(at: number, bytes: Uint8Array, operation: Operation): Promise<void> {
    const { nfs, sizes } = this.#access;
    for (let written = 0; written < bytes.length; ) {
      const piece = bytes.subarray(written, written + sizes.writeSize);
      const result = await nfs.write(this.#file.handle, at + written, piece, FILE_SYNC, operation);
      if (result.committed !== FILE_SYNC || result.count === 0) {
        throw new RpcError('EPROTO', 'the server did not write as durably as it was asked to', operation);
      }
      written += result.count;
    }
  }
}
