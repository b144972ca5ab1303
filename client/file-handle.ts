/**
 * An open file in the shape of node:fs/promises' FileHandle, and safe for several users: reads and writes of one handle or of
 * several may be under way at once.
 */
import { EventEmitter } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { FILE_SYNC, type fattr3 } from '../protocol/nfs3.ts';
import { emitSafely } from './client-events.ts';
import { type ErrorContext, FilerPairError, RpcError } from './errors.ts';
import {
  type FileData,
  isOptions,
  owner,
  part,
  piecesOf,
  type ReadOptions,
  setTime,
  type TextOptions,
  type Time,
  textOptions,
  type WriteOptions,
} from './file-arguments.ts';
import { readPiece, readRange } from './file-reader.ts';
import { ReadStream, type ReadStreamOptions, WriteStream, type WriteStreamOptions } from './file-streams.ts';
import type { FileWriter } from './file-writer.ts';
import type { IoSizes } from './mount.ts';
import type { Attributes, Nfs3Client } from './nfs3-client.ts';
import type { OpenFile, OpenFiles } from './open-files.ts';
import type { OpenFlags } from './open-flags.ts';
import { Operation, type OperationOptions } from './operation.ts';
import type { Operations } from './operations.ts';
import { BigIntStats, Stats } from './stats.ts';

// Writes are kept until a COMMIT confirms them (file-writer.ts): write() resolves when the data is on its way, sync() and
// close() when it is on the disk. What a caller gives is copied: its memory is free when the promise has settled.

/** What a client's files have in common. */
export interface FileAccess {
  readonly nfs: Nfs3Client;
  readonly files: OpenFiles;
  readonly operations: Operations;
  readonly sizes: IoSizes;
}

const BUFFER_SIZE = 16 * 1024;

/**
 * An open file: fs.FileHandle. Methods reject with the errors of FilerPairClient.
 *
 * @see https://nodejs.org/docs/latest-v24.x/api/fs.html#class-filehandle
 */
export class FileHandle extends EventEmitter<{ close: [] }> {
  /** On the server. */
  readonly path: string;
  readonly #access: FileAccess;
  readonly #flags: OpenFlags;
  readonly #file: OpenFile;
  /** Where the next read or write without a position begins. */
  #position = 0;
  /** Reads without a position follow each other. */
  #reading: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | null = null;
  /** The error of a write that this handle's user knows. */
  #known: unknown = null;

  /** Made by FilerPairClient.open(). */
  constructor(access: FileAccess, file: OpenFile, flags: OpenFlags, path: string) {
    super();
    this.#access = access;
    this.#file = file;
    this.#flags = flags;
    this.path = path;
  }

  /** The NFS file handle, for FilerPairClient.nfs. */
  get nfsHandle(): Uint8Array {
    return this.#file.handle;
  }

  /**
   * Writes without copying: for those who leave their memory alone until a sync() that was called afterwards has
   * resolved. Shared by all handles of the file.
   */
  get writer(): FileWriter {
    this.#check('write', this.#flags.write);
    return this.#file.writer;
  }

