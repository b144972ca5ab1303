// Writing a file fast and surely: unstable WRITEs, several in flight, and a COMMIT.
//
// RFC 1813 §3.3.7 and §3.3.21: data written UNSTABLE may be lost with the server until a COMMIT confirms it, and
// the server tells by a verifier: if COMMIT returns another verifier than a WRITE did, that WRITE's data may be
// gone and has to be written again. So everything is kept until it is confirmed. This is what makes a failover in
// the middle of a long copy harmless: the survivor has another verifier.
import { FILE_SYNC, UNSTABLE } from '../protocol/nfs3.ts';
import type { FileHandle, Nfs3Client, WriteResult } from './nfs3-client.ts';

export interface FileWriterOptions {
  /** Bytes of one WRITE: the server's wtpref. */
  readonly writeSize: number;
  /** WRITEs in flight. */
  readonly window?: number;
  /** Unconfirmed bytes kept at most; when they are reached, a COMMIT goes out. */
  readonly unconfirmedSizeMax?: number;
  /** For messages. */
  readonly what?: string | undefined;
}

interface Chunk {
  readonly offset: number;
  readonly data: Uint8Array;
  /** Of the WRITE that carried it last; null if the server made it durable at once. */
  verifier: Uint8Array | null;
}

const WINDOW = 8;
const UNCONFIRMED_SIZE_MAX = 64 * 1024 * 1024;

export class FileWriter {
  private readonly client: Nfs3Client;
  private readonly handle: FileHandle;
  private readonly writeSize: number;
  private readonly window: number;
  private readonly unconfirmedSizeMax: number;
  private readonly what: string | undefined;
  private unconfirmed: Chunk[] = [];
  private unconfirmedSize = 0;
  private readonly inFlight = new Set<Promise<void>>();
  private failure: unknown = null;
  /** Bytes that had to be written again because a server had lost them. */
  rewritten = 0;

  constructor(client: Nfs3Client, handle: FileHandle, options: FileWriterOptions) {
    this.client = client;
    this.handle = handle;
    this.writeSize = options.writeSize;
    this.window = options.window ?? WINDOW;
    this.unconfirmedSizeMax = options.unconfirmedSizeMax ?? UNCONFIRMED_SIZE_MAX;
    this.what = options.what;
  }

  /**
   * Takes data for a place in the file; resolves when there is room for more, not when it is durable. The data
   * must not be changed before commit() has resolved. Rejects with the first error of any earlier write.
   */
  async write(offset: number, data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.length; at += this.writeSize) {
      const part = data.subarray(at, at + this.writeSize);
      while (this.inFlight.size >= this.window) await Promise.race(this.inFlight);
      this.throwFailure();
      if (this.unconfirmedSize >= this.unconfirmedSizeMax) await this.commit();
      this.begin({ offset: offset + at, data: part, verifier: null });
    }
  }

  /** Resolves when all that was written so far is on the disk. */
  async commit(): Promise<void> {
    for (;;) {
      await this.settle();
      const pending = this.unconfirmed.filter((chunk) => chunk.verifier !== null);
      if (pending.length === 0) break;
      const verifier = await this.client.commit(this.handle, 0, 0, this.what);
      const lost = pending.filter((chunk) => !sameBytes(chunk.verifier!, verifier));
      this.unconfirmed = [];
      this.unconfirmedSize = 0;
      for (const chunk of lost) {
        this.rewritten += chunk.data.length;
        while (this.inFlight.size >= this.window) await Promise.race(this.inFlight);
        this.throwFailure();
        this.begin(chunk);
      }
    }
    this.unconfirmed = [];
    this.unconfirmedSize = 0;
  }

  private begin(chunk: Chunk): void {
    this.unconfirmed.push(chunk);
    this.unconfirmedSize += chunk.data.length;
    const write: Promise<void> = this.send(chunk).then(
      () => void this.inFlight.delete(write),
      (error: unknown) => {
        this.failure ??= error;
        this.inFlight.delete(write);
      },
    );
    this.inFlight.add(write);
  }

  private async send(chunk: Chunk): Promise<void> {
    let written = 0;
    chunk.verifier = null;
    // RFC 1813 §3.3.7: the server may write less than it was given.
    while (written < chunk.data.length) {
      const rest = chunk.data.subarray(written);
      const result = await this.client.write(this.handle, chunk.offset + written, rest, UNSTABLE, this.what);
      if (result.count === 0)
        throw new Error(`${this.what ?? 'WRITE'}: the server wrote none of ${rest.length} bytes`);
      written += result.count;
      chunk.verifier = worse(chunk.verifier, result);
    }
  }

  private async settle(): Promise<void> {
    while (this.inFlight.size > 0) await Promise.race(this.inFlight);
    this.throwFailure();
  }

  private throwFailure(): void {
    if (this.failure !== null) throw this.failure;
  }
}

/** A verifier that no server's equals, for a chunk whose parts came back with different ones. */
const NEVER = new Uint8Array(0);

/** The verifier that confirms both what was written before and this part; null if neither needs a COMMIT. */
function worse(before: Uint8Array | null, result: WriteResult): Uint8Array | null {
  if (result.committed === FILE_SYNC) return before;
  if (before === null || sameBytes(before, result.verifier)) return result.verifier;
  return NEVER;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
