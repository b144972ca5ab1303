/**
 * The connections of one disk set in one of the threads that hold connections, from `attach` to `closed`. Reads are
 * executed here; everything that changes a volume goes to the thread of that volume (call-routing.ts).
 */
import { ConnectionOrder } from '../callers/connection-order.ts';
import type { Admission } from '../connection-limits/connections-by-address.ts';
import { ExportSpecs } from '../exports/export-specs.ts';
import type { GroupDirectory } from '../groups/group-directory.ts';
import type { CallMeter } from '../metrics/data-metrics.ts';
import { type MountEntry, MountReplica } from '../mount/mount-list.ts';
import { mountProgram } from '../mount/program.ts';
import { NfsContext } from '../nfs3/nfs-context.ts';
import { nfs3Program } from '../nfs3/program.ts';
import { Connection, type ConnectionMemory } from '../rpc/connection.ts';
import type { Services } from '../rpc/dispatcher.ts';
import { RpcRegistry } from '../rpc/rpc-program.ts';
import type { LeaseTable } from '../serving-lease/lease-table.ts';
import type { ExportChanges, GivenExports } from '../settings/export-spec.ts';
import type { FaultReason } from '../storage/failures/fault-reason.ts';
import { DiskSet } from '../storage/files/disk-set.ts';
import type { ExportRoot } from '../storage/files/export-root.ts';
import type { FileTableLimits } from '../storage/files/file-table.ts';
import { isUuidAt } from '../storage/handles/file-handle.ts';
import { forgottenIdentity } from '../storage/handles/forgotten-object.ts';
import { VolumeOpenError } from '../storage/volume/open-failure.ts';
import { attachVolume } from '../storage/volume/open-volume.ts';
import { STALL_NOTICE_MS } from '../storage/volume/stall-watch.ts';
import type { Volume } from '../storage/volume/volume.ts';
import { successionProgram } from '../succession/program.ts';
import { bootMs } from '../system/boottime.ts';
import { close } from '../system/file-calls.ts';
import { describeBug } from './bug-reports.ts';
import { CallForwarder, VolumeRoute } from './call-forwarder.ts';
import { CallRouting } from './call-routing.ts';
import type { HeldUp } from './held-up.ts';
import type { CloseMode } from './messages.ts';
import type {
  Channel,
  FromDataThreads,
  RepliesMessage,
  ToConnectionThread,
  WithoutSession,
} from './thread-messages.ts';

/** For the last bytes of a connection to be taken by its client, after the last answer. ms */
const DRAIN_MS = 1000;

export type AttachMessage = Extract<ToConnectionThread, { kind: 'attach' }>;

type AdoptMessage = Extract<ToConnectionThread, { kind: 'adopt' }>;

export interface ConnectionServiceSetup {
  readonly leases: LeaseTable;
  readonly memory: ConnectionMemory;
  readonly limits: FileTableLimits;
  readonly groups: GroupDirectory | null;
  readonly post: (message: FromDataThreads) => void;
  /** To the volume threads, by number. */
  readonly volumeThreads: ReadonlyMap<number, Channel>;
  /** null: nothing is counted. */
  readonly meter: CallMeter | null;
  readonly onConnectionEnded: (admission: Admission) => void;
}

export class ConnectionService {
  readonly session: number;
  readonly #setup: ConnectionServiceSetup;
  readonly #message: AttachMessage;
  readonly #connections: Set<Connection>;
  readonly #forwarders: Map<number, CallForwarder>;
  readonly #mounts: MountReplica;
  readonly #order: ConnectionOrder;
  #volumes: Volume[];
  #diskSet: DiskSet | null;
  #services: Services | null;
  #nextConnection: number;
  #answered: boolean;
  #halted: boolean;
  #closed: boolean;

  constructor(message: AttachMessage, setup: ConnectionServiceSetup) {
    this.session = message.session;
    this.#message = message;
    this.#setup = setup;
    this.#connections = new Set();
    this.#forwarders = new Map();
    this.#mounts = new MountReplica(message.mounts, (change) => this.#tell({ kind: 'mountChange', change }));
    this.#order = new ConnectionOrder(message.order);
    this.#volumes = [];
    this.#diskSet = null;
    this.#services = null;
    this.#nextConnection = 1;
    this.#answered = false;
    this.#halted = false;
    this.#closed = false;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  #tell(message: WithoutSession<FromDataThreads>): void {
    this.#setup.post({ ...message, session: this.session } as FromDataThreads);
  }

