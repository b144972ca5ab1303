/** Work of a volume thread for its volumes, once a second while they are served, and the watch over who owns them. */
import { VOLUMES_MAX, type VolumeMeter } from '../metrics/data-metrics.ts';
import type { MountFile } from '../mount/mount-file.ts';
import type { NfsContext } from '../nfs3/nfs-context.ts';
import type { VolumeGate } from '../serving-lease/volume-gate.ts';
import type { OperationLog } from '../storage/duplicate-requests/operation-log.ts';
import { OwnerWatch } from '../storage/volume/owner-watch.ts';
import type { Volume } from '../storage/volume/volume.ts';
import { failpoints } from '../system/failpoints.ts';
import { inBackground, repeat } from '../system/turns.ts';
import type { ExportUpkeep } from './export-upkeep.ts';
import type { FromDataThreads, WithoutSession } from './thread-messages.ts';

const TICK_MS = 1000;

export interface UpkeepParts {
  readonly volumes: readonly Volume[];
  readonly logs: ReadonlyMap<Volume, OperationLog>;
  readonly context: NfsContext;
  readonly gate: VolumeGate;
  readonly exports: ExportUpkeep;
  /** null: it has not changed, or another thread keeps it. */
  readonly mounts: () => MountFile | null;
  readonly meter: (volume: number) => VolumeMeter;
  readonly mayServe: () => boolean;
  /** On the server's own account. */
  readonly mayWrite: () => boolean;
  readonly tell: (message: WithoutSession<FromDataThreads>) => void;
}

export class VolumeUpkeep {
  readonly #parts: UpkeepParts;
  #owners: OwnerWatch | null;
  /** null: it is stopped. */
  #timer: NodeJS.Timeout | null;

  constructor(parts: UpkeepParts) {
    this.#parts = parts;
    this.#owners = null;
    this.#timer = null;
  }

  start(): void {
    const { volumes, mayServe, tell, meter } = this.#parts;
    this.#timer = repeat(() => this.#tick(), TICK_MS);
    this.#tick();
    // A volume may have failed in there, which stops this.
    if (this.#timer === null) return;
    const onWaits = (volume: Volume, waitedMs: number): void => {
      if (mayServe()) tell({ kind: 'waiting', volume: volume.spec.name, waitedMs });
    };
    this.#owners = new OwnerWatch(
      volumes,
      {
        onNewer: (volume, found) => volume.failAhead(found),
        onWaits,
        onCapacity: (volume, { size, available, files, filesFree }) => {
          const index = volumes.indexOf(volume);
          if (index < VOLUMES_MAX) meter(index).capacity(size, available, files, filesFree);
        },
      },
      failpoints.ownerLookMs,
    );
  }

  stop(): void {
    if (this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
    this.#owners?.stop();
    const { volumes, meter } = this.#parts;
    // Its next owner says from now on how full they are.
    for (const index of volumes.slice(0, VOLUMES_MAX).keys()) meter(index).capacity(0, 0, 0, 0);
  }

  #tick(): void {
    const { volumes, logs, context, gate, exports, mounts, meter, mayWrite, tell } = this.#parts;
    context.diskSet.table.tick();
    context.diskSet.exported.lookAgain();
    this.tellRoots();
    for (const { errors, spec } of volumes) {
      const told = errors.take();
      if (told.length > 0) tell({ kind: 'volumeErrors', volume: spec.name, errors: told });
    }
    for (const { requests } of logs.values()) requests.evict();
    if (mayWrite()) {
      for (const { reserve } of volumes) reserve.restore(gate);
      inBackground(mounts()?.write());
      inBackground(exports.write());
      inBackground(this.#makeMissing());
      context.flusher.tick();
    }
    for (const [index, { journal, flushTimes }] of volumes.slice(0, VOLUMES_MAX).entries()) {
      const count = journal.flushCount + flushTimes.count;
      const ms = journal.flushMs + flushTimes.ms;
      meter(index).journal(journal.usedSize, count, ms, journal.compactionCount);
    }
  }

  /** Makes directories of exports that had to wait for the disk set to be served, or could not be made the last time. */
  async #makeMissing(): Promise<void> {
    await this.#parts.exports.makeMissing();
    this.tellRoots();
  }

  /** Tells the other threads what they do not know of exported directories. */
  tellRoots(): void {
    const roots = this.#parts.context.diskSet.exported.takeNews();
    if (roots.length > 0) this.#parts.tell({ kind: 'roots', roots });
  }
}
