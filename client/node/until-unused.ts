/** When a director that was started for a mount is of no use any more: no virtual address stands for a pair. */
import { watch } from 'node:fs';
import type { NodeState } from './state.ts';

/** One mount may end just before the next one begins. Ms. */
const GRACE_MS = 2000;

/** Resolves when the directory, which must be there, has named no address for a moment. */
export function untilUnused(state: NodeState): Promise<void> {
  return new Promise((resolve) => {
    let timer: NodeJS.Timeout | null = null;
    const look = () => {
      const { addresses, errors } = state.read();
      // A file that cannot be read stands for a mount, too.
      if (addresses.length + errors.length > 0) {
        if (timer !== null) clearTimeout(timer);
        timer = null;
        return;
      }
      timer ??= setTimeout(() => {
        watcher.close();
        resolve();
      }, GRACE_MS);
    };
    // It does not keep a supervisor that was told to stop.
    const watcher = watch(state.directory, { persistent: false }, look);
    look();
  });
}
