/**
 * When the failover gate opens before this server serves its partner's disk set, and closes again if it comes to nothing.
 * Until every node forwards to a new endpoint takes longer than the claim and the opening together; so it opens as early as
 * it is known who will serve: with a claim, and with the partner's word that it is about to release its disk set.
 */
import type { TraceEvent } from '../../pair/types.ts';
import type { FailoverGate } from './failover-gate.ts';

export class GateKeeper {
  private readonly gate: FailoverGate;
  private readonly expectMs: number;
  /** Of the last claim of the partner's disk set. */
  private claimedEpoch = 0;
  private expecting: NodeJS.Timeout | null = null;

  /** expectMs: a release that was announced is followed by a claim within this time, or not at all. */
  constructor(gate: FailoverGate, expectMs: number) {
    this.gate = gate;
    this.expectMs = expectMs;
  }

  /** The partner is about to release its disk set, which it holds at this epoch, to this server. */
  expect(epoch: number): void {
    this.stop();
    const claimed = epoch + 1;
    this.gate.open(claimed);
    this.expecting = setTimeout(() => {
      this.expecting = null;
      this.gate.withdraw(claimed);
    }, this.expectMs);
  }

  /** Of the partner's disk set. */
  traced(event: TraceEvent): void {
    if (event.name === 'claiming') {
      this.stop();
      this.claimedEpoch = event.epoch;
      this.gate.open(event.epoch);
    } else if (event.name === 'claimLost') this.gate.withdraw(this.claimedEpoch);
  }

  stop(): void {
    if (this.expecting !== null) clearTimeout(this.expecting);
    this.expecting = null;
  }
}
