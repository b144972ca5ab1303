/**
 * The agent's hold on the data path: the first of its threads (threads/thread.ts), which starts the others. The agent only
 * ever sends it messages; whatever a disk does, heartbeats go on. Its end is the end of the process: half a server
 * that still sends heartbeats would be worse than none.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Incarnation } from '../../pair/incarnation.ts';
import type { WrittenVolumes } from '../../pair/lease.ts';
import type { DiskSetSide } from '../../pair/types.ts';
import type { Config } from '../config/config.ts';
import { DataFigures, metricsSize } from '../metrics/data-metrics.ts';
import type { ExportChanges, ExportSpec, GivenExports } from '../settings/export-spec.ts';
import { type ThreadCounts, threadCount } from '../settings/thread-counts.ts';
import type { VolumeSpec } from '../settings/volume-spec.ts';
import type { DataThreadOptions, FromDataThread, ToDataThread } from '../threads/messages.ts';
import { ThreadBoard } from '../threads/thread-board.ts';

const STARTED_LOOK_MS = 5;

export interface DataThreadSetup {
  readonly config: Config;
  readonly me: Incarnation;
  readonly leases: SharedArrayBuffer;
  /** Where users' groups are looked up; null: not at all. */
  readonly groupChannel: string | null;
  readonly received: (message: FromDataThread) => void;
  /** The thread has ended. `reason` is a sentence. */
  readonly ended: (reason: string) => void;
}

export class DataThread {
  readonly #setup: DataThreadSetup;
  readonly #worker: Worker;
  readonly #board: ThreadBoard;
  readonly #counts: ThreadCounts;
  readonly figures: DataFigures;

  constructor(setup: DataThreadSetup) {
    this.#setup = setup;
    const threads = threadCounts(setup.config);
    const board = ThreadBoard.allocate(threadCount(threads));
    const metrics = new SharedArrayBuffer(metricsSize(threads));
    this.#counts = threads;
    this.figures = new DataFigures(metrics, threads);
    this.#board = new ThreadBoard(board);
    const options = {
      leases: setup.leases,
      threads,
      board,
      ...(setup.groupChannel === null ? {} : { groupChannel: setup.groupChannel }),
      metrics,
      busyPoll: setup.config.threads.stayAwake,
      volumes: { local: volumesOf(setup.config, 'local'), partner: volumesOf(setup.config, 'partner') },
    } as DataThreadOptions;
    this.#worker = new Worker(new URL('../threads/thread.ts', import.meta.url), { workerData: options });
    this.#worker.on('message', setup.received);
    this.#worker.on('error', (error: Error) => setup.ended(error.stack ?? error.message));
    this.#worker.on('exit', (code) => setup.ended(`it exited with code ${code}`));
  }

  /** The disk set is being claimed at this epoch; null: it is not any more. */
  prepare(diskSet: DiskSetSide, epoch: number | null): void {
    this.#post({ kind: 'prepare', diskSet, epoch, volumes: volumesOf(this.#setup.config, diskSet) });
  }

  /** exports: null: those that were copied to the volumes. written: what the Lease knows of the volumes. */
  open(diskSet: DiskSetSide, epoch: number, exports: GivenExports | null, written?: WrittenVolumes): void {
    const { config, me } = this.#setup;
    const home = diskSet === 'local' ? config.server : config.partner;
    this.#post({
      kind: 'open',
      diskSet,
      home,
      server: config.server,
      incarnation: me,
      epoch,
      volumes: volumesOf(config, diskSet),
      exports,
      copiesExports: config.shares !== undefined,
      ...(written === undefined ? {} : { written }),
      volumeStalledMs: config.volumeStalledMs,
      attachPatienceMs: config.attachPatienceMs,
      host: config.listen.host,
      port: diskSet === 'local' ? config.listen.primary : config.listen.secondary,
    });
  }

  /**
   * Resolves when every thread has started: a server that counts as there before that would make its first takeover or
   * giveback wait for them.
   */
  async started(): Promise<void> {
    while (!this.#board.allStarted) await delay(STARTED_LOOK_MS);
  }

  /** From now on these are the exports, if the disk set is open. */
  replaceExports(diskSet: DiskSetSide, exports: readonly ExportSpec[]): void {
    this.#post({ kind: 'exports', diskSet, exports });
  }

  /** The same of some of them: answered with `exportsChanged` of this number. */
  changeExports(diskSet: DiskSetSide, changes: ExportChanges, number: number): void {
    this.#post({ kind: 'exportChanges', diskSet, number, changes });
  }

  /** Answered with `directoryRemoved` of this ID, if the disk set is open for so long. */
  removeDirectory(diskSet: DiskSetSide, id: string, volume: string, directory: string): void {
    this.#post({ kind: 'removeDirectory', diskSet, id, volume, directory });
  }

  forgetRemoval(diskSet: DiskSetSide, id: string, volume: string): void {
    this.#post({ kind: 'forgetRemoval', diskSet, id, volume });
  }

  /** Where the disk set's disks are mounted from now on, if they move from node to node, and who else could serve them. */
  disksAt(diskSet: DiskSetSide, directory: string | null, partnerCouldServe: boolean): void {
    this.#post({ kind: 'disks', diskSet, directory, partnerCouldServe });
  }

  /** Nothing on its volumes changes until `resume`, for `msMax` at most. */
  freeze(diskSet: DiskSetSide, id: string, msMax: number): void {
    this.#post({ kind: 'hold', diskSet, id, msMax });
  }

  thaw(diskSet: DiskSetSide, id: string): void {
    this.#post({ kind: 'resume', diskSet, id });
  }

  close(diskSet: DiskSetSide, mode: 'quiesce' | 'fence'): void {
    this.#post({ kind: 'close', diskSet, mode });
  }

  /**
   * How long the slowest thread has not turned that must never wait for a disk, ms: the first one, and those with
   * connections.
   */
  get silentMs(): number {
    const coordinator = this.#board.threads - 1;
    let longest = this.#board.silentMs(coordinator);
    for (let thread = 0; thread < this.#counts.connections; thread++) {
      longest = Math.max(longest, this.#board.silentMs(thread));
    }
    return longest;
  }

  /** Ends the thread where it is. For tests: a server ends as a process. */
  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }

  #post(message: ToDataThread): void {
    this.#worker.postMessage(message);
  }
}

function volumesOf(
  { diskSets, server, partner, handleKeysDirectory }: Config,
  diskSet: DiskSetSide,
): VolumeSpec[] {
  const { volumes } = diskSets[diskSet === 'local' ? server : partner]!;
  const keys = handleKeysDirectory === undefined ? {} : { handleKeysDirectory };
  return volumes.map(({ name, path, writeThrough, reattached, adopts }) => ({
    name,
    path,
    writeThrough: writeThrough ?? false,
    reattached: reattached ?? false,
    adopts: adopts ?? false,
    ...keys,
  }));
}

function threadCounts({ threads, diskSets, server, partner }: Config): ThreadCounts {
  const forVolumes = (home: string): number => Math.min(threads.volumes, diskSets[home]!.volumes.length);
  return { connections: threads.connections, own: forVolumes(server), partner: forVolumes(partner) };
}
