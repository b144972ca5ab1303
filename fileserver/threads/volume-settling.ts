/** Brings everything that volumes have begun to the disk: operations, unstable data, journals, the list of mounts, copies of exports. */
import type { MountFile } from '../mount/mount-file.ts';
import type { OperationLog } from '../storage/duplicate-requests/operation-log.ts';
import type { DataFlusher } from '../storage/flush/data-flusher.ts';
import type { Volume } from '../storage/volume/volume.ts';
import type { ExportUpkeep } from './export-upkeep.ts';

/** Parts that write to volumes. */
export interface Writers {
  readonly volumes: readonly Volume[];
  readonly logs: ReadonlyMap<Volume, OperationLog>;
  readonly flusher: DataFlusher;
  /** null: it has not changed, or another thread keeps it. */
  readonly mounts: () => MountFile | null;
  /** null: there are no copies of exports. */
  readonly exports: ExportUpkeep | null;
}

/**
 * Waits until everything that was begun is on the disk and nothing writes any more: every operation answered and recorded, nothing
 * unstable, no flush under way, whether its client is still there or not. No more calls come meanwhile. What one of them waits for
 * may give another one something to do. So all are looked at again until they are at rest at once. false: it could not be done, is
 * not ours to do any more, or is no longer wanted (`goesOn`).
 */
export async function settle(writers: Writers, goesOn: () => boolean): Promise<boolean> {
  const { volumes, logs, flusher, mounts, exports } = writers;
  exports?.copyAll();
  for (;;) {
    for (const log of logs.values()) await new Promise<void>((resolve) => log.whenIdle(resolve));
    if (!goesOn()) return false;
    await flushUnstable(flusher);
    await Promise.all(volumes.map(flushJournal));
    await Promise.all(volumes.map(({ flushTimes }) => flushTimes.whenEnded()));
    await mounts()?.write();
    await exports?.write();
    if (!goesOn() || volumes.some(({ failed }) => failed)) return false;
    if (isSettled(writers)) return true;
  }
}

function isSettled({ volumes, logs, flusher, mounts, exports }: Writers): boolean {
  const busy = volumes.some(({ flushTimes }) => flushTimes.underWay > 0);
  if (mounts()?.isSettled === false || exports?.isSettled === false) return false;
  return !busy && !flusher.hasUnstable && [...logs.values()].every(({ isAtRest }) => isAtRest);
}

/** A volume of which unstable data may be lost has failed. */
export async function flushUnstable(flusher: DataFlusher): Promise<void> {
  for (const volume of await flusher.flushUnstable())
    volume.fail('IoError', `volume ${volume.spec.name}: data could not be flushed`);
}

/** Also what its opening has left in memory. */
function flushJournal(volume: Volume): Promise<void> {
  return new Promise((resolve) => {
    volume.journal.flush((error) => {
      if (error !== null)
        volume.fail(
          'IoError',
          `volume ${volume.spec.name}: the journal could not be flushed: ${error.message}`,
        );
      resolve();
    });
  });
}