  read<Target extends NodeJS.ArrayBufferView = Buffer>(
    options?: ReadOptions<Target>,
  ): Promise<{ bytesRead: number; buffer: Target }>;
  read<Target extends NodeJS.ArrayBufferView>(
    buffer: Target,
    offset?: number | ReadOptions<Target> | null,
    length?: number | null,
    position?: number | bigint | null,
  ): Promise<{ bytesRead: number; buffer: Target }>;
  /** Fills the buffer, or as much of it as there is before the end of the file. */
  async read<Target extends NodeJS.ArrayBufferView>(
    first?: Target | ReadOptions<Target>,
    second?: number | ReadOptions<Target> | null,
    length?: number | null,
    position?: number | bigint | null,
  ): Promise<{ bytesRead: number; buffer: Target }> {
    const options: ReadOptions<Target> = ArrayBuffer.isView(first)
      ? { ...(isOptions(second) ? second : { offset: second, length, position }), buffer: first }
      : (first ?? {});
    const buffer = options.buffer ?? (Buffer.alloc(BUFFER_SIZE) as NodeJS.ArrayBufferView as Target);
    const target = part(buffer, options.offset, options.length);
    const at = options.position;
    const bytesRead = await this.run('read', this.#flags.read, options, (operation) => {
      if (at !== undefined && at !== null && at >= 0) return this.#readInto(target, Number(at), operation);
      return this.#inTurn(operation, async () => {
        const size = await this.#readInto(target, this.#position, operation);
        this.#position += size;
        return size;
      });
    });
    return { bytesRead, buffer };
  }

  async readv<Target extends NodeJS.ArrayBufferView>(
    buffers: readonly Target[],
    position?: number | null,
  ): Promise<{ bytesRead: number; buffers: readonly Target[] }> {
    const whole = Buffer.alloc(buffers.reduce((size, each) => size + each.byteLength, 0));
    const { bytesRead } = await this.read(whole, 0, whole.length, position ?? null);
    let at = 0;
    for (const each of buffers) {
      part(each).set(whole.subarray(at, at + each.byteLength));
      at += each.byteLength;
    }
    return { bytesRead, buffers };
  }

  readFile(options?: (OperationOptions & { readonly encoding?: null }) | null): Promise<Buffer>;
  readFile(
    options: (OperationOptions & { readonly encoding: BufferEncoding }) | BufferEncoding,
  ): Promise<string>;
  /** From where the last read or write without a position has ended, to the end of the file. */
  async readFile(options?: TextOptions): Promise<Buffer | string> {
    const { encoding, ...limits } = textOptions(options);
    const data = await this.run('read', this.#flags.read, limits, (operation) =>
      this.#inTurn(operation, async () => {
        const found = await this.#readRest(this.#position, operation);
        this.#position += found.length;
        return found;
      }),
    );
    return encoding ? data.toString(encoding) : data;
  }

  write<Source extends NodeJS.ArrayBufferView>(
    buffer: Source,
    offset?: number | WriteOptions | null,
    length?: number | null,
    position?: number | null,
  ): Promise<{ bytesWritten: number; buffer: Source }>;
  write(
    text: string,
    position?: number | null,
    encoding?: BufferEncoding | null,
  ): Promise<{ bytesWritten: number; buffer: string }>;
  /**
   * Writes all of it. Writes without a position follow each other in the order of their calls, also if several are
   * under way. In append mode each goes to the end that the file has then.
   */
  async write<Source extends NodeJS.ArrayBufferView>(
    data: Source | string,
    second?: number | WriteOptions | null,
    third?: number | BufferEncoding | null,
    position?: number | null,
  ): Promise<{ bytesWritten: number; buffer: Source | string }> {
    const options: WriteOptions = isOptions(second) ? second : {};
    let bytes: Uint8Array;
    let at = options.position;
    if (typeof data === 'string') {
      bytes = Buffer.from(data, (third as BufferEncoding | null) ?? 'utf8');
      if (typeof second === 'number') at = second;
    } else if (isOptions(second)) {
      bytes = part(data, second.offset, second.length);
    } else {
      bytes = part(data, second, third as number | null);
      at = position;
    }
    await this.run('write', this.#flags.write, options, (operation) => this.put(bytes, at, operation));
    return { bytesWritten: bytes.length, buffer: data };
  }

  async writev<Source extends NodeJS.ArrayBufferView>(
    buffers: readonly Source[],
    position?: number | null,
  ): Promise<{ bytesWritten: number; buffers: readonly Source[] }> {
    const whole = Buffer.concat(buffers.map((each) => part(each)));
    const { bytesWritten } = await this.write(whole, 0, whole.length, position ?? null);
    return { bytesWritten, buffers };
  }

  /** Writes from where the last read or write without a position has ended. */
  async writeFile(data: FileData, options?: TextOptions): Promise<void> {
    const { encoding, ...limits } = textOptions(options);
    await this.run('write', this.#flags.write, limits, async (operation) => {
      for await (const piece of piecesOf(data, encoding)) {
        operation.throwIfOver();
        await this.put(piece, null, operation);
      }
    });
  }

  appendFile(data: FileData, options?: TextOptions): Promise<void> {
    return this.writeFile(data, options);
  }

  stat(options?: OperationOptions & { readonly bigint?: false }): Promise<Stats>;
  stat(options: OperationOptions & { readonly bigint: true }): Promise<BigIntStats>;
  async stat(options: OperationOptions & { readonly bigint?: boolean } = {}): Promise<Stats | BigIntStats> {
    const attributes = await this.run('fstat', true, options, (operation) => this.#attributes(operation));
    const { readSize } = this.#access.sizes;
    return options.bigint === true ? new BigIntStats(attributes, readSize) : new Stats(attributes, readSize);
  }

  async truncate(size = 0, options?: OperationOptions): Promise<void> {
    await this.run('ftruncate', this.#flags.write, options, async (operation) => {
      // What is written again after this would make the file long again.
      await this.#access.files.settle(this.#file.handle, operation);
      await this.#set({ size }, operation);
    });
  }

  async chmod(mode: number, options?: OperationOptions): Promise<void> {
    await this.run('fchmod', true, options, (operation) => this.#set({ mode: mode & 0o7777 }, operation));
  }

  async chown(uid: number, gid: number, options?: OperationOptions): Promise<void> {
    await this.run('fchown', true, options, (operation) => this.#set(owner(uid, gid), operation));
  }

  async utimes(atime: Time, mtime: Time, options?: OperationOptions): Promise<void> {
    const times = { atime: setTime(atime), mtime: setTime(mtime) };
    await this.run('futime', true, options, async (operation) => {
      await this.#access.files.settle(this.#file.handle, operation);
      await this.#set(times, operation);
    });
  }

  /** Resolves when all that was written before, by any handle of this client, is on the disk. */
  async sync(options?: OperationOptions): Promise<void> {
    await this.run('fsync', true, options, async (operation) => {
      try {
        await this.commit(operation);
      } catch (error) {
        this.#known = error;
        throw error;
      }
    });
  }

  datasync(options?: OperationOptions): Promise<void> {
    return this.sync(options);
  }

  createReadStream(options: Omit<ReadStreamOptions, 'flags' | 'mode'> = {}): ReadStream {
    return new ReadStream(() => Promise.resolve(this), this.path, options);
  }

  createWriteStream(options: Omit<WriteStreamOptions, 'flags' | 'mode'> = {}): WriteStream {
    return new WriteStream(() => Promise.resolve(this), this.path, options);
  }

  readLines(options: Omit<ReadStreamOptions, 'flags' | 'mode'> = {}): Interface {
    return createInterface({
      input: this.createReadStream({ encoding: 'utf8', ...options }),
      crlfDelay: Number.POSITIVE_INFINITY,
    });
  }

  /**
   * Resolves when what was written is on the disk; a second call waits for the first. Rejects with the error of a write
   * that nobody else was told of. The handle is closed in any case.
   */
  close(options?: OperationOptions): Promise<void> {
    this.#closing ??= this.#finish(options);
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Like write(), for bytes that nobody changes any more: they are not copied. */
  async take(bytes: Uint8Array, position: number, options?: OperationOptions): Promise<void> {
    await this.run('write', this.#flags.write, options, (operation) =>
      this.put(bytes, position, operation, true),
    );
  }

  /** The file's data from a place on, several READs ahead. For streams. */
  pieces(start: number, end: number, operation: Operation): AsyncGenerator<Uint8Array> {
    const { nfs, sizes } = this.#access;
    const range = { offset: start, length: end - start, readSize: sizes.readSize, operation };
    return readRange(nfs, this.#file.handle, range);
  }

  /** Runs as one operation on this file, which has to be open for it. */
  async run<T>(
    syscall: string,
    allowed: boolean,
    options: OperationOptions | undefined,
    work: (operation: Operation) => Promise<T>,
  ): Promise<T> {
    const context = this.#check(syscall, allowed);
    return this.#access.operations.run(context, options, work);
  }

  /** Makes the file empty. */
  async clear(operation: Operation): Promise<void> {
    if ((await this.#attributes(operation)).size > 0) await this.#set({ size: 0 }, operation);
  }

  /** What was written is on the disk of the server. Not in Node. */
  async commit(operation: Operation): Promise<void> {
    await operation.within(this.#file.writer.commit());
  }

  /** Closes without waiting for anything. */
  release(): void {
    this.#closing ??= Promise.resolve();
    this.#access.files.close(this.#file);
  }

  /** Makes true what the server says of the file. */
  settle(operation: Operation): Promise<boolean> {
    return this.#access.files.settle(this.#file.handle, operation);
  }

  #check(syscall: string, allowed: boolean): ErrorContext {
    const context = { syscall, path: this.path };
    if (this.#closing !== null) throw new FilerPairError('EBADF', 'the file is closed', context);
    if (!allowed) throw new FilerPairError('EBADF', 'the file was not opened for this', context);
    return context;
  }

  async #finish(options: OperationOptions | undefined): Promise<void> {
    const { writer } = this.#file;
    try {
      // Also while the client closes, which waits for this.
      const operation = new Operation({ syscall: 'close', path: this.path }, options);
      if (!writer.isClean || writer.isBroken) await operation.within(writer.commit());
    } catch (error) {
      if (error !== this.#known) throw error;
    } finally {
      this.#access.files.close(this.#file);
      emitSafely(this, 'close', []);
    }
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

  async #readRest(position: number, operation: Operation): Promise<Buffer> {
    await this.settle(operation);
    const parts: Uint8Array[] = [];
    for await (const data of this.pieces(position, Number.POSITIVE_INFINITY, operation)) parts.push(data);
    return Buffer.concat(parts);
  }

  /** `position`: null, none or negative: after the last one. `owned`: nobody changes the bytes any more. */
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

  /**
   * NFSv3 has no append: the end is asked for. Appends of one client follow each other, those of several clients may
   * meet, and one is lost then.
   */
  #append(bytes: Uint8Array, operation: Operation): Promise<void> {
    const file = this.#file;
    const turn = file.appending.then(async () => {
      operation.throwIfOver();
      const { size } = await this.#attributes(operation);
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
      this.#known = error;
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

  async #attributes(operation: Operation): Promise<fattr3> {
    await this.settle(operation);
    return this.#access.nfs.getattr(this.#file.handle, operation);
  }

  #set(attributes: Attributes, operation: Operation): Promise<void> {
    return this.#access.nfs.setattr(this.#file.handle, attributes, null, operation);
  }
}
