/**
 * One volume: a directory that is the root of a file system or a part of one, with its personality in
 * `.filerpair/`. Opened for one owner and epoch; opening writes the ownership record before anything is served
 * (docs/design.md R6) and replays the journal.
 */

import { randomBytes, randomUUID } from 'node:crypto';
import { readdir, stat as statPath } from 'node:fs/promises';
import { constants } from 'node:os';
import type { VolumeSpec } from '../../settings/volume-spec.ts';
import { ClosingLane } from '../../system/closing-lane.ts';
import {
  AT_FDCWD,
  close,
  fileSizeMax,
  O_DIRECTORY,
  O_PATH,
  O_RDONLY,
  openAt,
} from '../../system/file-calls.ts';
import { fileSystemIdentity } from '../../system/file-system-identity.ts';
import { isReadOnly } from '../../system/file-system-info.ts';
import { FileSystemSync } from '../../system/file-system-sync.ts';
import { FlushTimes } from '../../system/flush-lane.ts';
import { hasInternalJournal, mountOf } from '../../system/mounts.ts';
import type { NameFolding } from '../../system/name-folding.ts';
import { openForReading } from '../../system/pool-calls.ts';
import { ReadLane } from '../../system/read-lane.ts';
import { S_IFDIR, StatBuffer } from '../../system/statx.ts';
import type { SystemCall } from '../../system/system-calls.ts';
import { become, SERVER_IDENTITY } from '../../system/thread-identity.ts';
import { inBackground } from '../../system/turns.ts';
import { NO_WRITES, REFUSED, RefusedError, type WriteGate } from '../../system/write-gate.ts';
import { errnoName, failureOf, isTold, outcomeOf } from '../failures/errno-outcomes.ts';
import type { FaultReason } from '../failures/fault-reason.ts';
import type { VolumeFailure } from '../failures/status.ts';
import { VolumeErrors } from '../failures/volume-errors.ts';
import { identityIn, identityTypeIn } from '../handles/file-handle.ts';
import { IdentityReader, openIdentity } from '../handles/file-identity.ts';
import { type HandleKeys, keyNotice, keysOf, readPairKeys } from '../handles/handle-keys.ts';
import { changeTimesTell } from '../handles/known-access.ts';
import { type Journal, JournalCorruptError, openJournal, type Replay } from '../journal/journal.ts';
import { JournalReserve } from '../journal/journal-reserve.ts';
import type { LeftBehind } from '../journal/left-behind.ts';
import { PRIVATE_DIRECTORY } from '../names/names.ts';
import { type WrittenVolume, whyBehind } from '../ownership/behind.ts';
import {
  closeToOthers,
  initialiseVolume,
  isAhead,
  OwnershipAheadError,
  type OwnershipRecord,
  type OwnershipSlot,
  ownershipFile,
  privateDirectory,
  readOwnership,
  readOwnershipSlot,
  readSecret,
  readVolumeRecord,
  reserveFile,
  restoredFile,
  saysRestored,
  secretFile,
  takeBackRestored,
  type VolumeRecord,
  writeOwnership,
} from '../ownership/ownership.ts';
import { OwnershipLook } from '../ownership/ownership-look.ts';
import { describePlace, isElsewhere, knownPlace, type Place } from '../ownership/place.ts';
import { openPrivate, VolumeRecordError } from '../private-files/private-files.ts';
import { type CommitOrder, commitOrderOf } from './commit-order.ts';
import { CountedKeys } from './counted-keys.ts';
import { pinMountedVolume } from './mounted-volume.ts';
import { OpenFailure } from './open-failure.ts';
import { PathIndex } from './path-index.ts';

const { EPERM, ENOENT, EOPNOTSUPP, ENOSYS, EOVERFLOW, EROFS } = constants.errno;

const LOOK = 'read of the ownership record';
/** Of one thread on one volume; the rest wait, in the order in which they came. */
const COLD_READS_AT_ONCE = 4;
/** How long an answer waits until what was removed has given back its space. ms */
const FREED_MS_MAX = 20;