  readonly #mayServe = (): boolean => this.#setup.leases.held(this.#message.diskSet);

  /** Ends with `attached` or `failed`. */
  attach(): void {
    try {
      const { volumes, exports, roots } = this.#message;
      const onFault = (volume: Volume, reason: FaultReason, text: string): void =>
        this.#fault(volume, reason, text);
      for (const { attachment } of volumes) this.#volumes.push(attachVolume(attachment, onFault));
      this.#diskSet = new DiskSet(this.#volumes, new ExportSpecs(exports), this.#setup.limits, false);
      this.#diskSet.exported.learn(roots);
      this.#services = this.#makeServices(this.#diskSet);
      this.#tell({ kind: 'attached' });
    } catch (error) {
      const reason = error instanceof VolumeOpenError ? error.reason : 'IoError';
      this.#tell({ kind: 'failed', reason, message: (error as Error).message, epochFound: null });
    }
  }

  /** An exception that costs one call, or that no caller awaits. */
  readonly onBug = (error: unknown): void => {
    this.#tell({ kind: 'log', level: 'error', message: `a request failed: ${describeBug(error)}` });
  };

  #makeServices(diskSet: DiskSet): Services {
    // Changes are made in the threads of their volumes.
    const context = new NfsContext(diskSet, { logOf: () => null, onBug: this.onBug, onStep: () => {} });
    const versions = [nfs3Program(context), mountProgram(diskSet, this.#mounts), successionProgram(diskSet)];
    return {
      registry: new RpcRegistry(versions),
      forwarding: this.#makeRouting(diskSet),
      isExport: (number) => diskSet.exports.has(number),
      groups: this.#setup.groups,
      onBug: this.onBug,
    };
  }

  #makeRouting(diskSet: DiskSet): CallRouting {
    const routed = this.#message.volumes.map(({ attachment, thread }, index) => ({
      uuid: this.#volumes[index]!.uuid,
      route: new VolumeRoute(attachment.spec.name, this.#forwarderTo(thread)),
      readsForwarded: !attachment.opensHandles,
    }));
    return new CallRouting(routed, diskSet);
  }

  #forwarderTo(thread: number): CallForwarder {
    let forwarder = this.#forwarders.get(thread);
    if (forwarder === undefined) {
      const channel = this.#setup.volumeThreads.get(thread)!;
      forwarder = new CallForwarder(this.session, channel, this.#setup.memory.longRecords, {
        forget: (bytes, start, end) => this.#forget(bytes, start, end),
      });
      this.#forwarders.set(thread, forwarder);
    }
    return forwarder;
  }

  /** Replies of a volume thread. */
  receive(thread: number, message: RepliesMessage): void {
    this.#forwarders.get(thread)?.receive(message);
  }

  #forget(bytes: Uint8Array, start: number, end: number): Volume | null {
    const diskSet = this.#diskSet;
    if (diskSet === null) return null;
    for (const volume of diskSet.volumes.values()) {
      if (!isUuidAt(volume.uuid, bytes, start)) continue;
      diskSet.forget(volume, forgottenIdentity(bytes, start, end));
      return volume;
    }
    return null;
  }

  /** number: of the connections of the session, in the order in which they were accepted. */
  adopt({ fd, host, port, number, admission }: Omit<AdoptMessage, 'kind' | 'session'>): void {
    if (this.#closed || this.#halted || this.#services === null) {
      close(fd);
      this.#setup.onConnectionEnded(admission);
      return;
    }
    const place = this.#order.enter(number, host, port);
    const source = { id: this.#nextConnection++, fd, host, port, place };
    const { memory } = this.#setup;
    const { meter } = this.#setup;
    this.#connections.add(
      new Connection(source, this.#services, memory, meter, {
        mayServe: this.#mayServe,
        order: this.#order,
        onLeaseExpired: () => this.#leaseExpired(),
        onWritten: this.#onWritten,
        onClosed: (connection) => this.#ended(connection, admission),
      }),
    );
    meter?.connections(this.#connections.size);
  }

  #ended(connection: Connection, admission: Admission): void {
    if (!this.#connections.delete(connection)) return;
    this.#order.leave(connection.place);
    this.#setup.meter?.connections(this.#connections.size);
    for (const forwarder of this.#forwarders.values()) forwarder.connectionEnded(connection.id);
    this.#setup.onConnectionEnded(admission);
  }

  readonly #onWritten = (): void => {
    if (this.#answered) return;
    this.#answered = true;
    this.#tell({ kind: 'firstReply', atBootMs: bootMs() });
  };

  /** Once a second. `givenUp`: memory of long records that is used no more. */
  tick(givenUp: readonly SharedArrayBuffer[]): void {
    this.#diskSet?.table.tick();
    for (const { errors, spec } of this.#volumes) {
      const told = errors.take();
      if (told.length > 0) this.#tell({ kind: 'volumeErrors', volume: spec.name, errors: told });
    }
    for (const connection of this.#connections) connection.tick();
    for (const forwarder of this.#forwarders.values()) {
      forwarder.trim();
      for (const memory of givenUp) forwarder.dropLong(memory);
    }
  }

  /** Tells of volumes whose disks let calls wait. Some times a second. */
  lookForStalls(heldUp: HeldUp): void {
    const now = performance.now();
    const tell = (volume: string, sinceMs: number): void => {
      const waitedMs = Math.round(heldUp.turnedMs(sinceMs, now));
      if (waitedMs >= STALL_NOTICE_MS && this.#mayServe()) this.#tell({ kind: 'waiting', volume, waitedMs });
    };
    for (const { longestWaiting } of this.#forwarders.values()) {
      if (longestWaiting !== null) tell(longestWaiting.volume, longestWaiting.sinceMs);
    }
    for (const { uncachedReads, spec } of this.#volumes) {
      const { waitingSinceMs } = uncachedReads;
      if (waitingSinceMs !== null) tell(spec.name, waitingSinceMs);
    }
  }

  #fault(volume: Volume, reason: FaultReason, message: string): void {
    this.#setup.leases.halt(this.#message.diskSet);
    if (this.#diskSet !== null) this.#tell({ kind: 'fault', volume: volume.spec.name, reason, message });
  }

  /** R2. Nothing is answered any more; connections end when the coordinator has closed the port. */
  #leaseExpired(): void {
    if (this.#halted) return;
    this.#halted = true;
    for (const connection of this.#connections) connection.quiesce();
    this.#tell({ kind: 'leaseExpired' });
  }

  /** The port is closed. At once: resets, so that clients know without waiting. */
  halt(): void {
    this.#halted = true;
    for (const connection of this.#connections) connection.destroy();
  }

  replaceMounts(mounts: readonly MountEntry[]): void {
    this.#mounts.all = mounts;
  }

  /** Takes effect at once, but for exports of directories that are not known yet. */
  replaceExports(exports: GivenExports): void {
    if (this.#diskSet === null || this.#closed) return;
    this.#diskSet.exported.replace(new ExportSpecs(exports));
    for (const { caller } of this.#connections) caller.forget();
  }

  /** The same of some of them. */
  changeExports(changes: ExportChanges): void {
    if (this.#diskSet === null || this.#closed) return;
    this.#diskSet.exported.change(changes);
    for (const { caller } of this.#connections) caller.forget();
  }

  /** An update with a number ends with `rooted`. */
  learnRoots(roots: readonly ExportRoot[], change: number | null): void {
    if (!this.#closed) this.#diskSet?.exported.learn(roots);
    if (change !== null) this.#tell({ kind: 'rooted', change });
  }

  /** Takes no more calls and waits for those under way, also of connections that have ended. Ends with `drained`. */
  async drain(): Promise<void> {
    for (const connection of this.#connections) connection.quiesce();
    while ((this.#unanswered > 0 || this.#forwarded > 0) && !this.#closed && this.#mayServe())
      await nextTurn();
    this.#tell({ kind: 'drained' });
  }

  get #unanswered(): number {
    let count = 0;
    for (const connection of this.#connections) count += connection.unanswered;
    return count;
  }

  /** Calls that volume threads have not answered. */
  get #forwarded(): number {
    let count = 0;
    for (const forwarder of this.#forwarders.values()) count += forwarder.outstandingCount;
    return count;
  }

  /** Ends with `closed`. quiesce: after drain(). */
  async close(mode: CloseMode): Promise<void> {
    if (mode === 'quiesce' && !this.#halted) await this.#drain();
    if (this.#closed) return;
    this.halt();
    this.#closed = true;
    this.#setup.meter?.connections(0);
    if (this.#diskSet !== null) await this.#diskSet.close();
    else await Promise.all(this.#volumes.map((volume) => volume.close()));
    this.#tell({ kind: 'closed' });
  }

  async #drain(): Promise<void> {
    for (const connection of this.#connections) connection.end();
    const until = performance.now() + DRAIN_MS;
    while (this.#connections.size > 0 && performance.now() < until && !this.#closed) await nextTurn();
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}
