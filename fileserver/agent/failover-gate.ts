/**
 * The second gate of the secondary port: the endpoint behind the partner's failover name (the first one is the listening socket).
 * A server opens and closes it itself, so that no operator is on the critical path of a failover.
 */

/**
 * It opens when the claim is sent, not when it has succeeded. Until every node forwards to a new endpoint takes about as long as
 * the claim and the opening of the volumes together, and meanwhile the socket behind it is closed and refuses. The Lease alone
 * decides which of two servers may serve; this gate only shows the way.
 */
export interface FailoverGate {
  /** This server claims its partner's disk set at this epoch, or serves it. Returns at once; repeated until it works. */
  open(epoch: number): void;
  /** The claim at this epoch has failed: nothing will be served at it here. */
  withdraw(epoch: number): void;
  /** It does not serve it any longer. */
  close(epoch: number): void;
  /** At the start: an earlier run of this pod may have left the gate open. */
  closeIfMine(): void;
}

/** Where there is no such endpoint: one machine, or addresses that clients know. */
export const noGate: FailoverGate = {
  open: () => {},
  withdraw: () => {},
  close: () => {},
  closeIfMine: () => {},
};