export interface VolumeOwner {
  readonly home: string;
  readonly server: string;
  readonly incarnation: string;
  readonly epoch: number;
}

/** Why a volume can't be served by this owner now. The message is a sentence for people. */
export class VolumeOpenError extends Error {
  override readonly name = 'VolumeOpenError';
  readonly reason: OpenFailure;
  readonly epochFound: number | null;

  constructor(reason: OpenFailure, message: string, epochFound: number | null = null) {
    super(message);
    this.reason = reason;
    this.epochFound = epochFound;
  }
}

/** What another thread of this process needs to read a volume that one of them has opened. Plain data. */
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
  /** What every change of the volume passes; closed for threads that only read. */
  readonly gate: WriteGate;
  /** As file handles carry it: the volume's own UUID until it is found in another place. */
  readonly uuid: Uint8Array;
  readonly uuidHex: string;
  /** Of this opening, for the log: what clients notice of it. */
  readonly warnings: readonly string[];
  /** Likewise, for the administrator: what might be done about the keys of file handles. null: nothing. */
  readonly keyNotice: string | null;
  /** Of file handles. */
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
  #leftBehind: LeftBehind | null;
  /** Eight bytes; changes exactly when unstable data may have been lost. */
  readonly writeVerifier: Uint8Array;
  /** For FSINFO, attributes: the same wherever the volume is served. */
  readonly fsidHigh: number;
  readonly fsidLow: number;
  /** null: the kernel opens handles. Otherwise files are found by name. */
  readonly pathIndex: PathIndex | null;
  /** A new entry is durable with its directory: see flush-set.ts. */
  readonly orderedMetadata: boolean;
  /** What has to be done with intents before they may be executed; see commit-order.ts. */
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
  /** Of files, directories and the whole file system; the journal counts its own. */
  readonly flushTimes: FlushTimes;
  readonly #syncing: FileSystemSync;
  /** READs of what is not in memory. */
  readonly coldReads: ReadLane;
  /** Descriptors of removed objects. */
  readonly closings: ClosingLane;
  /** The file system can say what is in memory; found out by the first READ. */
  knowsWhatIsCached: boolean;
  /** Of this thread's system calls, for the agent. */
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
    this.#leftBehind = opening?.leftBehind ?? null;
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
    this.coldReads = new ReadLane(COLD_READS_AT_ONCE);
    this.closings = new ClosingLane();
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

  /** What the owner before has left in the journal. Once: it keeps megabytes in memory. */
  takeLeftBehind(): LeftBehind {
    const found = this.#leftBehind;
    if (found === null) throw new Error('what was left in the journal is taken once');
    this.#leftBehind = null;
    return found;
  }

  /**
   * When the ownership record is on the disk, and before anything is changed: reads the journal again if anybody has appended to it
   * since it was read. An owner on a machine that was paused answers what it has appended until it finds the record. null: there is
   * nothing new. Throws VolumeOpenError.
   */
  async leftBehindSince(): Promise<LeftBehind | null> {
    const directory = privateDirectory(this.spec.path);
    try {
      if (!(await this.journal.hasGrown(directory))) return null;
      const { journal, ...leftBehind } = await openJournal(directory, this.journal.uuid);
      const read = this.#ownJournal;
      this.#ownJournal = journal;
      await read?.close();
      return leftBehind;
    } catch (error) {
      throw asOpenError(this.spec, error);
    }
  }

  /** Of the thread that changes the volume; threads that only read it (attachVolume) have none. */
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
    become(SERVER_IDENTITY);
    if (this.pathIndex !== null) return this.pathIndex.open(key, flags);
    return openIdentity(this.identity.kind, this.rootFd, identityTypeIn(handle), identityIn(handle), flags);
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

  /** What a client is told of a system call that failed with `result` (-errno). `inode`: of the object, where it is known. */
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
   * Has nobody newer taken the volume? A look at the record at this moment, for what must not depend on this machine's clocks alone:
   * one that was paused as a whole has seen no time pass. false: it has failed. Where the storage keeps everybody else away (Reattach)
   * nobody looks.
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

  failAhead({ owner, epoch }: OwnershipRecord): void {
    const { name } = this.spec;
    this.fail(
      'VolumeEpochAhead',
      `volume ${name} is owned by ${owner} in epoch ${epoch}, ours is ${this.owner.epoch}`,
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
   * Calls back when the removed objects that this thread had open have given back their space: whoever removes a file because
   * the disk is full has room when he is answered. A large one may take longer than others should wait: its space comes later,
   * as it does for those who remove it without a server.
   */
  whenFreed(done: () => void): void {
    this.closings.whenClosed(done, FREED_MS_MAX);
  }

  /**
   * Flushes the whole file system: for what has no descriptor to be flushed by. Calls back with 0 or -errno. An error is final
   * for the volume.
   */
  sync(done: (result: number) => void): void {
    this.#syncing.sync(done);
  }

  /**
   * What this thread does with the volume ends at once. Resolves when every flush under way has ended and everything is closed,
   * however long that takes.
   */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all([this.#ownJournal?.close(), this.flushTimes.whenEnded()]);
    this.#look?.close();
    close(this.rootFd);
    await this.closings.end();
  }
}

/** What a thread that changes the volume has of it. */
interface Opening {
  readonly journal: Journal;
  readonly leftBehind: LeftBehind;
  readonly recorded: Promise<void>;
  readonly warnings: readonly string[];
  readonly keyNotice: string | null;
}

interface VolumeRoot {
  readonly fd: number;
  readonly key: string;
  readonly mountId: number;
  readonly isWholeFileSystem: boolean;
  readonly fileSizeMax: bigint;
  readonly commitOrder: CommitOrder;
  readonly changeTimesTell: boolean;
  readonly isInMemory: boolean;
  readonly nameFolding: NameFolding;
  readonly reserve: JournalReserve;
  readonly identity: IdentityReader;
  readonly opensHandles: boolean;
  readonly place: Place;
}

/** What openVolume() reads of a volume that is there. */
export interface PreparedVolume {
  readonly record: VolumeRecord;
  readonly root: VolumeRoot;
  readonly last: OwnershipSlot | null;
  readonly keys: ReadKeys;
  readonly replay: Replay;
  /** The administrator says that it was restored. */
  readonly restored: boolean;
}

/**
 * Reads what openVolume() will read, and changes nothing; null: it can't be read now, and openVolume() will say why. It holds
 * descriptors until it is opened or discarded.
 *
 * It stays true as long as nobody writes to the volume: from the moment of a claim, whose owner before has released it or has
 * no right any more, to the end of that claim, which succeeds only if nobody else has owned the disk set meanwhile.
 */
export async function prepareVolume(spec: VolumeSpec): Promise<PreparedVolume | null> {
  become(SERVER_IDENTITY);
  try {
    const record = await readVolumeRecord(spec.path);
    if (record === null) return null;
    const root = openRoot(spec);
    try {
      const [last, keys, restored] = await Promise.all([
        readOwnershipSlot(spec.path),
        readKeys(spec, root),
        saysRestored(spec.path),
      ]);
      const replay = await openJournal(privateDirectory(spec.path), uuidBytes(record));
      return { record, root, last, keys, replay, restored };
    } catch (error) {
      close(root.fd);
      throw error;
    }
  } catch {
    return null;
  }
}

export function discardPrepared(prepared: PreparedVolume): void {
  inBackground(prepared.replay.journal.close());
  close(prepared.root.fd);
}

/**
 * Verifies that the directory is the home server's volume, not owned by somebody newer and not behind what was `written`,
 * begins to write the ownership record (Volume.recorded), reads the journal. Only the home server makes a virgin directory a
 * volume. Throws VolumeOpenError.
 */
export async function openVolume(
  spec: VolumeSpec,
  owner: VolumeOwner,
  gate: WriteGate,
  onFault: FaultListener,
  prepared: PreparedVolume | null = null,
  written: WrittenVolume | null = null,
): Promise<Volume> {
  become(SERVER_IDENTITY);
  let pin: number | null = null;
  try {
    if (spec.reattached === true) pin = pinned(spec);
    return prepared === null
      ? await openUnprepared(spec, owner, gate, onFault, written)
      : openPrepared(spec, owner, gate, onFault, prepared, written);
  } catch (error) {
    throw asOpenError(spec, error);
  } finally {
    // By now the volume's own descriptor holds it, or it is not to be served.
    if (pin !== null) close(pin);
  }
}

async function openUnprepared(
  spec: VolumeSpec,
  owner: VolumeOwner,
  gate: WriteGate,
  onFault: FaultListener,
  written: WrittenVolume | null,
): Promise<Volume> {
  const restored = await saysRestored(spec.path);
  const record = await verify(spec, owner, gate, written, restored);
  const root = openRoot(spec);
  try {
    const [last, keys] = await Promise.all([readOwnershipSlot(spec.path), readKeys(spec, root)]);
    const next = nextOwnership(spec, owner, { record, root, last, restored }, written);
    const { ownership, warnings } = next;
    // The record is on its way to the disk while the journal is read.
    const recorded = recordOwnership(spec, root, gate, ownership, restored);
    const replay = await beside(recorded, openJournal(privateDirectory(spec.path), uuidBytes(record)));
    return opened(spec, owner, gate, onFault, { root, keys, replay, ownership, recorded, warnings });
  } catch (error) {
    close(root.fd);
    throw error;
  }
}

function openPrepared(
  spec: VolumeSpec,
  owner: VolumeOwner,
  gate: WriteGate,
  onFault: FaultListener,
  prepared: PreparedVolume,
  written: WrittenVolume | null,
): Volume {
  const { record, root, keys, replay, restored } = prepared;
  try {
    mustBelongTo(spec, owner, record);
    const { ownership, warnings } = nextOwnership(spec, owner, prepared, written);
    const recorded = recordOwnership(spec, root, gate, ownership, restored);
    return opened(spec, owner, gate, onFault, { root, keys, replay, ownership, recorded, warnings });
  } catch (error) {
    discardPrepared(prepared);
    throw error;
  }
}

interface Read extends Pick<PreparedVolume, 'root' | 'keys' | 'replay'> {
  readonly ownership: OwnershipRecord;
  readonly recorded: Promise<void>;
  readonly warnings: readonly string[];
}

function opened(
  spec: VolumeSpec,
  owner: VolumeOwner,
  gate: WriteGate,
  onFault: FaultListener,
  read: Read,
): Volume {
  const { root, keys, ownership, recorded, warnings } = read;
  const { journal, ...leftBehind } = read.replay;
  const opening = { journal, leftBehind, recorded, warnings, keyNotice: keys.notice };
  return new Volume(spec, owner, gate, ownership, keys.keys, root, opening, onFault);
}

/** Writes in place, and once more with the reserve's space if there is none. */
export async function withReserve(
  gate: WriteGate,
  reserve: JournalReserve,
  write: () => Promise<void>,
): Promise<void> {
  try {
    await write();
  } catch (error) {
    const { errno = 0 } = error as NodeJS.ErrnoException;
    // Errors of node:fs have the negative number, those of our own calls the positive.
    if (!reserve.lend(gate, -Math.abs(errno))) throw error;
    await write();
  }
}

/** Everything that follows is done by path: it must be the volume that the path leads to, until the end. */
function pinned({ name, path }: VolumeSpec): number {
  const pin = pinMountedVolume(path);
  if (pin !== null) return pin;
  throw new VolumeOpenError(
    OpenFailure.NotAttached,
    `volume ${name}: nothing is mounted at ${path}; nothing is written there`,
  );
}

/** The first takeover in the life of a process should not be the first time that its thread runs this code. */
export async function rehearseOpening(spec: VolumeSpec): Promise<void> {
  const prepared = await prepareVolume(spec);
  if (prepared !== null) discardPrepared(prepared);
}

/**
 * The same for attachVolume(), which is called in threads that both disk sets share. The pool opens it first: of a disk that hangs (the
 * partner's, say) these threads must not wait.
 */
export async function rehearseAttaching(spec: VolumeSpec): Promise<void> {
  try {
    const root = await openForReading(spec.path, O_DIRECTORY);
    await root.close();
    close(openRoot(spec).fd);
  } catch {
    // It is not mounted yet, or no volume yet.
  }
}

/**
 * A volume for a thread that only reads it, while openVolume()'s thread has it open. Throws VolumeOpenError.
 */
export function attachVolume(attachment: VolumeAttachment, onFault: FaultListener): Volume {
  const { spec, owner, ownership, keys } = attachment;
  return new Volume(spec, owner, NO_WRITES, ownership, keys, openRoot(spec), null, onFault);
}

/** 16 bytes. */
const uuidBytes = (record: VolumeRecord): Uint8Array =>
  new Uint8Array(Buffer.from(record.uuid.replaceAll('-', ''), 'hex'));

/** Rejected with a VolumeOpenError, of which whoever waits for it hears. */
function recordOwnership(
  spec: VolumeSpec,
  root: VolumeRoot,
  gate: WriteGate,
  ownership: OwnershipRecord,
  restored: boolean,
): Promise<void> {
  const write = async (): Promise<void> => {
    closeToOthers(gate, privateDirectory(spec.path));
    await withReserve(gate, root.reserve, () =>
      writeOwnership(gate, spec.path, ownership, spec.writeThrough === true),
    );
    if (restored) await takeBackRestored(gate, spec.path);
  };
  const recorded = write().catch((error: unknown) => {
    throw asOpenError(spec, error);
  });
  recorded.catch(() => {});
  return recorded;
}

/** What is read while the record is written. If that fails, not before the write has ended. */
async function beside<T>(recorded: Promise<void>, reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    await Promise.allSettled([recorded]);
    throw error;
  }
}

function asOpenError(spec: VolumeSpec, error: unknown): unknown {
  if (error instanceof VolumeOpenError) return error;
  if (error instanceof JournalCorruptError) return new VolumeOpenError('JournalCorrupt', error.message);
  if (error instanceof OwnershipAheadError)
    return new VolumeOpenError('VolumeEpochAhead', error.message, error.found.epoch);
  if (error instanceof RefusedError)
    return new VolumeOpenError('RightLost', `volume ${spec.name}: ${error.message}`);
  if (error instanceof VolumeRecordError) return new VolumeOpenError('WrongVolume', error.message);
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === undefined) return error;
  const text = `volume ${spec.name} at ${spec.path}: ${message}`;
  return new VolumeOpenError(code === 'EROFS' ? 'ReadOnly' : 'IoError', text);
}

