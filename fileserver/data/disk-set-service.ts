/**
 * The service of one disk set, from the agent's `open` to `closed`:
 *
 *   opening --> serving --> quiescing --> closed      in good order: everything answered and on the disk
 *      |           |            |
 *      +-----------+------------+-------> closed      fenced: at once, nothing answered
 *
 * It fences itself when the right to serve runs out (R2), when a volume can't be trusted any more, and when a
 * volume turns out to belong to somebody newer (R6).
 */
import { join } from 'node:path';
import { MountList } from '../mount/mount-list.ts';
import type { NfsService } from '../nfs/call.ts';
import { nfsProcedures } from '../nfs/program.ts';
import { recover } from '../nfs/recovery.ts';
import type { RightTable } from '../right-table.ts';
import { bootMs } from '../system/boottime.ts';
import { identityCanChange } from '../system/thread-identity.ts';
import { ChangeQueue } from '../volume/change-queue.ts';
import { DataFlusher } from '../volume/data-flusher.ts';
import { DiskSet } from '../volume/disk-set.ts';
import type { FileTableLimits } from '../volume/file-table.ts';
import { privateDirectory } from '../volume/ownership.ts';
import { ReplyCache } from '../volume/reply-cache.ts';
import { openVolume, type Volume, VolumeOpenError } from '../volume/volume.ts';
import type {
  CloseMode,
  DataThreadTesting,
  ExportSpec,
  FaultReason,
  FromDataThread,
  OpenMessage,
  OperationStep,
  Phase,
} from './messages.ts';
import type { OutputSlabs } from './output-slabs.ts';
import { Port, PortInUseError } from './port.ts';

/** Between two looks at the ownership records, ms (R6). */
const OWNER_CHECK_MS = 500;
const TICK_MS = 1000;
/** For the last bytes of a connection to be taken by its client, after the last answer. ms */
const FAREWELL_MS = 1000;

export interface ServiceSetup {
  readonly rights: RightTable;
  readonly slabs: OutputSlabs;
  readonly limits: FileTableLimits;
  readonly testing: DataThreadTesting | undefined;
  readonly post: (message: FromDataThread) => void;
}

type State = 'opening' | 'serving' | 'quiescing' | 'closed';

export class DiskSetService {
  private readonly setup: ServiceSetup;
  private readonly message: OpenMessage;
  private state: State;
  private volumes: Volume[];
  private diskSet: DiskSet | null;
  private queues: Map<Volume, ChangeQueue>;
  private flusher: DataFlusher | null;
  private port: Port | null;
  private mounts: MountList | null;
  private timers: NodeJS.Timeout[];
  private answered: boolean;

  constructor(message: OpenMessage, setup: ServiceSetup) {
    this.message = message;
    this.setup = setup;
    this.state = 'opening';
    this.volumes = [];
    this.diskSet = null;
    this.queues = new Map();
    this.flusher = null;
    this.port = null;
    this.mounts = null;
    this.timers = [];
    this.answered = false;
  }

  get isClosed(): boolean {
    return this.state === 'closed';
  }

  private readonly mayServe = (): boolean => this.setup.rights.held(this.message.diskSet);

  private log(level: 'info' | 'warn' | 'error', message: string): void {
    this.setup.post({ kind: 'log', diskSet: this.message.diskSet, level, message });
  }

  /** Ends with `opened` or `openFailed`. */
  async open(): Promise<void> {
    const { diskSet } = this.message;
    try {
      const phases: Phase[] = [];
      await this.phase(phases, 'verify', () => this.verify());
      await this.phase(phases, 'replay', () => this.replay());
      const port = await this.phase(phases, 'listen', () => this.listen());
      this.state = 'serving';
      this.startTimers();
      this.setup.post({ kind: 'opened', diskSet, port, phases });
    } catch (error) {
      const closedMeanwhile = this.isClosed;
      this.tearDown();
      if (!closedMeanwhile) this.setup.post(this.failure(error));
    }
  }

  private failure(error: unknown): FromDataThread {
    const { diskSet } = this.message;
    if (error instanceof VolumeOpenError) {
      const { reason, message, epochFound } = error;
      const found = epochFound === null ? {} : { epochFound };
      return { kind: 'openFailed', diskSet, reason, message, ...found };
    }
    const message = error instanceof Error ? error.message : String(error);
    const reason = error instanceof PortInUseError ? 'PortInUse' : 'IoError';
    return { kind: 'openFailed', diskSet, reason, message };
  }

