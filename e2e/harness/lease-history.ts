/** Every state of the pair's Leases during a scenario, and whether one epoch ever had two owners. */
import type { Thing } from './kubectl.ts';
import type { Pair } from './pair.ts';

interface LeaseThing extends Thing {
  readonly spec?: { readonly holderIdentity?: string; readonly leaseTransitions?: number };
}

/** One state of a Lease. */
export interface LeaseState {
  readonly lease: string;
  readonly epoch: number;
  /** Incarnation, `SERVER/POD UID/RUN`; undefined while nobody owns the disk set. */
  readonly holder: string | undefined;
}

export class LeaseHistory {
  readonly states: LeaseState[] = [];
  readonly #watch: { readonly stop: () => void };

  constructor(pair: Pair) {
    this.#watch = pair.kubectl.watch<LeaseThing>('leases', ({ type, object }) => {
      if (type !== 'ADDED' && type !== 'MODIFIED') return;
      this.states.push({
        lease: object.metadata.name,
        epoch: object.spec?.leaseTransitions ?? 0,
        holder: object.spec?.holderIdentity || undefined,
      });
    });
  }

  stop(): void {
    this.#watch.stop();
  }

  /** How often the disk set of a server got an owner since the watch began: two is one failover and one giveback. */
  ownerChanges(home: string): number {
    const epochs = this.states.filter(
      (state) => state.lease.endsWith(`.${home}`) && state.holder !== undefined,
    );
    return new Set(epochs.map((state) => state.epoch)).size - 1;
  }

  /**
   * Epochs that had two owners, and epochs that went backwards, in words.
   *
   * @param goesBack the API server has forgotten something on purpose, so a Lease may show what was before
   */
  violations(goesBack = false): string[] {
    return leaseViolations(this.states, goesBack);
  }
}

/** Pure: a watch shows the states of one object in order. */
export function leaseViolations(states: readonly LeaseState[], goesBack = false): string[] {
  const found: string[] = [];
  for (const [lease, own] of Map.groupBy(states, (state) => state.lease)) {
    const ownerOf = new Map<number, string>();
    let last = 0;
    for (const { epoch, holder } of own) {
      if (epoch < last && !goesBack) found.push(`${lease} went back from epoch ${last} to ${epoch}`);
      last = Math.max(last, epoch);
      if (holder === undefined) continue;
      const before = ownerOf.get(epoch);
      if (before !== undefined && before !== holder) {
        found.push(`${lease} had two owners in epoch ${epoch}: ${before} and ${holder}`);
      }
      ownerOf.set(epoch, holder);
    }
  }
  return found;
}