async function verify(
  spec: VolumeSpec,
  owner: VolumeOwner,
  gate: WriteGate,
  written: WrittenVolume | null,
  restored: boolean,
): Promise<VolumeRecord> {
  const found = await readVolumeRecord(spec.path);
  if (found === null) {
    const behind = whyBehind(spec.name, spec.path, written, null);
    if (behind !== null && !restored) throw refusal(spec, behind);
    await mustBeDirectory(spec);
    if (owner.server === owner.home) {
      if (spec.reattached === true && spec.adopts !== true) await mustBeFresh(spec);
      return initialiseVolume(gate, spec.path, owner.home, needsOwnKey(spec));
    }
    throw new VolumeOpenError(
      OpenFailure.NotAVolume,
      `${spec.path} is not a FilerPair volume; ${owner.home}, to which it belongs, has to start on it once`,
    );
  }
  mustBelongTo(spec, owner, found);
  return found;
}

/** With a key of the pair only where nobody else has anything beside it. */
function needsOwnKey(spec: VolumeSpec): boolean {
  if (spec.handleKeysDirectory === undefined) return true;
  const fd = openAt(AT_FDCWD, new TextEncoder().encode(spec.path), O_PATH | O_DIRECTORY);
  if (fd < 0) throw new VolumeOpenError('IoError', `${spec.path} can't be opened (errno ${-fd})`);
  const whole = isWholeFileSystem(fd);
  close(fd);
  return whole;
}

