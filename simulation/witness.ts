/**
 * The simulated witness: one Lease for each disk set, compare-and-swap on its version, watches. What is nasty about the real one
 * is here too: answers that get lost after the write was done, watches that lag, an API that is down. Requests are applied long
 * after their sender has given up.
 */
import type { Incarnation, ServerName } from '../pair/incarnation.ts';
import {
  type DeathProof,
  emptyLease,
  type LeaseOwnership,
  type LeaseRecord,
  type LeaseSighting,
  type TransferRequest,
} from '../pair/lease.ts';
import type { LeaseReadOutcome, LeaseWriteOutcome } from '../pair/types.ts';

export interface Ownership {
  readonly epoch: number;
  readonly holder: Incarnation;
}

export class SimulatedWitness {
  /** Fault of the checker's own test: writes without compare-and-swap. */
  readonly compareAndSwap: boolean;
  readonly #leases = new Map<ServerName, LeaseSighting>();
  readonly #watchers = new Set<(home: ServerName, sighting: LeaseSighting) => void>();
  /** Every owner there ever was, by disk set: exactly one for each epoch, or the run has failed. */
  readonly owners = new Map<ServerName, Ownership[]>();
  /** Changes of owner that no rule allows. */
  readonly illegal: string[] = [];
  #version = 0;
  /** How often the Lease of each disk set has been set back. */
  readonly restores = new Map<ServerName, number>();

  constructor(homes: readonly ServerName[], compareAndSwap: boolean) {
    this.compareAndSwap = compareAndSwap;
    for (const home of homes) {
      this.#leases.set(home, { version: '0', record: emptyLease });
      this.owners.set(home, []);
    }
  }

  read(home: ServerName): LeaseReadOutcome {
    return { kind: 'found', sighting: this.#leases.get(home)! };
  }

  record(home: ServerName): LeaseRecord {
    return this.#leases.get(home)!.record;
  }

  sighting(home: ServerName): LeaseSighting {
    return this.#leases.get(home)!;
  }

  write(home: ServerName, version: string, ownership: LeaseOwnership): LeaseWriteOutcome {
    const current = this.#leases.get(home)!;
    if (this.compareAndSwap && current.version !== version) return { kind: 'conflict' };
    const { holder } = ownership;
    // An ownership that a restored backup has forgotten is written again by the holder that it was.
    const was = this.restores.size > 0 && this.owners.get(home)!.some((one) => isOwner(one, ownership));
    const another = holder !== null && holder !== current.record.holder;
    if (another && ownership.epoch <= current.record.epoch && !was) {
      this.illegal.push(`${holder} became the holder of ${home} without a new epoch (${ownership.epoch})`);
    }
    if (ownership.holder !== null && ownership.epoch !== current.record.epoch) {
      this.owners.get(home)!.push({ epoch: ownership.epoch, holder: ownership.holder });
    }
    return { kind: 'applied', sighting: this.#store(home, { ...current.record, ...ownership }) };
  }

  /** Writes the annotations of the operator and of people beside the ownership. */
  annotate(home: ServerName, beside: { deathProof?: DeathProof; request?: TransferRequest }): void {
    this.#store(home, { ...this.record(home), ...beside });
  }

  /** etcd is restored from a backup: the Lease is what it was then, under a new version. */
  restore(home: ServerName, record: LeaseRecord): void {
    this.restores.set(home, (this.restores.get(home) ?? 0) + 1);
    this.#store(home, record);
  }

  watch(onChange: (home: ServerName, sighting: LeaseSighting) => void): () => void {
    this.#watchers.add(onChange);
    return () => this.#watchers.delete(onChange);
  }

  #store(home: ServerName, record: LeaseRecord): LeaseSighting {
    const sighting = { version: String(++this.#version), record };
    this.#leases.set(home, sighting);
    for (const notify of this.#watchers) notify(home, sighting);
    return sighting;
  }
}

function isOwner(
  { epoch, holder }: { readonly epoch: number; readonly holder: Incarnation },
  ownership: LeaseOwnership,
): boolean {
  return epoch === ownership.epoch && holder === ownership.holder;
}
