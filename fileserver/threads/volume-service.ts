/** Volumes of one disk set in the thread that makes their changes, from `verify` to `closed`. */

import type { DiskSetSide } from '../../pair/types.ts';
import type { ConnectionOrder } from '../callers/connection-order.ts';
import { ExportSpecs, unpacked } from '../exports/export-specs.ts';
import type { GroupDirectory } from '../groups/group-directory.ts';
import type { VolumeMeter } from '../metrics/data-metrics.ts';
import { MountFile } from '../mount/mount-file.ts';
import type { MountEntry } from '../mount/mount-list.ts';
import { NfsContext } from '../nfs3/nfs-context.ts';
import { nfs3Program } from '../nfs3/program.ts';
import { RpcRegistry } from '../rpc/rpc-program.ts';
import type { LeaseTable } from '../serving-lease/lease-table.ts';
import { VolumeGate } from '../serving-lease/volume-gate.ts';
import type { ExportChanges, GivenExports } from '../settings/export-spec.ts';
import type { OperationLog } from '../storage/duplicate-requests/operation-log.ts';
import type { OperationStep } from '../storage/duplicate-requests/operation-step.ts';
import type { FaultReason } from '../storage/failures/fault-reason.ts';
import { DiskSet } from '../storage/files/disk-set.ts';
import type { FileTableLimits } from '../storage/files/file-table.ts';
import { VolumeOpenError } from '../storage/volume/open-failure.ts';
import type { Volume } from '../storage/volume/volume.ts';
import { failpoints } from '../system/failpoints.ts';
import { inBackground } from '../system/turns.ts';
import { RefusedError } from '../system/write-gate.ts';
import { describeBug } from './bug-reports.ts';
import { CallExecutor } from './call-executor.ts';
import { ExportUpkeep } from './export-upkeep.ts';
import type { CloseMode, OpenMessage } from './messages.ts';
import { openVolumes } from './opened-volumes.ts';
import type { Readings } from './prepared-volumes.ts';
import type { CallsMessage, Channel, FromDataThreads, WithoutSession } from './thread-messages.ts';
import { logNotices } from './volume-notices.ts';
import { type LogLine, replay } from './volume-replay.ts';
import { flushUnstable, settle } from './volume-settling.ts';
import { VolumeUpkeep } from './volume-upkeep.ts';

//   opening --> verified --> serving --> closing --> closed      gracefully: everything on the disk
//      |            |           |           |
//      +------------+-----------+-----------+------> closed      fenced: at once
//
// It halts, and all other threads with it, when the right to serve runs out (R2). It also does so when a volume can't be trusted any
// more, and when a newer server owns a volume (R6).

export interface VolumeServiceSetup {
  readonly leases: LeaseTable;
  readonly limits: FileTableLimits;
  readonly groups: GroupDirectory | null;
  /** To the coordinator. */
  readonly post: (message: FromDataThreads) => void;
  /** For the figures of the volume with this number in the thread. */
  readonly meter: (volume: number) => VolumeMeter;
  /** Readings of the volumes during the claim. */
  readonly prepared: Readings;
  /** To and from the threads that hold connections. */
  readonly connectionThreads: readonly Channel[];
}

type State = 'opening' | 'serving' | 'closing' | 'closed';

export class VolumeService {
  readonly session: number;
  readonly #setup: VolumeServiceSetup;
  readonly #message: OpenMessage;
  #state: State;
  /** The gate is that of all volumes. */
  readonly #gate: VolumeGate;
  readonly volumes: Volume[];
  #diskSet: DiskSet | null;
  #logs: Map<Volume, OperationLog>;
  #context: NfsContext | null;
  #executor: CallExecutor | null;
  #upkeep: VolumeUpkeep | null;
  /** null: it has not changed, or another thread keeps it. */
  #mounts: MountFile | null;
  /** null: not before verify(). */
  #exports: ExportUpkeep | null;
  /** Work that has come while nothing may change and is executed afterwards, in order; null: everything may. */
  #kept: (() => void)[] | null;
  /** close() was called: nothing more is begun. */
  #stopping: boolean;
  /** Writes to the volumes on its own account at the moment: `closed` waits for them. */
  #writing: Promise<void>;