/**
 * The root of a file system, and nothing less. A bind mount of a directory is the root of a mount too, and the kernel opens handles
 * of all that lies beside it.
 */
function isWholeFileSystem(rootFd: number): boolean {
  const stat = new StatBuffer();
  if (stat.ofFd(rootFd) < 0 || stat.isMountRoot !== true) return false;
  return mountOf(Number(stat.mountId))?.root === '/';
}

interface ReadKeys {
  readonly keys: HandleKeys;
  readonly notice: string | null;
}

/** Throws VolumeRecordError. */
async function readKeys(spec: VolumeSpec, root: VolumeRoot): Promise<ReadKeys> {
  const { path, handleKeysDirectory } = spec;
  const [current, previous] = await Promise.all([readSecret(path), readSecret(path, true)]);
  const own = { current, previous };
  const pair = handleKeysDirectory === undefined ? null : readPairKeys(handleKeysDirectory);
  const keys = keysOf(own, pair);
  if (keys === null) {
    throw new VolumeRecordError(
      `${secretFile(path)} is missing, and no other key for file handles is configured; restore it from a backup of the volume, or give the server the pair's (handleKeysDirectory)`,
    );
  }
  // Without handles of the kernel's, files are found below the volume's root only.
  const exposed = !root.isWholeFileSystem && root.opensHandles;
  return { keys, notice: exposed ? keyNotice(spec, secretFile(path), own, pair) : null };
}

