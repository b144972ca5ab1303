/**
 * Divides the descriptors that the process may have (RLIMIT_NOFILE): the server's own come first, then clients' connections get a
 * third of the rest, and files that are kept open two thirds. So neither idle connections nor files that clients use can take the
 * descriptors that the server itself needs: for its journals, ownership records, flushes, and its partner.
 */

import type { ThreadCounts } from '../settings/thread-counts.ts';
import type { FileTableLimits } from '../storage/files/file-table.ts';

/** Kept back for the process: the runtime, the interconnect, the witness, the metrics, files that are open for a moment. */
const PROCESS_OWN = 128;
/** Kept back for each thread: its event loop, and the volumes that it has (root, journal, files being flushed). */
const THREAD_OWN = 16;
/** Ten thousand clients of a pair, all at one server after a takeover, and some more; a bound all the same. */
export const CONNECTIONS_MAX = 16_384;
const CONNECTIONS_MIN = 16;
/** Limit for one table. */
const FILES_MAX = 32768;
/** A file that is read and written has three. */
const FILES_MIN = 8;

export interface DescriptorBudget {
  /** Connections of clients, of both disk sets together. */
  readonly connectionsMax: number;
  /** Limits for each table of files: each connection thread has one for each disk set, each volume thread one. */
  readonly files: FileTableLimits;
}

/** openFilesMax: RLIMIT_NOFILE of the process. */
export function descriptorBudget(openFilesMax: number, counts: ThreadCounts): DescriptorBudget {
  const { connections, own, partner } = counts;
  const threads = connections + own + partner + 1;
  const rest = Math.max(0, openFilesMax - PROCESS_OWN - threads * THREAD_OWN);
  const connectionsMax = Math.max(CONNECTIONS_MIN, Math.min(CONNECTIONS_MAX, Math.floor(rest / 3)));
  const tables = 2 * connections + own + partner;
  const share = Math.floor((rest - connectionsMax) / tables);
  const descriptorsMax = Math.max(FILES_MIN, Math.min(FILES_MAX, share));
  return { connectionsMax, files: { filesMax: FILES_MAX, descriptorsMax } };
}