  private async phase<T>(phases: Phase[], name: Phase['name'], work: () => Promise<T>): Promise<T> {
    if (this.isClosed || !this.mayServe()) {
      throw new VolumeOpenError(
        'RightLost',
        `${this.message.home}: the right to serve ended during "${name}"`,
      );
    }
    const begun = performance.now();
    const result = await work();
    phases.push({ name, tookMs: performance.now() - begun });
    return result;
  }

  private async verify(): Promise<void> {
    const { home, server, incarnation, epoch } = this.message;
    const onFault = (volume: Volume, reason: FaultReason, text: string): void =>
      this.fault(volume, reason, text);
    for (const spec of this.message.volumes) {
      const volume = await openVolume(spec, { home, server, incarnation, epoch }, onFault);
      this.volumes.push(volume);
      if (this.isClosed || !this.mayServe())
        throw new VolumeOpenError('RightLost', `${home}: closed while opening`);
    }
    const twice = this.volumes.find((a) => this.volumes.some((b) => a !== b && a.uuidHex === b.uuidHex));
    if (twice !== undefined) {
      throw new VolumeOpenError('WrongVolume', `two volumes of ${home} are the same (UUID ${twice.uuidHex})`);
    }
    this.diskSet = new DiskSet(this.volumes, this.message.exports, this.setup.limits);
    for (const volume of this.volumes) this.describe(volume);
  }

  /** What clients may and may not expect, once, in the log. */
  private describe(volume: Volume): void {
    const { name } = volume.spec;
    const flushes = volume.intents === 'writeOut' ? 'one flush' : 'two flushes';
    this.log('info', `volume ${name}: ${flushes} for a group of operations (${volume.intentsReason})`);
    if (volume.pathIndex !== null) {
      this.log(
        'warn',
        `volume ${name}: the kernel does not open file handles here (no root, no CAP_DAC_READ_SEARCH, or a file ` +
          `system without handles); files are found through an index in memory, which large volumes make slow`,
      );
    }
    if (!identityCanChange) {
      this.log('warn', `volume ${name}: without root all requests run as uid ${process.geteuid!()}`);
    }
  }

  private async replay(): Promise<void> {
    const { diskSet } = this;
    if (diskSet === null) throw new Error('replay before verify');
    const service = this.nfsService(diskSet);
    for (const volume of this.volumes) {
      const cache = new ReplyCache();
      const summary = await recover(service, volume, diskSet.table, cache, this.onStep);
      const queue = new ChangeQueue(volume, diskSet.table, cache, {
        mayServe: this.mayServe,
        onStopped: () => this.rightLost(),
        onStep: this.onStep,
        intents: this.setup.testing?.intents ?? volume.intents,
        journalDisabled: this.setup.testing?.journalDisabled === true,
      });
      this.queues.set(volume, queue);
      if (volume.failed)
        throw new VolumeOpenError('IoError', `volume ${volume.spec.name} failed during its replay`);
      if (summary.answers + summary.completed + summary.forgotten > 0) {
        this.log(
          'info',
          `volume ${volume.spec.name}: ${summary.answers} answers from the journal; of operations under way ` +
            `${summary.completed} were found executed, ${summary.forgotten} not begun`,
        );
      }
    }
  }

  private nfsService(diskSet: DiskSet): NfsService {
    this.flusher ??= new DataFlusher(diskSet.table);
    return {
      diskSet,
      flusher: this.flusher,
      mayServe: this.mayServe,
      changesOf: (volume) => this.queues.get(volume)!,
    };
  }

  private async listen(): Promise<number> {
    const { diskSet } = this;
    if (diskSet === null) throw new Error('listen before verify');
    const first = this.volumes[0];
    const mounts = new MountList(
      first === undefined ? '' : join(privateDirectory(first.spec.path), 'mounts.json'),
    );
    await mounts.load();
    this.mounts = mounts;
    const programs = {
      nfs: this.nfsService(diskSet),
      nfsProcedures: nfsProcedures(this.onStep),
      diskSet,
      mounts,
      onBug: (error: unknown) => {
        this.log(
          'error',
          `a request failed: ${error instanceof Error ? (error.stack ?? error.message) : error}`,
        );
      },
    };
    const port = new Port(programs, this.setup.slabs, {
      mayServe: this.mayServe,
      onRightLost: () => this.rightLost(),
      onWritten: this.onWritten,
    });
    this.port = port;
    return port.listen(this.message.host, this.message.port);
  }

