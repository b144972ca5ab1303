/**
 * One volume: a directory that is the root of a file system or a part of one, with its personality in
 * `.filerpair/`. It is open for one owner and epoch: open-volume.ts.
 */

import { constants } from 'node:os';
import type { VolumeSpec } from '../../settings/volume-spec.ts';
import { CloseQueue } from '../../system/close-queue.ts';
import { close } from '../../system/file-calls.ts';
import { isReadOnly } from '../../system/file-system-info.ts';
import { FileSystemSync } from '../../system/file-system-sync.ts';
import { FlushTimes } from '../../system/flush-queue.ts';
import type { NameFolding } from '../../system/name-folding.ts';
import { ReadQueue } from '../../system/read-queue.ts';
import { S_IFDIR, StatBuffer } from '../../system/statx.ts';
import type { SystemCall } from '../../system/system-calls.ts';
import { asServer } from '../../system/thread-identity.ts';
import { REFUSED, type WriteGate } from '../../system/write-gate.ts';
import { errnoName, failureOf, isTold, outcomeOf } from '../failures/errno-outcomes.ts';
import type { FaultReason } from '../failures/fault-reason.ts';
import type { VolumeFailure } from '../failures/status.ts';
import { VolumeErrors } from '../failures/volume-errors.ts';
import { identityIn, identityTypeIn } from '../handles/file-handle.ts';
import { type IdentityReader, openIdentity } from '../handles/file-identity.ts';
import type { HandleKeys } from '../handles/handle-keys.ts';
import type { Journal } from '../journal/journal.ts';
import { type JournalReserve, withReserve } from '../journal/journal-reserve.ts';
import { openJournal } from '../journal/open-journal.ts';
import type { RecoveredJournal } from '../journal/recovered-journal.ts';
import { type OwnershipRecord, readOwnership, writeOwnership } from '../ownership/ownership.ts';
import { OwnershipLook } from '../ownership/ownership-look.ts';
import { privateDirectory } from '../ownership/volume-files.ts';
import type { CommitOrder } from './commit-order.ts';
import { CountedKeys } from './counted-keys.ts';
import { asOpenError } from './open-failure.ts';
import { PathIndex } from './path-index.ts';
import type { VolumeRoot } from './volume-root.ts';

const { EROFS } = constants.errno;

const LOOK = 'read of the ownership record';
/** Reads of one thread on one volume that wait for its disk at a time; others queue in the order of their arrival. */
const UNCACHED_READS_AT_ONCE = 4;
/** The longest that an answer waits for the space of what was removed. ms */
const FREED_MS_MAX = 20;

export interface VolumeOwner {
  readonly home: string;
  readonly server: string;
  readonly incarnation: string;
  readonly epoch: number;
}

/** Everything that another thread of this process needs to read a volume that one of them has opened. Plain data. */
export interface VolumeAttachment {
  readonly spec: VolumeSpec;
  readonly owner: VolumeOwner;
  readonly ownership: OwnershipRecord;
  readonly keys: HandleKeys;
  /** false: files are found by name, through an index that only the opener's thread keeps. */
  readonly opensHandles: boolean;
}

/** Told once, the first time that a volume can no longer be served. */
export type FaultListener = (volume: Volume, reason: FaultReason, message: string) => void;

