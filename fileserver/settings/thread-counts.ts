/** How many threads of which kind. They all exist from the start: a takeover starts none. */
export interface ThreadCounts {
  /** Threads that hold connections, of both disk sets. */
  readonly connections: number;
  /** Threads that change volumes, for each disk set: at most one a volume is of use. */
  readonly own: number;
  readonly partner: number;
}

/** All threads of the data path: this many lines of the thread board. The coordinator's is the last. */
export function threadCount({ connections, own, partner }: ThreadCounts): number {
  return connections + own + partner + 1;
}

/** Which of so many threads changes the volume at this place in the configuration of its disk set. */
export function placeOf(volume: number, threads: number): number {
  return volume % threads;
}

/** Those of a disk set's volumes that the thread at `place` changes. */
export function volumesOf<T>(volumes: readonly T[], threads: number, place: number): T[] {
  return volumes.filter((_, volume) => placeOf(volume, threads) === place);
}
