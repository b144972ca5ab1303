/**
 * An open file in the shape of node:fs/promises' FileHandle, and safe for several users: reads and writes of one handle or of
 * several may be under way at once.
 */
import { EventEmitter } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { emitSafely } from './client-events.ts';
import { type ErrorContext, FilerPairError } from './errors.ts';
import type { FileAccess } from './file-access.ts';
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
import { ReadStream, type ReadStreamOptions, WriteStream, type WriteStreamOptions } from './file-streams.ts';
import type { FileWriter } from './file-writer.ts';
import { HandleData } from './handle-data.ts';
import type { OpenFile } from './open-files.ts';
import type { OpenFlags } from './open-flags.ts';
import { Operation, type OperationOptions } from './operation.ts';
import { BigIntStats, Stats } from './stats.ts';

// Writes are kept until a COMMIT confirms them (file-writer.ts): write() resolves when the data is on its way, sync() and
// close() when it is on the disk. What a caller gives is copied: its memory is free when the promise has settled.

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
  /** For those who run() an operation of their own. */
  readonly data: HandleData;
  #closing: Promise<void> | null = null;

  /** Made by FilerPairClient.open(). */
  constructor(access: FileAccess, file: OpenFile, flags: OpenFlags, path: string) {
    super();
    this.#access = access;
    this.#file = file;
    this.#flags = flags;
    this.data = new HandleData(access, file, flags);
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
    const bytesRead = await this.run('read', this.#flags.read, options, (operation) =>
      this.data.read(target, options.position, operation),
    );
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
      this.data.readRest(operation),
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
    await this.run('write', this.#flags.write, options, (operation) => this.data.put(bytes, at, operation));
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
        await this.data.put(piece, null, operation);
      }
    });
  }

  appendFile(data: FileData, options?: TextOptions): Promise<void> {
    return this.writeFile(data, options);
  }

  stat(options?: OperationOptions & { readonly bigint?: false }): Promise<Stats>;
  stat(options: OperationOptions & { readonly bigint: true }): Promise<BigIntStats>;
  async stat(options: OperationOptions & { readonly bigint?: boolean } = {}): Promise<Stats | BigIntStats> {
    const attributes = await this.run('fstat', true, options, (operation) => this.data.attributes(operation));
    const { readSize } = this.#access.sizes;
    return options.bigint === true ? new BigIntStats(attributes, readSize) : new Stats(attributes, readSize);
  }

  async truncate(size = 0, options?: OperationOptions): Promise<void> {
    await this.run('ftruncate', this.#flags.write, options, async (operation) => {
      // Data that is written again after this would make the file long again.
      await this.data.settle(operation);
      await this.data.set({ size }, operation);
    });
  }

  async chmod(mode: number, options?: OperationOptions): Promise<void> {
    await this.run('fchmod', true, options, (operation) => this.data.set({ mode: mode & 0o7777 }, operation));
  }

  async chown(uid: number, gid: number, options?: OperationOptions): Promise<void> {
    await this.run('fchown', true, options, (operation) => this.data.set(owner(uid, gid), operation));
  }

  async utimes(atime: Time, mtime: Time, options?: OperationOptions): Promise<void> {
    const times = { atime: setTime(atime), mtime: setTime(mtime) };
    await this.run('futime', true, options, async (operation) => {
      await this.data.settle(operation);
      await this.data.set(times, operation);
    });
  }

  /** Resolves when all that was written before, by any handle of this client, is on the disk. */
  async sync(options?: OperationOptions): Promise<void> {
    await this.run('fsync', true, options, async (operation) => {
      try {
        await this.data.commit(operation);
      } catch (error) {
        this.data.known = error;
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
      this.data.put(bytes, position, operation, true),
    );
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

  /** Closes without waiting for anything. */
  release(): void {
    this.#closing ??= Promise.resolve();
    this.#access.files.close(this.#file);
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
      if (error !== this.data.known) throw error;
    } finally {
      this.#access.files.close(this.#file);
      emitSafely(this, 'close', []);
    }
  }
}
