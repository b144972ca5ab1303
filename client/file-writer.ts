/** Writing a file fast and surely: unstable WRITEs, several in flight, and a COMMIT. */
import { FILE_SYNC, type nfs_fh3, UNSTABLE } from '../protocol/nfs3.ts';
import { RpcError } from './errors.ts';
import { type Extent, ExtentMap } from './extent-map.ts';
import type { Nfs3Client } from './nfs3-client.ts';
import { Operation } from './operation.ts';

// RFC 1813 §3.3.7 and §3.3.21: data written UNSTABLE may be lost with the server until a COMMIT confirms it, and the server tells
// by a verifier. If COMMIT returns another verifier than a WRITE did, that WRITE's data may be gone and has to be written again.
// So everything is kept until it is confirmed. This is what makes a failover in the middle of a long copy harmless: the survivor
// has another verifier.
//
//   write()  -->  [ unsent ]  -- WRITE -->  [ sent ]  -- COMMIT, same verifier -->  on the disk
//                      ^                        |
//                      `-- other verifier, or the server took only a part
//
// Like a kernel's page cache it keeps one version of each byte, the newest: what is written again never brings
// older data back. Two WRITEs over the same bytes are never in flight at once, so that nothing depends on the order
// in which a server executes them.

/** How a FileWriter splits and bounds its WRITEs. */
export interface FileWriterOptions {
  /** Bytes of one WRITE: the server's wtpref. */
  readonly writeSize: number;
  /** WRITEs in flight. */
  readonly window?: number;
  /** Bytes that were sent and are not confirmed, at most; when they are reached, a COMMIT goes out. */
  readonly unconfirmedSizeMax?: number;
  /** For messages. */
  readonly path?: string | undefined;
}

const WINDOW = 8;
const UNCONFIRMED_SIZE_MAX = 64 * 1024 * 1024;
/** Extents that were sent and are not confirmed, at most: many small ones cost more than their bytes. */
const UNCONFIRMED_COUNT_MAX = 16 * 1024;

/** Several callers may write and commit at once, also to the same place: the write that was called last stays. */
export class FileWriter {
  readonly #client: Pick<Nfs3Client, 'write' | 'commit'>;
  readonly #handle: nfs_fh3;
  readonly #writeSize: number;
  readonly #window: number;
  readonly #unconfirmedSizeMax: number;
  readonly #writing: Operation;
  readonly #committing: Operation;
  readonly #unsent = new ExtentMap();
  /** Data that was sent and is not confirmed, with what is in flight. */
  readonly #sent = new ExtentMap();
  readonly #inFlight = new Set<Extent>();
  /** Number of the last write(). */
  #written = 0;
  /** During a COMMIT: what was written later is only sent where nothing else waits for it. */
  #sendUpTo = Number.POSITIVE_INFINITY;
  #confirming: Promise<void> | null = null;
  #waiters: (() => void)[] = [];
  #failure: unknown = null;
  /** Bytes that had to be written again because a server had lost them. */
  rewritten = 0;

  constructor(client: Pick<Nfs3Client, 'write' | 'commit'>, handle: nfs_fh3, options: FileWriterOptions) {
    this.#client = client;
    this.#handle = handle;
    this.#writeSize = options.writeSize;
    this.#window = options.window ?? WINDOW;
    this.#unconfirmedSizeMax = options.unconfirmedSizeMax ?? UNCONFIRMED_SIZE_MAX;
    this.#writing = new Operation({ syscall: 'write', path: options.path });
    this.#committing = new Operation({ syscall: 'fsync', path: options.path });
  }

