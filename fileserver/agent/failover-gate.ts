/**
 * The second gate of the secondary port: the endpoint behind the partner's failover name (the first one is the
 * listening socket). A server opens and closes it itself, so that no operator is on the critical path of a failover.
 */
export interface FailoverGate {
  /** This server serves its partner's disk set at this epoch. Returns at once; repeated until it works. */
  open(epoch: number): void;
  /** It does so no longer. */
  close(epoch: number): void;
}

/** Where there is no such endpoint: one machine, or addresses that clients know. */
export const noGate: FailoverGate = {
  open: () => {},
  close: () => {},
};