/** `behind`: of whyBehind(). */
function refusal({ path }: VolumeSpec, behind: string): VolumeOpenError {
  return new VolumeOpenError(
    OpenFailure.VolumeBehind,
    `${behind}. Mount the volume that was served last; or, if what is there was restored from a backup or is to be served as it is, create the file ${restoredFile(path)}`,
  );
}

function mustBelongTo(spec: VolumeSpec, owner: VolumeOwner, found: VolumeRecord): void {
  if (found.home === owner.home) return;
  throw new VolumeOpenError(
    OpenFailure.WrongVolume,
    `${spec.path} belongs to ${found.home}, not to ${owner.home}; check which claim or directory is mounted there`,
  );
}

async function mustBeDirectory(spec: VolumeSpec): Promise<void> {
  const message = `volume ${spec.name}: ${spec.path} is not a directory`;
  try {
    if ((await statPath(spec.path)).isDirectory()) return;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
  }
  throw new VolumeOpenError(OpenFailure.NotAVolume, message);
}

/** What a new file system holds, and what a crash leaves of making it a volume (initialiseVolume() restarts). */
const ON_A_FRESH_DISK: ReadonlySet<string> = new Set(['lost+found', PRIVATE_DIRECTORY]);

/** A disk that was exchanged, or somebody else's, is not made ours. */
async function mustBeFresh({ name, path }: VolumeSpec): Promise<void> {
  const found = (await readdir(path)).find((entry) => !ON_A_FRESH_DISK.has(entry));
  if (found === undefined) return;
  throw new VolumeOpenError(
    OpenFailure.NotAVolume,
    `volume ${name}: the disk at ${path} is no FilerPair volume and not empty (it holds "${found}"); check which claim it is. To serve files that were there before, let the FilerPair adopt the claim (existingClaim)`,
  );
}

