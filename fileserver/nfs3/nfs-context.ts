/**
 * Context of the NFS procedures of one disk set in one thread: the disk set, where journaled operations go, and scratch memory.
 * A call uses the scratch memory within its turn of the event loop and keeps nothing there.
 */

import { addressOf } from '../../native/native-buffer.ts';
import { XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import type { OperationLog } from '../storage/duplicate-requests/operation-log.ts';
import type { OperationStep } from '../storage/duplicate-requests/operation-step.ts';
import type { ReplyListener } from '../storage/duplicate-requests/reply-listener.ts';
import type { DiskSet } from '../storage/files/disk-set.ts';
import { DataFlusher } from '../storage/flush/data-flusher.ts';
import type { Volume } from '../storage/volume/volume.ts';
import { BytePool } from '../system/byte-pool.ts';
import { DirectoryReader } from '../system/directory-entries.ts';
import { StatBuffer } from '../system/statx.ts';
import { BeforeAttributes } from './attributes.ts';
import { DirectoryAttributes } from './directory-attributes.ts';
import { RecentWrites } from './recent-writes.ts';

export interface NfsHooks {
  /** The volume's log; null in a thread that changes no volume. */
  readonly logOf: (volume: Volume) => OperationLog | null;
  /** An exception that costs one call: for the log. */
  readonly onBug: (error: unknown) => void;
  /** For the test that kills the process at a step. */
  readonly onStep: (operation: string, step: OperationStep) => void;
}

export class NfsContext {
  readonly diskSet: DiskSet;
  readonly flusher: DataFlusher;
  readonly logOf: NfsHooks['logOf'];
  readonly onBug: NfsHooks['onBug'];
  readonly onStep: NfsHooks['onStep'];
  readonly directory: DirectoryAttributes;
  /** Attributes before a change, of the objects that the call's reply has them of, in the reply's order. */
  readonly before = [new BeforeAttributes(), new BeforeAttributes()] as const;
  /** Attributes of a second object, beside Volume.stat. */
  readonly stat = new StatBuffer();
  /** Results that do not go into the connection's output at once; copied out. */
  readonly out = new XdrWriter(1024);
  /** Arguments, until the operation is answered. */
  readonly argumentMemory = new BytePool();
  readonly argumentReader = new XdrReader();
  /** The buffer of the last addressIn(), and where it lies. */
  #bytes: Uint8Array | null = null;
  #address = 0;
  #listing: DirectoryReader | null = null;
  #recentWrites: RecentWrites | null = null;

  constructor(diskSet: DiskSet, { logOf, onBug, onStep }: NfsHooks) {
    this.diskSet = diskSet;
    this.flusher = new DataFlusher(diskSet.table);
    this.logOf = logOf;
    this.onBug = onBug;
    this.onStep = onStep;
    this.directory = new DirectoryAttributes(diskSet);
  }

  /** The address of w.bytes[at], asked of the engine only when the buffer is another one. */
  addressIn({ bytes }: XdrWriter, at: number): number {
    if (bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.#address = addressOf(bytes);
    }
    return this.#address + at;
  }

  /** One listing at a time. */
  get listing(): DirectoryReader {
    this.#listing ??= new DirectoryReader();
    return this.#listing;
  }

  get recentWrites(): RecentWrites {
    this.#recentWrites ??= new RecentWrites();
    return this.#recentWrites;
  }

  /** At the beginning of each step: what an earlier one has found is not "before" this one. */
  forgetBefore(): void {
    for (const before of this.before) before.forget();
  }

  /** Runs the rest of a call that comes back later. An exception costs this call alone. */
  contained(reply: ReplyListener, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.onBug(error);
      reply(null, 0, 0);
    }
  }
}