  /**
   * Takes data for a place in the file; resolves when there is room for more, not when it is durable. The data
   * must not be changed before a commit() that was called afterwards has resolved, or a call here has rejected with
   * the first error of a WRITE: no later call heals that. After the error of a COMMIT the next commit() tries again.
   */
  async write(offset: number, data: Uint8Array): Promise<void> {
    this.#written += 1;
    for (let at = 0; at < data.length; at += this.#writeSize) {
      const part = data.subarray(at, at + this.#writeSize);
      this.#unsent.putOver(extentOf(offset + at, part, this.#written));
    }
    this.#sendMore();
    while (this.#unsent.count > 0 && this.#failure === null) {
      if (this.#full) await this.#confirm();
      else await this.#change();
    }
    await this.#throwFailure();
  }

  /** Resolves when all that was written before the call is on the disk. Rejects as write() does. */
  async commit(): Promise<void> {
    const upTo = this.#written;
    await this.#throwFailure();
    while (holds(this.#unsent, upTo) || holds(this.#sent, upTo)) await this.#confirm();
  }

  /** False: there is data that no COMMIT has confirmed yet. */
  get isClean(): boolean {
    return this.#unsent.count === 0 && this.#sent.count === 0;
  }

  /** A WRITE has failed: this writer writes nothing any more. */
  get isBroken(): boolean {
    return this.#failure !== null;
  }

  /** Resolves when no WRITE is under way. */
  async atRest(): Promise<void> {
    while (this.#inFlight.size > 0) await this.#change();
  }

  get #full(): boolean {
    return this.#sent.size >= this.#unconfirmedSizeMax || this.#sent.count >= UNCONFIRMED_COUNT_MAX;
  }

  /** A COMMIT, with what has to be done before and after it. Callers that come while it is under way share it. */
  #confirm(): Promise<void> {
    this.#confirming ??= this.#confirmSent().finally(() => {
      this.#confirming = null;
      this.#sendUpTo = Number.POSITIVE_INFINITY;
      this.#proceed();
    });
    return this.#confirming;
  }

  async #confirmSent(): Promise<void> {
    // Later writes to the same place wait: otherwise a user who never stops writing there would delay the COMMIT forever.
    const upTo = this.#written;
    this.#sendUpTo = upTo;
    this.#sendMore();
    while (holds(this.#inFlight, upTo) || (!this.#full && holds(this.#unsent, upTo))) {
      if (this.#failure !== null) break;
      await this.#change();
    }
    await this.#throwFailure();
    // Not what is answered while the COMMIT is under way: that may have been executed after it.
    const covered = new Set<Extent>();
    for (const extent of this.#sent) if (extent.verifier !== null) covered.add(extent);
    if (covered.size === 0) return;
    this.#sendUpTo = Number.NEGATIVE_INFINITY;
    const verifier = await this.#commitAll();
    this.#sent.removeAll(covered);
    for (const extent of covered) {
      if (extent.dropped || Buffer.compare(extent.verifier!, verifier) !== 0) this.#sendAgain(extent);
    }
  }

  async #commitAll(): Promise<Uint8Array> {
    try {
      return await this.#client.commit(this.#handle, 0, 0, this.#committing);
    } catch (error) {
      // As Linux does it: what could not be written to the disk is dropped, and the next COMMIT succeeds.
      for (const extent of this.#sent) extent.dropped = true;
      throw error;
    }
  }

  #sendAgain(extent: Extent): void {
    this.rewritten += extent.data.length;
    this.#unsent.putUnder({ ...extent, verifier: null, dropped: false });
  }

  #sendMore(): void {
    while (this.#inFlight.size < this.#window && !this.#full && this.#failure === null) {
      const next = this.#nextToSend();
      if (next === null) return;
      this.#unsent.remove(next);
      this.#sent.putOver(next);
      this.#inFlight.add(next);
      void this.#send(next);
    }
  }

  #nextToSend(): Extent | null {
    for (const extent of this.#unsent) {
      if (extent.since <= this.#sendUpTo && !this.#isInFlight(extent)) return extent;
    }
    if (this.#confirming === null) return null;
    for (const extent of this.#unsent) if (!this.#sent.overlaps(extent)) return extent;
    return null;
  }

  #isInFlight({ start, data }: Extent): boolean {
    for (const each of this.#inFlight) {
      if (each.start < start + data.length && start < each.start + each.data.length) return true;
    }
    return false;
  }

  async #send(extent: Extent): Promise<void> {
    const { start, data, since } = extent;
    try {
      const result = await this.#client.write(this.#handle, start, data, UNSTABLE, this.#writing);
      if (result.count === 0) {
        const reason = `WRITE: the server wrote none of ${data.length} bytes`;
        throw new RpcError('EPROTO', reason, this.#writing);
      }
      const { count, committed } = result;
      extent.verifier = result.verifier;
      if (committed === FILE_SYNC || count < data.length) this.#sent.remove(extent);
      // RFC 1813 §3.3.7: the server may write less than it was given.
      if (count < data.length) {
        if (committed !== FILE_SYNC) this.#sent.putOver({ ...extent, data: data.subarray(0, count) });
        const rest = data.subarray(count);
        this.#unsent.putUnder(extentOf(start + count, rest, since));
      }
    } catch (error) {
      this.#failure ??= error;
    }
    this.#inFlight.delete(extent);
    this.#proceed();
  }

  #proceed(): void {
    this.#sendMore();
    for (const wake of this.#waiters.splice(0)) wake();
  }

  /** Resolves when a WRITE was answered or a COMMIT has ended. */
  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** Not before all WRITEs have ended: until then they read the caller's memory. */
  async #throwFailure(): Promise<void> {
    if (this.#failure === null) return;
    await this.atRest();
    throw this.#failure;
  }
}

function extentOf(start: number, data: Uint8Array, since: number): Extent {
  return { start, data, since, verifier: null, dropped: false };
}

/** Is anything of the first `upTo` writes in here, or of what took its place? */
function holds(map: Iterable<Extent>, upTo: number): boolean {
  for (const extent of map) if (extent.since <= upTo) return true;
  return false;
}