/**
 * The write verifier is kept only if the last owner stopped gracefully, and in this place. After anything else unstable
 * data may be lost (the machine crashed, the disk moved, the mount was torn away, the volume is a copy): then it changes,
 * and clients send it again.
 */
function nextOwnership(
  spec: VolumeSpec,
  owner: VolumeOwner,
  read: Pick<PreparedVolume, 'record' | 'root' | 'last' | 'restored'>,
  written: WrittenVolume | null,
): { readonly ownership: OwnershipRecord; readonly warnings: readonly string[] } {
  const { record, restored } = read;
  const { place } = read.root;
  const last = read.last?.record ?? null;
  if (last !== null && last.uuid !== record.uuid) {
    throw new VolumeOpenError(
      OpenFailure.WrongVolume,
      `${spec.path}: its ownership record is that of another volume (${last.uuid}, not ${record.uuid})`,
    );
  }
  if (last !== null && isAhead(last, { epoch: owner.epoch, owner: owner.server })) {
    throw new VolumeOpenError(
      OpenFailure.VolumeEpochAhead,
      `${spec.path} is owned by ${last.owner} in epoch ${last.epoch}; ${owner.server} claims it in epoch ${owner.epoch}`,
      last.epoch,
    );
  }
  const found = { uuid: record.uuid, epoch: last?.epoch ?? null };
  const behind = whyBehind(spec.name, spec.path, written, found);
  if (behind !== null && !restored) throw refusal(spec, behind);
  const before = last?.place;
  const moved = before !== undefined && isElsewhere(before, place);
  // Old handles may stand for files that were made since, or their numbers for files that will be made.
  const renewed = moved || behind !== null;
  const ownership: OwnershipRecord = {
    uuid: record.uuid,
    home: owner.home,
    owner: owner.server,
    ownerIncarnation: owner.incarnation,
    epoch: owner.epoch,
    writeVerifier: last?.clean === true && !renewed ? last.writeVerifier : randomBytes(8).toString('hex'),
    clean: false,
    place: knownPlace(before, place),
    handles: renewed ? randomUUID() : (last?.handles ?? record.uuid),
  };
  const warnings: string[] = [];
  const stale = 'File handles from before are stale: clients have to mount it again';
  if (moved) {
    const was = `${describePlace(before)}; now it lies in ${describePlace(place)}`;
    warnings.push(
      `volume ${spec.name} at ${spec.path} was copied or restored: it was served last in ${was}. ${stale}`,
    );
  }
  if (behind !== null) {
    warnings.push(`${behind}. It is served all the same, as ${restoredFile(spec.path)} says. ${stale}`);
  } else if (restored) {
    warnings.push(
      `volume ${spec.name}: ${restoredFile(spec.path)} is not needed and was removed: this is the volume that was served last`,
    );
  }
  return { ownership, warnings };
}

