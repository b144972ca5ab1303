/** Leads one disk set through its life in all data threads, from the agent's `open` to `closed`. */

import type { DiskSetSide } from '../../pair/types.ts';
import { ConnectionOrder } from '../callers/connection-order.ts';
import { readMounts } from '../mount/mount-file.ts';
import { type MountEntry, MountList } from '../mount/mount-list.ts';
import { PortInUseError } from '../rpc/acceptor.ts';
import type { LeaseTable } from '../serving-lease/lease-table.ts';
import type { ExportSpec } from '../settings/export-spec.ts';
import { volumesOf } from '../settings/thread-counts.ts';
import type { OpenFailure } from '../storage/volume/open-failure.ts';
import { mustBeDifferent, VolumeOpenError } from '../storage/volume/open-failure.ts';
import { STALL_NOTICE_MS, StallWatch } from '../storage/volume/stall-watch.ts';
import type { VolumeAttachment } from '../storage/volume/volume.ts';
import { bootMs } from '../system/boottime.ts';
import { ArrivingClients } from './arriving-clients.ts';
import { CoordinatedFreeze } from './coordinated-freeze.ts';
import type { DataThreads } from './data-threads.ts';
import { DiskSetThreads } from './disk-set-threads.ts';
import { ExportUpdates } from './export-updates.ts';
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
import type { AttachedVolume, FromDataThreads } from './thread-messages.ts';

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
  readonly #threads: DiskSetThreads;
  readonly #leases: LeaseTable;
  readonly #post: (message: FromDataThread) => void;
  readonly #disks: () => DisksMessage | null;
  #state: State;
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
  readonly #exports: ExportUpdates;

  constructor(
    session: number,
    message: OpenMessage,
    threads: DataThreads,
    leases: LeaseTable,
    post: (message: FromDataThread) => void,
    disks: () => DisksMessage | null,
  ) {
    const { diskSet, volumes } = message;
    const volumeThreads = threads.volumeThreadsFor(diskSet, volumes.length);
    const log = (level: 'info' | 'warn', text: string): void =>
      post({ kind: 'log', diskSet, level, message: text });
    this.session = session;
    this.#message = message;
    this.#threads = new DiskSetThreads(session, threads, volumeThreads);
    this.#leases = leases;
    this.#post = post;
    this.#disks = disks;
    this.#state = 'opening';
    this.#order = ConnectionOrder.allocate();
    this.#mounts = null;
    this.#answered = false;
    this.#closing = null;
    this.#faulted = false;
    this.#freeze = new CoordinatedFreeze(diskSet, post, {
      freeze: () => this.#threads.askVolumeThreads('frozen', { kind: 'freeze' }),
      thaw: () => {
        this.#threads.replies.forget('frozen');
        this.#threads.toVolumeThreads({ kind: 'thaw' });
      },
    });
    this.#exports = new ExportUpdates(diskSet, volumes, message.exports, this.#threads, post);
    this.#clients = new ArrivingClients(session, threads, this.#exports.known, (text) => log('warn', text));
    this.#stalls = new StallWatch(message.volumeStalledMs ?? 0, {
      log,
      onWaits: (volume, waitedMs) => {
        const sinceBootMs = waitedMs === null ? null : bootMs() - waitedMs;
        post({ kind: 'volumeWaits', diskSet, volume, sinceBootMs });
      },
      onStalled: (volume, waitedMs) => post({ kind: 'stalled', diskSet, volume, waitedMs }),
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
      const fault = this.#exports.faultOf(this.#message.exports?.changes.set ?? []);
      if (fault !== null) throw new VolumeOpenError('InvalidExport', fault);
      if (this.#message.volumes.some(({ reattached }) => reattached === true))
        await this.#phase(phases, 'attach', () => this.#attach());
      const attachments = await this.#phase(phases, 'verify', () => this.#verify());
      const { volumes, exports, home } = this.#message;
      if (exports === null) await this.#exports.useCopies(volumes, home);
      const port = await this.#phase(phases, 'listen', () =>
        this.#clients.listen(this.#message.host, this.#message.port),
      );
      await this.#phase(phases, 'replay', () => this.#replay(attachments));
      this.#mustHoldLease('replay');
      await this.#exports.applyKept();
      this.#mustHoldLease('replay');
      this.#state = 'serving';
      this.#exports.serve();
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
    const { volumes } = this.#message;
    const count = this.#threads.volumeThreadCount;
    const replies = await this.#threads.askEachVolumeThread('verified', (index) => {
      const mine = volumesOf(volumes, count, index);
      return { kind: 'verify', part: { ...this.#message, volumes: mine } };
    });
    const attachments = replies.flatMap((reply) => (reply.kind === 'verified' ? reply.attachments : []));
    for (const reply of replies) if (reply.kind === 'verified') this.#exports.rootsFound(reply.roots);
    mustBeDifferent(
      this.#message.home,
      attachments.map(({ ownership }) => ownership.uuid),
    );
    return attachments;
  }

  async #replay(attachments: readonly VolumeAttachment[]): Promise<void> {
    const { volumes, diskSet } = this.#message;
    const serving = this.#threads.askVolumeThreads('serving', { kind: 'serve', order: this.#order });
    const [first] = volumes;
    const known = first === undefined ? [] : await readMounts(first.path);
    this.#mounts = new MountList(known, (mounts) => this.#keepMounts(mounts));
    if (this.#closing !== null) {
      serving.catch(() => {});
      return;
    }
    const attached: AttachedVolume[] = attachments.map((attachment) => {
      const index = volumes.findIndex(({ name }) => name === attachment.spec.name);
      return { attachment, thread: this.#threads.ofVolume(index) };
    });
    this.#threads.attach();
    const attaching = this.#threads.askConnectionThreads('attached', {
      kind: 'attach',
      diskSet,
      volumes: attached,
      exports: this.#exports.known.given,
      roots: this.#exports.takeUntold(),
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
        this.#threads.replies.abandon(new VolumeOpenError(reason, text, epochFound));
        return;
      }
      case 'fault':
        this.#halt();
        if (this.#state === 'opening')
          this.#threads.replies.abandon(new VolumeOpenError('IoError', message.message));
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
        this.#exports.rootsFound(message.roots);
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
        // The message is of a connection; it is counted whatever has become of its session (DataPath).
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
        this.#threads.replies.received(from, message);
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
    this.#threads.toConnectionThreads({ kind: 'mounts', mounts: mounts.all }, from);
  }

  /** The thread that changes the first volume keeps them; a disk set without volumes keeps none. */
  #keepMounts(mounts: readonly MountEntry[]): void {
    if (this.#message.volumes.length > 0)
      this.#threads.toVolumeThread(this.#threads.ofVolume(0), { kind: 'mounts', mounts });
  }

  /** Ends with `exportsReplaced` or `exportsRefused`. */
  replaceExports(exports: readonly ExportSpec[]): Promise<void> {
    return this.#exports.replace(exports);
  }

  /** Ends with `exportsChanged`. */
  changeExports(message: ExportChangesMessage): Promise<void> {
    return this.#exports.change(message);
  }

  /** To the thread of its volume, if that is there. */
  directory(message: RemoveDirectoryMessage | ForgetRemovalMessage): void {
    if (this.#state !== 'serving') return;
    const index = this.#message.volumes.findIndex(({ name }) => name === message.volume);
    if (index >= 0) this.#threads.toVolumeThread(this.#threads.ofVolume(index), message);
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
    this.#threads.toVolumeThreads({ kind: 'halt' });
    this.#threads.toConnectionThreads({ kind: 'halt' });
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
    await this.#threads.askVolumeThreads('flushed', { kind: 'flush' });
    this.#clients.stop();
    await this.#threads.askConnectionThreads('drained', { kind: 'drain' });
    await this.#threads.close('quiesce');
  }

  /** Resolves when every thread is closed, however long that takes. */
  #fence(): Promise<void> {
    this.#closing ??= this.#closeAll();
    this.#exports.end();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    this.#halt();
    this.#threads.replies.abandon(new VolumeOpenError('RightLost', `${this.#message.home}: closed`));
    await this.#threads.close('fence');
    this.#state = 'closed';
  }
}

function elapsed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