export class Volume {
  readonly spec: VolumeSpec;
  readonly owner: VolumeOwner;
  /** Gate that every change of the volume passes; closed for threads that only read. */
  readonly gate: WriteGate;
  /** As file handles carry it: the volume's own UUID until it is found in another place. */
  readonly uuid: Uint8Array;
  readonly uuidHex: string;
  /** Consequences of this opening that clients notice, for the log. */
  readonly warnings: readonly string[];
  /** Likewise, for the administrator: what might be done about the keys of file handles. null: nothing. */
  readonly keyNotice: string | null;
  /** Keys of file handles. */
  readonly keys: HandleKeys;
  readonly rootFd: number;
  readonly rootKey: string;
  readonly rootMountId: number;
  /** Bytes of the largest file that the file system can have. */
  readonly fileSizeMax: bigint;
  /** Nothing of the same file system lies outside the volume. */
  readonly isWholeFileSystem: boolean;
  /** Reads identities of this volume's files; one result at a time. */
  readonly identity: IdentityReader;
  /** Attributes: of the object an operation is about, and of the directory or second object beside it. */
  readonly stat: StatBuffer;
  #ownJournal: Journal | null;
  /**
   * Resolves when the ownership record is on the disk. Until then nothing else on the volume may be changed (R6). Rejected
   * with a VolumeOpenError.
   */
  readonly recorded: Promise<void>;
  /** null: taken, or of a thread that only reads. */
  #recoveredJournal: RecoveredJournal | null;
  /** Eight bytes; changes exactly when unstable data may have been lost. */
  readonly writeVerifier: Uint8Array;
  /** For FSINFO, attributes: the same wherever the volume is served. */
  readonly fsidHigh: number;
  readonly fsidLow: number;
  /** null: the kernel opens handles. Otherwise files are found by name. */
  readonly pathIndex: PathIndex | null;
  /** A new entry is durable with its directory: see flush-set.ts. */
  readonly orderedMetadata: boolean;
  /** Step that intents need before they may be executed; see commit-order.ts. */
  readonly intents: CommitOrder['intents'];
  /** For the log: why. */
  readonly intentsReason: string;
  /** Whatever changes a permission changes the object's change time: see known-access.ts. */
  readonly changeTimesTell: boolean;
  /** All of it is in memory (tmpfs): no read waits for a disk. */
  readonly isInMemory: boolean;
  /** Does the file system take several names for one? Where directories differ in that: DiskSet.mayFoldNames(). */
  readonly nameFolding: NameFolding;
  /** Space for journal and ownership record. */
  readonly reserve: JournalReserve;
  /** Keys of objects and names whose journalled operation has no recorded answer yet; see operation-log.ts. */
  readonly changing: CountedKeys;
  /** Times of flushes of files, directories and the whole file system; the journal counts its own. */
  readonly flushTimes: FlushTimes;
  readonly #syncing: FileSystemSync;
  /** READs of what is not in memory. */
  readonly uncachedReads: ReadQueue;
  /** Descriptors of removed objects. */
  readonly asyncClose: CloseQueue;
  /** The file system can say what is in memory; found out by the first READ. */
  knowsWhatIsCached: boolean;
  /** Errors of this thread's system calls, for the agent. */
  readonly errors: VolumeErrors;
  #ownership: OwnershipRecord;
  /** null: of a thread that only reads, or of a volume that others cannot reach. */
  readonly #look: OwnershipLook | null;
  #faulted: boolean;
  #closed: boolean;
  readonly #onFault: FaultListener;