function openRoot(spec: VolumeSpec): VolumeRoot {
  // What was awaited before this may have left a user's identity on the thread: with it the kernel opens no handles.
  become(SERVER_IDENTITY);
  const fd = openAt(AT_FDCWD, new TextEncoder().encode(spec.path), O_RDONLY | O_DIRECTORY);
  if (fd < 0)
    throw new VolumeOpenError('IoError', `volume ${spec.name}: ${spec.path} can't be opened (errno ${-fd})`);
  try {
    const fileSystem = fileSystemIdentity(fd);
    const identified = identifyRoot(spec, fd, fileSystem.isBtrfs);
    const mount = mountOf(identified.mountId);
    const order = commitOrderOf(mount, mount === null ? null : hasInternalJournal(mount.device));
    const reserve = new JournalReserve(reserveFile(spec.path), fileSystem);
    const fileSizeMax = fileSizeMaxOf(spec);
    const tell = changeTimesTell(mount?.type);
    const isInMemory = mount?.type === 'tmpfs' || mount?.type === 'ramfs';
    const place = {
      fileSystem: fileSystem.uuid,
      directory: Buffer.from(identified.key, 'latin1').toString('hex'),
    };
    return {
      fd,
      ...identified,
      isWholeFileSystem: isWholeFileSystem(fd),
      fileSizeMax,
      commitOrder: order,
      changeTimesTell: tell,
      isInMemory,
      nameFolding: takesOtherCase(fd) ? 'always' : fileSystem.nameFolding,
      reserve,
      place,
    };
  } catch (error) {
    close(fd);
    throw error;
  }
}