  private readonly onWritten = (): void => {
    if (this.answered) return;
    this.answered = true;
    this.setup.post({ kind: 'firstReply', diskSet: this.message.diskSet, atBootMs: bootMs() });
  };

  private readonly onStep = (operation: string, step: OperationStep): void => {
    const killAt = this.setup.testing?.killAt;
    if (killAt === undefined || killAt.operation !== operation || killAt.step !== step) return;
    process.kill(process.pid, 'SIGKILL');
  };

  private startTimers(): void {
    this.timers.push(setInterval(() => this.diskSet?.table.tick(), TICK_MS));
    this.timers.push(setInterval(() => void this.checkOwners(), OWNER_CHECK_MS));
  }

  private async checkOwners(): Promise<void> {
    for (const volume of this.volumes) {
      try {
        const newer = await volume.newerOwner();
        if (newer === null || this.isClosed) continue;
        volume.fail(
          'VolumeEpochAhead',
          `volume ${volume.spec.name} is owned by ${newer.owner} in epoch ${newer.epoch}, ours is ${this.message.epoch}`,
        );
      } catch (error) {
        if (!this.isClosed) volume.fail('IoError', `volume ${volume.spec.name}: ${(error as Error).message}`);
      }
    }
  }

  /** The volume says so itself, once. Nothing of the disk set is answered any more. */
  private fault(volume: Volume, reason: FaultReason, message: string): void {
    const { diskSet } = this.message;
    const wasOpening = this.state === 'opening';
    this.halt();
    if (!wasOpening) this.setup.post({ kind: 'fault', diskSet, volume: volume.spec.name, reason, message });
  }

  /** R2. The agent knows already; it will close the disk set. */
  private rightLost(): void {
    this.halt();
  }

  /** Nothing more is read, executed or answered. */
  private halt(): void {
    for (const queue of this.queues.values()) queue.stop();
    this.port?.destroy();
    this.mounts?.stop();
    for (const timer of this.timers) clearInterval(timer);
    this.timers = [];
  }

  replaceExports(exports: readonly ExportSpec[]): void {
    if (this.diskSet === null || this.isClosed) return;
    try {
      this.diskSet.replaceExports(exports);
      this.port?.forgetCallers();
    } catch (error) {
      this.log('error', `exports stay as they were: ${(error as Error).message}`);
    }
  }

  /** Ends with `closed`. */
  async close(mode: CloseMode): Promise<void> {
    if (this.isClosed) return;
    if (mode === 'quiesce' && this.state === 'serving') await this.quiesce();
    if (this.isClosed) return;
    this.tearDown();
    this.setup.post({ kind: 'closed', diskSet: this.message.diskSet, mode });
  }

  private async quiesce(): Promise<void> {
    this.state = 'quiescing';
    const { port } = this;
    if (port === null) return;
    // Most of the flushing while clients are still served: what is left for the gap is little.
    await this.flushUnstable();
    port.quiesce();
    for (const queue of this.queues.values()) await new Promise<void>((resolve) => queue.whenIdle(resolve));
    while (port.unanswered > 0 && !this.isClosed && this.mayServe()) await nextTurn();
    port.end();
    const flushed = this.flushUnstable();
    const until = performance.now() + FAREWELL_MS;
    while (port.connectionCount > 0 && performance.now() < until && !this.isClosed) await nextTurn();
    if (!(await flushed)) return;
    for (const volume of this.volumes) {
      if (this.isClosed || volume.failed || !this.mayServe()) return;
      await volume.declareClean();
    }
  }

  /** false: it could not be done, or is not ours to do any more. */
  private async flushUnstable(): Promise<boolean> {
    if (this.flusher === null || this.isClosed || !this.mayServe()) return false;
    const result = await this.flusher.flushUnstable(this.volumes);
    if (result === 0) return true;
    for (const volume of this.volumes) {
      if (!this.isClosed)
        volume.fail('IoError', `volume ${volume.spec.name} can't be flushed (errno ${-result})`);
    }
    return false;
  }

  private tearDown(): void {
    this.state = 'closed';
    this.halt();
    if (this.diskSet !== null) this.diskSet.close();
    else for (const volume of this.volumes) volume.close();
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}
