/** Leads one disk set through its life in all data threads, from the agent's `open` to `closed`. */

import type { DiskSetSide } from '../../pair/types.ts';
import { ConnectionOrder } from '../callers/connection-order.ts';
import { faultOfExport, faultOfExports } from '../exports/export-check.ts';
import { readExportsCopy } from '../exports/exports-copy.ts';
import { readMounts } from '../mount/mount-file.ts';
import { type MountEntry, MountList } from '../mount/mount-list.ts';
import { PortInUseError } from '../rpc/acceptor.ts';
import type { LeaseTable } from '../serving-lease/lease-table.ts';
import type { ExportChanges, ExportSpec } from '../settings/export-spec.ts';
import { placeOf, volumesOf } from '../settings/thread-counts.ts';
import type { VolumeSpec } from '../settings/volume-spec.ts';
import type { ExportRoot } from '../storage/files/export-root.ts';
import { exportIdOf } from '../storage/handles/file-handle.ts';
import type { OpenFailure } from '../storage/volume/open-failure.ts';
import { mustBeDifferent, VolumeOpenError } from '../storage/volume/open-failure.ts';
import { STALL_NOTICE_MS, StallWatch } from '../storage/volume/stall-watch.ts';
import type { VolumeAttachment } from '../storage/volume/volume.ts';
import { bootMs } from '../system/boottime.ts';
import { ArrivingClients } from './arriving-clients.ts';
import { CoordinatedExports } from './coordinated-exports.ts';
import { CoordinatedFreeze } from './coordinated-freeze.ts';
import type { DataThreads } from './data-threads.ts';
import type {
  CloseMode,
  DisksMessage,
  ExportChangesMessage,
  ForgetRemovalMessage,
  FromDataThread,
  OpenMessage,
  Phase,
  RemoveDirectoryMessage,
} from './messages.ts';
import { whenMounted } from './mounted-volumes.ts';
import { ReplyGathering } from './reply-gathering.ts';
import type {
  AttachedVolume,
  FromDataThreads,
  ToConnectionThread,
  ToVolumeThread,
  WithoutSession,
} from './thread-messages.ts';

//   opening --> serving --> quiescing --> closed      gracefully: everything answered and on the disk
//      |           |            |
//      +-----------+------------+-------> closed      fenced: at once, nothing answered
//
//   opening     volumes that move from node to node are waited for; volume threads verify; then the port opens, and while
//               connections to it wait, volume threads replay their journals and connection threads open the volumes
//               for reading
//   quiescing   flush, with clients still served; close the port; connection threads take no more calls and drain;
//               volume threads flush the rest and declare the volumes clean, while connections drain
//
//   (held)      in the middle of serving, for a moment: volume threads keep calls unexecuted, everything is on the disk
//
// `closed` is said only when every thread has said so: a thread that a disk holds in a system call may still write.

/** How long a failed opening waits for its threads to close before it is reported. ms */
const GIVE_UP_MS = 1000;

type State = 'opening' | 'serving' | 'quiescing' | 'closed';
export class DiskSetCoordinator {
  readonly session: number;
  /** Once volumes that move are there, with the paths at which they are. */
  #message: OpenMessage;
  readonly #threads: DataThreads;
  readonly #leases: LeaseTable;
  readonly #post: (message: FromDataThread) => void;
  readonly #disks: () => DisksMessage | null;
  /** Threads that take part: volume threads from verify, connection threads from attach. */
  readonly #volumeThreads: number[];
  #connectionThreads: number[];
  #state: State;
  readonly #replies: ReplyGathering;
  readonly #clients: ArrivingClients;
  /** Memory of ConnectionOrder, for all threads. */
  readonly #order: SharedArrayBuffer;
  #mounts: MountList | null;
  #answered: boolean;
  #closing: Promise<void> | null;
  /** `fault` or `halted` was said. */
  #faulted: boolean;
  readonly #freeze: CoordinatedFreeze;
  readonly #stalls: StallWatch;
  readonly #exports: CoordinatedExports;
  /** That have come while it was being opened; null: none have. */
  #keptExports: readonly ExportSpec[] | null;
  /** Likewise, and later than those. */
  #keptChanges: ExportChangesMessage[];
  #exportChanges: number;