const PRIVATE_NAME = new TextEncoder().encode(PRIVATE_DIRECTORY);
const PRIVATE_NAME_IN_OTHER_CASE = new TextEncoder().encode(PRIVATE_DIRECTORY.toUpperCase());

/** Whatever its type promises (an xfs made with `-n version=ci`, an NFS server): true where that is not known either. */
function takesOtherCase(rootFd: number): boolean {
  const [one, other] = [new StatBuffer(), new StatBuffer()];
  const result = other.ofName(rootFd, PRIVATE_NAME_IN_OTHER_CASE);
  if (result < 0) return result !== -ENOENT;
  return one.ofName(rootFd, PRIVATE_NAME) < 0 || one.inode === other.inode;
}

function fileSizeMaxOf(spec: VolumeSpec): bigint {
  const path = ownershipFile(spec.path);
  const fd = openPrivate(path, O_RDONLY);
  if (fd < 0)
    throw new VolumeOpenError('IoError', `volume ${spec.name}: ${path} can't be opened (errno ${-fd})`);
  const most = fileSizeMax(fd);
  close(fd);
  return most;
}

function identifyRoot(
  spec: VolumeSpec,
  fd: number,
  isBtrfs: boolean,
): Pick<VolumeRoot, 'key' | 'mountId' | 'identity' | 'opensHandles'> {
  const handles = new IdentityReader(isBtrfs ? 'handleAndBirth' : 'kernelHandle');
  const result = handles.ofFd(fd);
  if (result === 0) {
    const { kind, type, bytes, start, size } = handles;
    const opened = openIdentity(kind, fd, type, bytes.subarray(start, start + size), O_PATH);
    if (opened >= 0) close(opened);
    // EPERM: an ordinary user, or a container without CAP_DAC_READ_SEARCH.
    const opensHandles = opened !== -EPERM;
    return { key: handles.key(), mountId: handles.mountId, identity: handles, opensHandles };
  }
  if (result === -EPERM) {
    // Not a property of the file system: another process would get handles, and identities must not depend on that.
    throw new VolumeOpenError(
      OpenFailure.UnsupportedFileSystem,
      `volume ${spec.name}: this process may not ask for the file handles of ${spec.path} (name_to_handle_at is refused); allow it in the container's seccomp profile`,
    );
  }
  if (result === -EOVERFLOW) {
    throw new VolumeOpenError(
      OpenFailure.UnsupportedFileSystem,
      `volume ${spec.name}: the file handles of ${spec.path} are too long for NFSv3; use ext4, xfs or btrfs`,
    );
  }
  const births = new IdentityReader('inodeAndBirth');
  const unsupported = result === -EOPNOTSUPP || result === -ENOSYS;
  if (!unsupported || births.ofFd(fd) < 0) {
    throw new VolumeOpenError(
      OpenFailure.UnsupportedFileSystem,
      `volume ${spec.name}: ${spec.path} has neither file handles nor times of birth (errno ${-result}); use ext4, xfs or btrfs`,
    );
  }
  return { key: births.key(), mountId: births.mountId, identity: births, opensHandles: false };
}

/** Is it a directory? For roots of exports. The volume's stat buffer holds its attributes afterwards. */
export function isDirectory(volume: Volume, fd: number): boolean {
  return volume.stat.ofFd(fd) === 0 && volume.stat.type === S_IFDIR;
}
