/** Streams of a file, as those of node:fs: several calls in flight, back-pressure by pipe() and pipeline(). */
import { addAbortSignal, Readable, Writable } from 'node:stream';
import { cancellable } from './cancellable.ts';
import type { Operation, OperationOptions } from './operation.ts';

interface StreamOptions {
  readonly flags?: string | number | undefined;
  readonly mode?: number | undefined;
  readonly encoding?: BufferEncoding | undefined;
  /** First byte. */
  readonly start?: number | undefined;
  /** Bytes that the stream keeps before it waits. */
  readonly highWaterMark?: number | undefined;
  /** Destroys the stream. */
  readonly signal?: AbortSignal | undefined;
  /** Longest wait for one reply, in ms. Default: the client's. */
  readonly callTimeoutMs?: number | undefined;
}

/** Options of createReadStream(); positions are bytes. */
export interface ReadStreamOptions extends StreamOptions {
  /** Last byte; default: to the end that the file has when that is reached. */
  readonly end?: number | undefined;
}

/** Options of createWriteStream(). */
export interface WriteStreamOptions extends StreamOptions {}

/** The file below: a FileHandle. */
export interface StreamedFile {
  run<T>(
    syscall: string,
    allowed: boolean,
    options: OperationOptions | undefined,
    work: (operation: Operation) => Promise<T>,
  ): Promise<T>;
  readonly data: {
    settle(operation: Operation): Promise<unknown>;
    pieces(start: number, end: number, operation: Operation): AsyncGenerator<Uint8Array>;
  };
  take(bytes: Uint8Array, position: number, options?: OperationOptions): Promise<void>;
  sync(options?: OperationOptions): Promise<void>;
  close(): Promise<void>;
}

type Open = () => Promise<StreamedFile>;
type Done = (error?: Error | null) => void;

const HIGH_WATER_MARK = 4 * 1024 * 1024;

/**
 * A file as a stream: fs.ReadStream.
 *
 * @see https://nodejs.org/docs/latest-v24.x/api/fs.html#class-fsreadstream
 */
export class ReadStream extends Readable {
  readonly path: string;
  /** Bytes handed out. */
  bytesRead = 0;
  readonly #openFile: Open;
  readonly #options: ReadStreamOptions;
  #handle: StreamedFile | null = null;
  #pieces: AsyncGenerator<Uint8Array> | null = null;

  constructor(open: Open, path: string, options: ReadStreamOptions) {
    const { highWaterMark = HIGH_WATER_MARK, encoding } = options;
    super({ highWaterMark, ...(encoding && { encoding }) });
    this.#openFile = open;
    this.path = path;
    this.#options = options;
    if (options.signal !== undefined) addAbortSignal(options.signal, this);
  }

  override _construct(done: Done): void {
    const open = async () => {
      const handle = await this.#openFile();
      this.#handle = handle;
      const { start = 0, end = Number.POSITIVE_INFINITY, callTimeoutMs } = this.#options;
      await handle.run('read', true, { callTimeoutMs }, async (operation) => {
        await handle.data.settle(operation);
        this.#pieces = cancellable(operation, (own) => handle.data.pieces(start, end + 1, own));
      });
      this.emit('open');
      this.emit('ready');
    };
    open().then(
      () => done(),
      // A stream that is destroyed already has an error; another one would hide it.
      (error: Error) => done(this.destroyed ? null : error),
    );
  }

  override _read(): void {
    this.#handle!.run('read', true, undefined, () => this.#pieces!.next()).then(
      ({ value, done }) => {
        if (done === true) this.push(null);
        else {
          this.bytesRead += value.length;
          this.push(value);
        }
      },
      (error: Error) => this.destroy(error),
    );
  }

  override _destroy(error: Error | null, done: Done): void {
    const end = async () => {
      await this.#pieces?.return(undefined).catch(() => {});
      await this.#handle?.close();
    };
    end().then(
      () => done(error),
      (failure: Error) => done(error ?? failure),
    );
  }
}

/**
 * fs.WriteStream; 'finish' is emitted when everything is on the disk of the server.
 *
 * @see https://nodejs.org/docs/latest-v24.x/api/fs.html#class-fswritestream
 */
export class WriteStream extends Writable {
  readonly path: string;
  /** Bytes taken over from the stream. */
  bytesWritten = 0;
  readonly #openFile: Open;
  readonly #options: WriteStreamOptions;
  #handle: StreamedFile | null = null;
  #position: number;

  constructor(open: Open, path: string, options: WriteStreamOptions) {
    const { highWaterMark = HIGH_WATER_MARK, encoding } = options;
    super({ highWaterMark, ...(encoding && { defaultEncoding: encoding }) });
    this.#openFile = open;
    this.path = path;
    this.#options = options;
    this.#position = options.start ?? 0;
    if (options.signal !== undefined) addAbortSignal(options.signal, this);
  }

  override _construct(done: Done): void {
    const open = async () => {
      this.#handle = await this.#openFile();
      this.emit('open');
      this.emit('ready');
    };
    open().then(
      () => done(),
      // A stream that is destroyed already has an error; another one would hide it.
      (error: Error) => done(this.destroyed ? null : error),
    );
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#put(Uint8Array.prototype.slice.call(chunk)).then(() => done(), done);
  }

  /** Chunks that have gathered while a write waited are written as one: small chunks become large WRITEs. */
  override _writev(chunks: readonly { chunk: Buffer }[], done: Done): void {
    this.#put(Buffer.concat(chunks.map((each) => each.chunk))).then(() => done(), done);
  }

  override _final(done: Done): void {
    this.#handle!.sync().then(() => done(), done);
  }

  override _destroy(error: Error | null, done: Done): void {
    const closed = this.#handle?.close() ?? Promise.resolve();
    if (error !== null) {
      // Destroying the stream does not wait for a disk. What was written goes on by itself.
      closed.catch(() => {});
      done(error);
      return;
    }
    closed.then(() => done(), done);
  }

  async #put(chunk: Uint8Array): Promise<void> {
    const at = this.#position;
    this.#position += chunk.length;
    await this.#handle!.take(chunk, at, { callTimeoutMs: this.#options.callTimeoutMs });
    this.bytesWritten += chunk.length;
  }
}