  /** Only openVolume() makes one. */
  constructor(
    spec: VolumeSpec,
    owner: VolumeOwner,
    gate: WriteGate,
    ownership: OwnershipRecord,
    keys: HandleKeys,
    root: VolumeRoot,
    opening: Opening | null,
    onFault: FaultListener,
  ) {
    this.spec = spec;
    this.owner = owner;
    this.gate = gate;
    this.uuidHex = (ownership.handles ?? ownership.uuid).replaceAll('-', '');
    this.warnings = opening?.warnings ?? [];
    this.keyNotice = opening?.keyNotice ?? null;
    this.uuid = new Uint8Array(Buffer.from(this.uuidHex, 'hex'));
    this.keys = keys;
    this.rootFd = root.fd;
    this.rootKey = root.key;
    this.rootMountId = root.mountId;
    this.fileSizeMax = root.fileSizeMax;
    this.identity = root.identity;
    this.stat = new StatBuffer();
    this.isWholeFileSystem = root.isWholeFileSystem;
    this.#ownJournal = opening?.journal ?? null;
    this.#recoveredJournal = opening?.recoveredJournal ?? null;
    this.recorded = opening?.recorded ?? Promise.resolve();
    this.writeVerifier = new Uint8Array(Buffer.from(ownership.writeVerifier, 'hex'));
    const view = new DataView(this.uuid.buffer);
    this.fsidHigh = view.getUint32(0);
    this.fsidLow = view.getUint32(4);
    this.pathIndex = root.opensHandles ? null : new PathIndex(root.fd, root.key, root.identity);
    this.orderedMetadata = root.commitOrder.orderedMetadata;
    this.intents = root.commitOrder.intents;
    this.intentsReason = root.commitOrder.reason;
    this.changeTimesTell = root.changeTimesTell;
    this.isInMemory = root.isInMemory;
    this.nameFolding = root.nameFolding;
    this.reserve = root.reserve;
    this.flushTimes = new FlushTimes();
    this.#syncing = new FileSystemSync(root.fd, this.flushTimes);
    this.uncachedReads = new ReadQueue(UNCACHED_READS_AT_ONCE);
    this.asyncClose = new CloseQueue();
    this.knowsWhatIsCached = true;
    this.changing = new CountedKeys();
    this.errors = new VolumeErrors();
    this.#ownership = ownership;
    this.#look =
      opening === null || spec.reattached === true
        ? null
        : new OwnershipLook(
            spec.path,
            { epoch: owner.epoch, owner: owner.server },
            spec.writeThrough === true,
          );
    const begin = (): void => {
      if (!this.#closed) this.#look?.begin();
    };
    // Opening the volume awaits it too, and reports its failure.
    this.recorded.then(begin, () => {});
    this.#faulted = false;
    this.#closed = false;
    this.#onFault = onFault;
  }

  /** Journal that the owner before has left. Once: it keeps megabytes in memory. */
  takeRecoveredJournal(): RecoveredJournal {
    const found = this.#recoveredJournal;
    if (found === null) throw new Error('what was left in the journal is taken once');
    this.#recoveredJournal = null;
    return found;
  }

  /**
   * When the ownership record is on the disk, and before anything is changed: reads the journal again if anybody has appended to it
   * since it was read. An owner on a machine that was paused answers what it has appended until it finds the record. null: there is
   * nothing new. Throws VolumeOpenError.
   */
  async recoveredSince(): Promise<RecoveredJournal | null> {
    const directory = privateDirectory(this.spec.path);
    try {
      if (!(await this.journal.hasGrown(directory))) return null;
      const { journal, ...recoveredJournal } = await openJournal(directory, this.journal.uuid);
      const read = this.#ownJournal;
      this.#ownJournal = journal;
      await read?.close();
      return recoveredJournal;
    } catch (error) {
      throw asOpenError(this.spec, error);
    }
  }

  /** The journal is the changing thread's; threads that only read the volume (attachVolume) have none. */
  get journal(): Journal {
    if (this.#ownJournal === null)
      throw new Error('the journal belongs to the thread that changes the volume');
    return this.#ownJournal;
  }

  /** For attachVolume() in other threads of this process. */
  get attachment(): VolumeAttachment {
    const { spec, owner, keys, pathIndex } = this;
    const ownership = this.#ownership;
    return { spec, owner, ownership, keys, opensHandles: pathIndex === null };
  }

  /** Opens what a handle stands for, as the server itself. A descriptor, or -errno (ESTALE: gone). */
  openFile(handle: Uint8Array, key: string, flags: number): number {
    const { pathIndex, identity, rootFd } = this;
    return asServer(() =>
      pathIndex === null
        ? openIdentity(identity.kind, rootFd, identityTypeIn(handle), identityIn(handle), flags)
        : pathIndex.open(key, flags),
    );
  }

  /** From now on nothing may be answered that depends on this volume. Tells the agent once. */
  fail(reason: FaultReason, message: string): void {
    if (this.#faulted) return;
    this.#faulted = true;
    this.#onFault(this, reason, message);
  }

  get failed(): boolean {
    return this.#faulted;
  }

  /** Failure that a client is told of a system call that failed with `result` (-errno). `inode`: of the object, where it is known. */
  failure(call: SystemCall, result: number, inode: bigint | null = null): VolumeFailure {
    this.noted(call, result, inode);
    return failureOf(call, -result) ?? 'ioError';
  }

  /** The result of a system call, as it is. If it is an error, what follows from it for the volume (errno-outcomes.ts) is done. */
  noted(call: SystemCall, result: number, inode: bigint | null = null): number {
    if (result >= 0 || result === REFUSED) return result;
    if (isTold(call, -result)) this.errors.note(call, -result, inode);
    if (result === -EROFS) this.#failIfReadOnly(call);
    return result;
  }

  /** EROFS may be that of a part (a read-only subvolume of btrfs), or of the volume: then its own root says so. */
  #failIfReadOnly(call: SystemCall): void {
    if (!isReadOnly(this.rootFd)) return;
    this.fail(
      'ReadOnly',
      `volume ${this.spec.name}: its file system has become read-only (${call}: EROFS); the kernel's log says why`,
    );
  }

  /**
   * Has nobody newer taken the volume? Reads the record at this moment, for what must not depend on this machine's clocks alone:
   * one that was paused as a whole has seen no time pass. false: it has failed. Where the storage keeps everybody else away
   * (Reattach) nobody looks.
   */
  isOurs(): boolean {
    if (this.#look === null) return true;
    let found: OwnershipRecord | number | null;
    try {
      found = this.#look.ahead();
    } catch (error) {
      this.fail('IoError', `volume ${this.spec.name}: ${(error as Error).message}`);
      return false;
    }
    if (found === null) return true;
    if (typeof found !== 'number') this.failAhead(found);
    else if (outcomeOf(LOOK, -this.noted(LOOK, found)).kind === 'retry') return true;
    else
      this.fail(
        'IoError',
        `volume ${this.spec.name}: its ownership record cannot be read (${errnoName(-found)})`,
      );
    return false;
  }

  /** Ends the service with fault `VolumeEpochAhead` (R6). */
  failAhead({ owner, epoch }: OwnershipRecord): void {
    const { name } = this.spec;
    this.fail(
      'VolumeEpochAhead',
      `${owner} owns volume ${name} in epoch ${epoch}, ours is ${this.owner.epoch}`,
    );
  }

  /** Has somebody newer taken the volume? (docs/design.md R6) Reads the record again; null if it is still ours. */
  async newerOwner(): Promise<OwnershipRecord | null> {
    const found = await readOwnership(this.spec.path);
    return found !== null && found.epoch > this.owner.epoch ? found : null;
  }

  /**
   * Says in the ownership record that everything acknowledged is on the disk, unstable writes too: the caller has seen
   * to that, and writes nothing any more.
   */
  async declareClean(): Promise<void> {
    this.#ownership = { ...this.#ownership, clean: true };
    const { gate, spec } = this;
    const ownership = this.#ownership;
    await withReserve(gate, this.reserve, () =>
      writeOwnership(gate, spec.path, ownership, spec.writeThrough === true),
    );
  }

  /**
   * Calls back when the removed objects that this thread had open have given back their space. So a client that removes a file
   * because the disk is full has room when it is answered. It waits FREED_MS_MAX at most: a large object's space may come later,
   * as it does without a server.
   */
  whenFreed(done: () => void): void {
    this.asyncClose.whenClosed(done, FREED_MS_MAX);
  }

  /**
   * Flushes the whole file system: for what has no descriptor to be flushed by. Calls back with 0 or -errno. An error is final
   * for the volume.
   */
  sync(done: (result: number) => void): void {
    this.#syncing.sync(done);
  }

  /**
   * Ends what this thread does with the volume at once. Resolves when all flushes under way have ended and everything is closed,
   * however long that takes.
   */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all([this.#ownJournal?.close(), this.flushTimes.whenEnded()]);
    this.#look?.close();
    close(this.rootFd);
    await this.asyncClose.end();
  }
}

/** Parts that only the thread that changes the volume has. */
export interface Opening {
  readonly journal: Journal;
  readonly recoveredJournal: RecoveredJournal;
  readonly recorded: Promise<void>;
  readonly warnings: readonly string[];
  readonly keyNotice: string | null;
}

/** Is it a directory? For roots of exports. The volume's stat buffer holds its attributes afterwards. */
export function isDirectory(volume: Volume, fd: number): boolean {
  return volume.stat.ofFd(fd) === 0 && volume.stat.type === S_IFDIR;
}