  constructor(
    session: number,
    message: OpenMessage,
    threads: DataThreads,
    leases: LeaseTable,
    post: (message: FromDataThread) => void,
    disks: () => DisksMessage | null,
  ) {
    this.session = session;
    this.#message = message;
    this.#threads = threads;
    this.#leases = leases;
    this.#post = post;
    this.#disks = disks;
    this.#volumeThreads = threads.volumeThreadsFor(message.diskSet, message.volumes.length);
    this.#connectionThreads = [];
    this.#state = 'opening';
    this.#replies = new ReplyGathering();
    this.#order = ConnectionOrder.allocate();
    this.#mounts = null;
    this.#answered = false;
    this.#closing = null;
    this.#faulted = false;
    this.#freeze = new CoordinatedFreeze(message.diskSet, post, {
      freeze: () => {
        const frozen = this.#replies.gather('frozen', this.#volumeThreads);
        this.#toVolumeThreads({ kind: 'freeze' });
        return frozen;
      },
      thaw: () => {
        this.#replies.forget('frozen');
        this.#toVolumeThreads({ kind: 'thaw' });
      },
    });
    this.#keptExports = null;
    this.#keptChanges = [];
    this.#exportChanges = 0;
    this.#exports = new CoordinatedExports(message.exports ?? [], {
      log: (level, text) => post({ kind: 'log', diskSet: message.diskSet, level, message: text }),
      onAbsent: (absent) => post({ kind: 'absentExports', diskSet: message.diskSet, exports: absent }),
    });
    this.#clients = new ArrivingClients(session, threads, this.#exports, (text) =>
      post({ kind: 'log', diskSet: message.diskSet, level: 'warn', message: text }),
    );
    this.#stalls = new StallWatch(message.volumeStalledMs ?? 0, {
      log: (level, text) => post({ kind: 'log', diskSet: message.diskSet, level, message: text }),
      onWaits: (volume, waitedMs) => {
        const sinceBootMs = waitedMs === null ? null : bootMs() - waitedMs;
        post({ kind: 'volumeWaits', diskSet: message.diskSet, volume, sinceBootMs });
      },
      onStalled: (volume, waitedMs) => post({ kind: 'stalled', diskSet: message.diskSet, volume, waitedMs }),
    });
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  get #side(): DiskSetSide {
    return this.#message.diskSet;
  }

  // ---------------------------------------------------------------------------------------------- opening

  /** Ends with `opened` or `openFailed`; with neither if it is closed meanwhile. */
  async open(): Promise<void> {
    try {
      const phases: Phase[] = [];
      this.#leases.resume(this.#side);
      const fault = this.#faultOf(this.#message.exports ?? []);
      if (fault !== null) throw new VolumeOpenError('InvalidExport', fault);
      if (this.#message.volumes.some(({ reattached }) => reattached === true))
        await this.#phase(phases, 'attach', () => this.#attach());
      const attachments = await this.#phase(phases, 'verify', () => this.#verify());
      if (this.#message.exports === null) await this.#useCopies();
      const port = await this.#phase(phases, 'listen', () =>
        this.#clients.listen(this.#message.host, this.#message.port),
      );
      await this.#phase(phases, 'replay', () => this.#replay(attachments));
      this.#mustHoldLease('replay');
      await this.#applyKeptExports();
      this.#mustHoldLease('replay');
      this.#state = 'serving';
      this.#exports.tellAbsent();
      const uuids = attachments.map(({ spec, ownership }) => [spec.name, ownership.uuid]);
      this.#post({ kind: 'opened', diskSet: this.#side, port, phases, volumes: Object.fromEntries(uuids) });
      this.#clients.handOn();
    } catch (error) {
      if (this.#closing !== null) return;
      await Promise.race([this.#fence(), elapsed(GIVE_UP_MS)]);
      this.#post(this.#failure(error));
    }
  }

  async #phase<T>(phases: Phase[], name: Phase['name'], work: () => Promise<T>): Promise<T> {
    this.#mustHoldLease(name);
    const begun = performance.now();
    const result = await work();
    phases.push({ name, tookMs: performance.now() - begun });
    return result;
  }

  #mustHoldLease(phase: Phase['name']): void {
    if (this.#closing === null && this.#leases.held(this.#side)) return;
    throw new VolumeOpenError(
      'RightLost',
      `${this.#message.home}: the right to serve ended during "${phase}"`,
    );
  }

  async #attach(): Promise<void> {
    const mayGoOn = (): boolean => this.#closing === null && this.#leases.held(this.#side);
    const volumes = await whenMounted(this.#message, this.#disks, mayGoOn);
    this.#message = { ...this.#message, volumes };
  }

  async #verify(): Promise<VolumeAttachment[]> {
    const { volumes, exports } = this.#message;
    this.#volumeThreads.forEach((thread, index) => {
      const mine = volumesOf(volumes, this.#volumeThreads.length, index);
      const theirs = exports === null ? null : this.#exportsOf(mine, exports);
      const part = { ...this.#message, volumes: mine, exports: theirs };
      this.#threads.toVolumeThread(thread, { kind: 'verify', session: this.session, part });
    });
    const replies = await this.#replies.gather('verified', this.#volumeThreads);
    const attachments = replies.flatMap((reply) => (reply.kind === 'verified' ? reply.attachments : []));
    for (const reply of replies) if (reply.kind === 'verified') this.#exports.found(reply.roots);
    mustBeDifferent(
      this.#message.home,
      attachments.map(({ ownership }) => ownership.uuid),
    );
    return attachments;
  }

  /** What the last owner has exported. */
  async #useCopies(): Promise<void> {
    const { volumes, home } = this.#message;
    const copies = await Promise.all(volumes.map(({ path, name }) => readExportsCopy(path, name)));
    const exports = withoutConflicts(copies.flatMap((copy) => copy ?? []));
    volumes.forEach(({ name }, index) => {
      const found = copies[index] === null ? 'no copy of the exports' : 'the copy of the exports';
      const message = `the FilerShares of ${home} are not known yet: volume ${name} is served with ${found} that is on it`;
      this.#post({ kind: 'log', diskSet: this.#side, level: 'warn', message });
    });
    await this.#give({ exports });
    this.#message = { ...this.#message, exports };
  }

  async #replay(attachments: readonly VolumeAttachment[]): Promise<void> {
    const { exports, volumes, diskSet } = this.#message;
    const serving = this.#replies.gather('serving', this.#volumeThreads);
    this.#toVolumeThreads({ kind: 'serve', order: this.#order });
    const [first] = volumes;
    const known = first === undefined ? [] : await readMounts(first.path);
    this.#mounts = new MountList(known, (mounts) => this.#keepMounts(mounts));
    if (this.#closing !== null) {
      serving.catch(() => {});
      return;
    }
    const attached: AttachedVolume[] = attachments.map((attachment) => {
      const index = volumes.findIndex(({ name }) => name === attachment.spec.name);
      return { attachment, thread: this.#volumeThreads[placeOf(index, this.#volumeThreads.length)]! };
    });
    this.#connectionThreads = this.#threads.connectionThreads;
    const attaching = this.#replies.gather('attached', this.#connectionThreads);
    this.#toConnectionThreads({
      kind: 'attach',
      diskSet,
      volumes: attached,
      exports: exports ?? [],
      roots: this.#exports.roots,
      mounts: this.#mounts.all,
      order: this.#order,
    });
    await Promise.all([serving, attaching]);
  }

  #failure(error: unknown): FromDataThread {
    const diskSet = this.#side;
    if (error instanceof VolumeOpenError) {
      const { reason, message, epochFound } = error;
      const found = epochFound === null ? {} : { epochFound };
      return { kind: 'openFailed', diskSet, reason, message, ...found };
    }
    const message = error instanceof Error ? error.message : String(error);
    const reason: OpenFailure = error instanceof PortInUseError ? 'PortInUse' : 'IoError';
    return { kind: 'openFailed', diskSet, reason, message };
  }

  // ------------------------------------------------------------------------------------ what threads say

  /** From thread `from` (numbers of volume threads begin behind those of connection threads). */
  received(from: number, message: FromDataThreads): void {
    switch (message.kind) {
      case 'failed': {
        const { reason, message: text, epochFound } = message;
        this.#replies.abandon(new VolumeOpenError(reason, text, epochFound));
        return;
      }
      case 'fault':
        this.#halt();
        if (this.#state === 'opening') this.#replies.abandon(new VolumeOpenError('IoError', message.message));
        else if (!this.#faulted && !this.isClosed) {
          this.#faulted = true;
          const { volume, reason, message: text } = message;
          this.#post({ kind: 'fault', diskSet: this.#side, volume, reason, message: text });
        }
        return;
      case 'directoryRemoved': {
        const { id, result } = message;
        this.#post({ kind: 'directoryRemoved', diskSet: this.#side, id, result });
        return;
      }
      case 'leaseExpired':
        this.#halt();
        this.#tellHalted();
        return;
      case 'roots':
        this.#rootsFound(message.roots);
        return;
      case 'waiting':
        this.#waits(message.volume, message.waitedMs);
        return;
      case 'volumeErrors': {
        const { volume, errors } = message;
        this.#post({ kind: 'volumeErrors', diskSet: this.#side, volume, errors });
        return;
      }
      case 'ended':
        // Of a connection; counted whatever has become of its session (DataPath).
        return;
      case 'firstReply':
        if (this.#answered) return;
        this.#answered = true;
        this.#post({ kind: 'firstReply', diskSet: this.#side, atBootMs: message.atBootMs });
        return;
      case 'mountChange':
        this.#changeMounts(from, message.change);
        return;
      case 'log':
        this.#post({ kind: 'log', diskSet: this.#side, level: message.level, message: message.message });
        return;
      default:
        this.#replies.received(from, message);
    }
  }

  /** Once. While it is being opened or closed, the end of that says it. */
  #tellHalted(): void {
    if (this.#state === 'opening' || this.#closing !== null || this.#faulted) return;
    this.#faulted = true;
    this.#post({ kind: 'halted', diskSet: this.#side });
  }

  #changeMounts(from: number, change: Extract<FromDataThreads, { kind: 'mountChange' }>['change']): void {
    const mounts = this.#mounts;
    if (mounts === null) return;
    if (change.kind === 'add') mounts.add(change.host, change.path);
    else mounts.remove(change.host, change.path);
    for (const thread of this.#connectionThreads) {
      if (thread === from) continue;
      const message = { kind: 'mounts', session: this.session, mounts: mounts.all } as const;
      this.#threads.toConnectionThread(thread, message);
    }
  }

  /** By the thread that changes the first volume; a disk set without volumes keeps none. */
  #keepMounts(mounts: readonly MountEntry[]): void {
    const [first] = this.#volumeThreads;
    if (first !== undefined)
      this.#threads.toVolumeThread(first, { kind: 'mounts', session: this.session, mounts });
  }

  #toVolumeThreads(message: WithoutSession<ToVolumeThread>): void {
    for (const thread of this.#volumeThreads) {
      this.#threads.toVolumeThread(thread, { ...message, session: this.session } as ToVolumeThread);
    }
  }

  #toConnectionThreads(message: WithoutSession<ToConnectionThread>): void {
    for (const thread of this.#connectionThreads) {
      this.#threads.toConnectionThread(thread, { ...message, session: this.session } as ToConnectionThread);
    }
  }

  // ---------------------------------------------------------------------------------------------- exports

  /**
   * Ends with `exportsReplaced` or `exportsRefused`. What can be refused is found before any thread has them. All threads are told
   * at once: a disk that does not answer holds up the answer, but takes no lease back.
   */
  async replaceExports(exports: readonly ExportSpec[]): Promise<void> {
    if (this.#state === 'opening' && this.#closing === null) {
      this.#keptExports = exports;
      this.#keptChanges = [];
      return;
    }
    await this.#apply(exports);
  }

  /** Ends with `exportsChanged`. */
  async changeExports(message: ExportChangesMessage): Promise<void> {
    if (this.#state === 'opening' && this.#closing === null) {
      this.#keptChanges.push(message);
      return;
    }
    const { changes, diskSet, number } = message;
    const served = this.#closing === null && !this.isClosed;
    const names = this.#message.volumes.map(({ name }) => name);
    const fault = changes.set.map((one) => faultOfExport(one, names)).find((one) => one !== null);
    if (fault !== undefined)
      this.#post({ kind: 'log', diskSet, level: 'error', message: `exports stay as they were: ${fault}` });
    else if (served) await this.#give({ changes }).catch(() => {});
    this.#post({ kind: 'exportsChanged', diskSet, number });
  }

  /** To the thread of its volume, if that is there. */
  directory(message: RemoveDirectoryMessage | ForgetRemovalMessage): void {
    if (this.#state !== 'serving') return;
    const { volumes } = this.#message;
    const index = volumes.findIndex(({ name }) => name === message.volume);
    if (index < 0) return;
    const thread = this.#volumeThreads[placeOf(index, this.#volumeThreads.length)]!;
    this.#threads.toVolumeThread(thread, { ...message, session: this.session });
  }

  async #applyKeptExports(): Promise<void> {
    for (;;) {
      const exports = this.#keptExports;
      this.#keptExports = null;
      const changes = this.#keptChanges.splice(0);
      if (exports === null && changes.length === 0) return;
      if (exports !== null) await this.#apply(exports);
      for (const { changes: one } of changes) await this.#give({ changes: one }).catch(() => {});
      const last = changes.at(-1);
      if (last !== undefined)
        this.#post({ kind: 'exportsChanged', diskSet: this.#side, number: last.number });
    }
  }

  async #apply(exports: readonly ExportSpec[]): Promise<void> {
    const served = this.#closing === null && !this.isClosed;
    // Where it is closed meanwhile no client is served on other terms either.
    if (served && this.#faultOf(exports) === null) await this.#give({ exports }).catch(() => {});
    this.#answerExports(exports);
  }

  #answerExports(exports: readonly ExportSpec[]): void {
    const diskSet = this.#side;
    const fault = this.#faultOf(exports);
    if (fault === null) this.#post({ kind: 'exportsReplaced', diskSet, exports });
    else this.#post({ kind: 'exportsRefused', diskSet, exports, message: fault });
  }

  async #give(
    given: { readonly exports: readonly ExportSpec[] } | { readonly changes: ExportChanges },
  ): Promise<void> {
    this.#exportChanges += 1;
    const change = this.#exportChanges;
    if ('exports' in given) {
      this.#exports.replace(given.exports);
      this.#toConnectionThreads({ kind: 'exports', exports: given.exports });
    } else {
      this.#exports.change(given.changes);
      this.#toConnectionThreads({ kind: 'exportChanges', changes: given.changes });
    }
    const exported = this.#replies.gather('exported', this.#volumeThreads, change);
    const { volumes } = this.#message;
    const { session } = this;
    this.#volumeThreads.forEach((thread, index) => {
      const mine = volumesOf(volumes, this.#volumeThreads.length, index);
      const message: ToVolumeThread =
        'exports' in given
          ? { kind: 'exports', session, change, exports: this.#exportsOf(mine, given.exports) }
          : { kind: 'exportChanges', session, change, changes: this.#changesOf(mine, given.changes) };
      this.#threads.toVolumeThread(thread, message);
    });
    const roots = (await exported).flatMap((reply) => (reply.kind === 'exported' ? reply.roots : []));
    this.#exports.found(roots);
    const rooted = this.#replies.gather('rooted', this.#connectionThreads, change);
    this.#toConnectionThreads({ kind: 'roots', change, roots });
    await rooted;
    if (this.#state !== 'opening') this.#exports.tellAbsent();
  }

  #rootsFound(roots: readonly ExportRoot[]): void {
    this.#exports.found(roots);
    this.#toConnectionThreads({ kind: 'roots', change: null, roots });
    if (this.#state === 'serving') this.#exports.tellAbsent();
  }

  /** An export that moves to the volume of another thread is gone from this one. */
  #changesOf(volumes: readonly VolumeSpec[], { set, removed }: ExportChanges): ExportChanges {
    const mine = this.#exportsOf(volumes, set);
    const others = set.filter((one) => !mine.includes(one)).map(({ path }) => path);
    return { set: mine, removed: [...removed, ...others] };
  }

  #exportsOf(volumes: readonly VolumeSpec[], exports: readonly ExportSpec[]): ExportSpec[] {
    return exports.filter((one) => volumes.some(({ name }) => name === one.volume));
  }

  #faultOf(exports: readonly ExportSpec[]): string | null {
    return faultOfExports(
      exports,
      this.#message.volumes.map(({ name }) => name),
    );
  }

  // ---------------------------------------------------------------------------------------------- freezing

  /** Ends with `held`, and later `resumed`; or with `resumed` alone. */
  freeze(id: string, msMax: number): Promise<void> {
    return this.#freeze.begin(id, msMax, this.#state === 'serving' ? null : `it is ${this.#state}`);
  }

  thaw(id: string): void {
    this.#freeze.endOf(id);
  }

  /** The time in which it was frozen is not the disk's. */
  #waits(volume: string, waitedMs: number): void {
    const byDiskMs = Math.min(waitedMs, Math.round(this.#freeze.thawedForMs));
    if (byDiskMs >= STALL_NOTICE_MS) this.#stalls.waits(volume, byDiskMs);
  }

  // ---------------------------------------------------------------------------------------------- closing

  /** Nothing more is accepted, read, executed or answered, in any thread. The port is closed before connections end. */
  #halt(): void {
    this.#leases.halt(this.#side);
    this.#freeze.end('the disk set is not served any more');
    this.#stalls.stop();
    this.#clients.refuse();
    this.#toVolumeThreads({ kind: 'halt' });
    this.#toConnectionThreads({ kind: 'halt' });
  }

  /** Ends with `closed`. */
  async close(mode: CloseMode): Promise<void> {
    if (mode === 'quiesce' && this.#state === 'serving') {
      this.#freeze.end('the disk set is handed over');
      this.#state = 'quiescing';
      try {
        await this.#quiesce();
      } catch {
        // Fenced meanwhile: the fence below, or the other call of close(), sees it through.
      }
      if (this.#closing !== null) return;
    }
    await this.#fence();
    this.#post({ kind: 'closed', diskSet: this.#side, mode });
  }

  async #quiesce(): Promise<void> {
    const flushed = this.#replies.gather('flushed', this.#volumeThreads);
    this.#toVolumeThreads({ kind: 'flush' });
    await flushed;
    this.#clients.stop();
    const drained = this.#replies.gather('drained', this.#connectionThreads);
    this.#toConnectionThreads({ kind: 'drain' });
    await drained;
    const closed = this.#replies.gather('closed', this.#everyThread());
    this.#toVolumeThreads({ kind: 'close', mode: 'quiesce' });
    this.#toConnectionThreads({ kind: 'close', mode: 'quiesce' });
    await closed;
  }

  /** Resolves when every thread is closed, however long that takes. */
  #fence(): Promise<void> {
    this.#closing ??= this.#closeAll();
    const keptExports = this.#keptExports;
    this.#keptExports = null;
    if (keptExports !== null) this.#answerExports(keptExports);
    const lastChange = this.#keptChanges.splice(0).at(-1);
    if (lastChange !== undefined)
      this.#post({ kind: 'exportsChanged', diskSet: this.#side, number: lastChange.number });
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    this.#halt();
    this.#replies.abandon(new VolumeOpenError('RightLost', `${this.#message.home}: closed`));
    // A quiescing that waits for `closed` has asked for it already: who has said it says nothing more.
    const closed = this.#replies.awaited('closed') ?? this.#replies.gather('closed', this.#everyThread());
    this.#toVolumeThreads({ kind: 'close', mode: 'fence' });
    this.#toConnectionThreads({ kind: 'close', mode: 'fence' });
    await closed;
    this.#state = 'closed';
  }

  #everyThread(): number[] {
    return [...this.#volumeThreads, ...this.#connectionThreads];
  }
}

/** Copies of two volumes can be of different moments: of two exports that exclude each other the first one counts. */
function withoutConflicts(exports: readonly ExportSpec[]): ExportSpec[] {
  const byId = new Map<number, ExportSpec>();
  for (const one of exports) if (!byId.has(exportIdOf(one.path))) byId.set(exportIdOf(one.path), one);
  return [...byId.values()];
}

function elapsed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