  /** `part`: the disk set with those of its volumes that this thread is to change. */
  constructor(session: number, part: OpenMessage, setup: VolumeServiceSetup) {
    this.session = session;
    this.#message = part;
    this.#setup = setup;
    this.#state = 'opening';
    this.#gate = new VolumeGate(setup.leases, part.diskSet, {
      onLeaseExpired: () => this.#leaseExpired(),
      onBug: (error) => this.onBug(error),
    });
    this.volumes = [];
    this.#diskSet = null;
    this.#logs = new Map();
    this.#context = null;
    this.#executor = null;
    this.#upkeep = null;
    this.#mounts = null;
    this.#exports = null;
    this.#kept = null;
    this.#stopping = false;
    this.#writing = Promise.resolve();
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  get #side(): DiskSetSide {
    return this.#message.diskSet;
  }

  readonly #mayServe = (): boolean => this.#setup.leases.held(this.#side);

  #tell(message: WithoutSession<FromDataThreads>): void {
    this.#setup.post({ ...message, session: this.session } as FromDataThreads);
  }

  readonly #logLine: LogLine = (level, message) => this.#tell({ kind: 'log', level, message });

  /** An exception that costs one call, or that no caller awaits. */
  readonly onBug = (error: unknown): void => {
    this.#logLine('error', `a request failed: ${describeBug(error)}`);
  };

  /** Ends with `verified` or `failed`. */
  async verify(): Promise<void> {
    await this.#stage(async () => {
      await this.#openVolumes();
      this.#mustHoldLease();
      const attachments = this.volumes.map(({ attachment }) => attachment);
      this.#tell({ kind: 'verified', attachments, roots: this.#diskSet!.exported.takeNews() });
    });
  }

  /** After verify(). Ends with `serving` or `failed`. */
  async serve(order: ConnectionOrder): Promise<void> {
    await this.#stage(async () => {
      await this.#replay();
      this.#mustHoldLease();
      this.#executor = this.#makeExecutor(this.#diskSet!, order);
      this.#state = 'serving';
      this.#exports?.resume();
      this.#upkeep = this.#makeUpkeep();
      this.#upkeep.start();
      this.#tell({ kind: 'serving' });
    });
  }

  #makeUpkeep(): VolumeUpkeep {
    return new VolumeUpkeep({
      volumes: this.volumes,
      logs: this.#logs,
      context: this.#contextOf(this.#diskSet!),
      gate: this.#gate,
      exports: this.#exports!,
      mounts: () => this.#mounts,
      meter: this.#setup.meter,
      mayServe: this.#mayServe,
      mayWrite: () => this.#mayWrite(),
      tell: (message) => this.#tell(message),
    });
  }

  #stage(work: () => Promise<void>): Promise<void> {
    this.#writing = work().catch((error: unknown) => {
      if (this.#stopping) return;
      const known = error instanceof VolumeOpenError ? error : null;
      const message = error instanceof Error ? error.message : String(error);
      this.#tell({
        kind: 'failed',
        reason: known?.reason ?? (error instanceof RefusedError ? 'RightLost' : 'IoError'),
        message,
        epochFound: known?.epochFound ?? null,
      });
    });
    return this.#writing;
  }

  #makeExecutor(diskSet: DiskSet, order: ConnectionOrder): CallExecutor {
    const services = {
      registry: new RpcRegistry([nfs3Program(this.#contextOf(diskSet))]),
      forwarding: null,
      isExport: () => false,
      groups: this.#setup.groups,
      onBug: this.onBug,
    };
    const executor = new CallExecutor(this.session, services, this.#setup.connectionThreads, order, {
      onRefused: () => this.#leaseExpired(),
      execute: this.#execute,
    });
    diskSet.table.onForget = (volume, identity) => executor.forget(volume, identity);
    return executor;
  }

  /** Calls that a connection thread has forwarded. */
  take(channel: Channel, message: CallsMessage): void {
    if (this.#state !== 'serving' && this.#state !== 'closing') return;
    if (this.#kept !== null) this.#kept.push(() => this.take(channel, message));
    else this.#executor?.take(channel, message);
  }

  /** A call that was taken and had to wait for something else than the disk. */
  readonly #execute = (work: () => void): void => {
    if (this.isClosed) return;
    if (this.#kept !== null) this.#kept.push(() => this.#execute(work));
    else work();
  };

  async #openVolumes(): Promise<void> {
    await openVolumes(this.#message, this.#setup.prepared, this.#gate, this.volumes, {
      mustHoldLease: () => this.#mustHoldLease(),
      onFault: (volume, reason, text) => this.#fault(volume, reason, text),
    });
    const exports = new ExportSpecs(this.#message.exports ?? unpacked([]));
    this.#diskSet = new DiskSet(this.volumes, exports, this.#setup.limits);
    this.#exports = new ExportUpkeep(this.#diskSet, this.#gate, {
      copies: this.#message.copiesExports === true,
      mayWrite: () => this.#mayWrite(),
      removed: (id, result) => this.#tell({ kind: 'directoryRemoved', id, result }),
      found: () => this.#upkeep?.tellRoots(),
    });
    if (this.#message.exports !== null) this.#exports.begin();
    for (const volume of this.volumes) logNotices(volume, this.#logLine);
  }

  #mustHoldLease(): void {
    if (!this.#stopping && this.#mayServe()) return;
    throw new VolumeOpenError('RightLost', `${this.#message.home}: the right to serve ended while opening`);
  }

  async #replay(): Promise<void> {
    const diskSet = this.#diskSet;
    if (diskSet === null) throw new Error('replay before verify');
    this.#mustHoldLease();
    const context = this.#contextOf(diskSet);
    for (const volume of this.volumes) {
      const log = await replay(volume, context, {
        mayServe: this.#mayServe,
        onStopped: () => this.#leaseExpired(),
        onStep: this.#onStep,
        log: this.#logLine,
      });
      this.#logs.set(volume, log);
      if (volume.failed)
        throw new VolumeOpenError('IoError', `volume ${volume.spec.name} failed during its replay`);
    }
  }

  #contextOf(diskSet: DiskSet): NfsContext {
    this.#context ??= new NfsContext(diskSet, {
      logOf: (volume) => this.#logs.get(volume) ?? null,
      onBug: this.onBug,
      onStep: this.#onStep,
    });
    return this.#context;
  }

  readonly #onStep = (operation: string, step: OperationStep): void => {
    const killAt = failpoints.killAt;
    if (killAt === undefined || killAt.operation !== operation || killAt.step !== step) return;
    process.kill(process.pid, 'SIGKILL');
  };

  /** On the server's own account. */
  #mayWrite(): boolean {
    return this.#state === 'serving' && this.#kept === null && this.#mayServe();
  }

  /** The volume says so itself, once. Nothing of the disk set is answered any more, by any thread. */
  #fault(volume: Volume, reason: FaultReason, message: string): void {
    const wasOpening = this.#state === 'opening';
    this.#setup.leases.halt(this.#side);
    this.halt();
    if (!wasOpening) this.#tell({ kind: 'fault', volume: volume.spec.name, reason, message });
  }

  /** R2. The coordinator tells the agent, which may not have noticed: its clock was read a moment earlier. */
  #leaseExpired(): void {
    this.halt();
    this.#tell({ kind: 'leaseExpired' });
  }

  /** Nothing more is executed or answered. */
  halt(): void {
    for (const log of this.#logs.values()) log.stop();
    this.#upkeep?.stop();
  }

  /** Who has mounted what: for the thread that has the disk set's first volume, which is its own first. */
  replaceMounts(mounts: readonly MountEntry[]): void {
    const [first] = this.volumes;
    if (first === undefined || this.#state === 'opening' || this.isClosed) return;
    this.#mounts ??= new MountFile(this.#gate, first.spec.path);
    this.#mounts.replace(mounts);
  }

  /** Ends with `exported`. The coordinator has looked for faults in them. */
  replaceExports(change: number, exports: GivenExports): void {
    if (!this.isClosed) {
      this.#exports?.replace(new ExportSpecs(exports));
      this.#executor?.forgetCallers();
    }
    this.#tellExported(change);
  }

  /** The same of some of them. */
  changeExports(change: number, changes: ExportChanges): void {
    const changed = this.isClosed ? undefined : this.#exports?.change(changes);
    if (changed !== undefined) this.#executor?.forgetCallers();
    inBackground((changed ?? Promise.resolve()).then(() => this.#tellExported(change)));
  }

  #tellExported(change: number): void {
    this.#tell({ kind: 'exported', change, roots: this.#diskSet?.exported.takeNews() ?? [] });
  }

  /** Ends with `directoriesKnown`, if the disk set is served for so long. */
  async lookForDirectories(change: number): Promise<void> {
    await this.#exports?.survey();
    if (this.isClosed) return;
    this.#upkeep?.tellRoots();
    this.#tell({ kind: 'directoriesKnown', change });
  }

  /** Ends with `directoryRemoved`, if the disk set is served for so long. */
  removeDirectory(id: string, volume: string, directory: string): void {
    if (this.#mayWrite()) this.#exports?.remove(id, volume, directory);
    else this.#kept?.push(() => this.removeDirectory(id, volume, directory));
  }

  forgetRemoval(id: string, volume: string): void {
    this.#exports?.forgetRemoval(id, volume);
  }

  /** Most of what was written unstable, while clients are still served: what is left for the gap is little. */
  async flush(): Promise<void> {
    if (this.#context !== null && this.#mayServe()) await flushUnstable(this.#context.flusher);
    this.#tell({ kind: 'flushed' });
  }

  /** Says `frozen` when what runs is finished and on the disk; not at all if it is closed before. */
  async freeze(): Promise<void> {
    if (this.#state !== 'serving' || this.#kept !== null) return;
    const kept: (() => void)[] = [];
    this.#kept = kept;
    for (const log of this.#logs.values()) log.freeze();
    // It may have ended meanwhile, and another one begun.
    const isFrozen = (): boolean => this.#kept === kept && this.#state === 'serving';
    if (!(await this.#settle(isFrozen))) return;
    this.#gate.freeze();
    this.#tell({ kind: 'frozen' });
  }

  /** In the order in which they came: what was kept is executed now, if the lease still stands. */
  thaw(): void {
    const kept = this.#kept;
    this.#kept = null;
    this.#gate.thaw();
    for (const log of this.#logs.values()) log.thaw();
    for (const work of kept ?? []) work();
  }

  /** Ends with `closed`. quiesce: the caller has seen to it that no more calls come. */
  async close(mode: CloseMode): Promise<void> {
    if (mode === 'quiesce' && this.#state === 'serving') {
      this.#state = 'closing';
      this.thaw();
      await this.#finish();
    }
    this.#stopping = true;
    // An ownership record that is on its way must not arrive behind the next owner's.
    await this.#writing;
    await Promise.allSettled(this.volumes.map(({ recorded }) => recorded));
    await this.#mounts?.whenWritten();
    await this.#exports?.stop();
    if (this.isClosed) return;
    this.#state = 'closed';
    this.#gate.close();
    this.halt();
    if (this.#diskSet !== null) await this.#diskSet.close();
    else await Promise.all(this.volumes.map((volume) => volume.close()));
    this.#tell({ kind: 'closed' });
  }

  async #finish(): Promise<void> {
    if (!(await this.#settle(() => true))) return;
    // It is closed all the same: the next owner takes another write verifier.
    this.#writing = this.#declareClean().catch((error: Error) =>
      this.#logLine('warn', `${this.#message.home}: not recorded that all is on the disk: ${error.message}`),
    );
    await this.#writing;
  }

  /** false: it could not be done, is not ours to do any more, or is no longer `wanted`. */
  async #settle(wanted: () => boolean): Promise<boolean> {
    const flusher = this.#context?.flusher;
    if (flusher === undefined) return false;
    const writers = {
      volumes: this.volumes,
      logs: this.#logs,
      flusher,
      mounts: () => this.#mounts,
      exports: this.#exports,
    };
    return settle(writers, () => wanted() && !this.isClosed && this.#mayServe());
  }

  async #declareClean(): Promise<void> {
    for (const volume of this.volumes) {
      if (this.#stopping || volume.failed || !this.#mayServe()) return;
      await volume.declareClean();
    }
  }
}
