/**
 * The simulated operator: the real deciding code for proofs of death (operator/model/death-proof.ts), fed from a cache
 * that lags, and crashed at any step between seeing, deciding and writing. What it writes is a compare-and-swap against
 * the Lease that it judged, late or not.
 */
import type { Lease } from '../kubernetes/objects.ts';
import { deathProof } from '../operator/model/death-proof.ts';
import { viewLease } from '../operator/model/lease-view.ts';
import type { Pod } from '../operator/model/objects.ts';
import { type Incarnation, parseIncarnation, type ServerName } from '../pair/incarnation.ts';
import type { LeaseSighting } from '../pair/lease.ts';

/** The part of the cluster that the operator needs. */
export interface Cluster {
  readonly homes: readonly ServerName[];
  seen(home: ServerName): LeaseSighting;
  later(atMostMs: number, action: () => void): void;
  chance(probability: number): boolean;
  annotate(
    home: ServerName,
    version: string,
    proof: { incarnation: Incarnation; epoch: number; evidence: string },
  ): void;
}

/** A kubelet's knowledge of one pod's server container. */
interface Container {
  running: Incarnation | null;
  /** Runs that have ended, the newest first. */
  readonly ended: Incarnation[];
}

export class SimulatedOperator {
  readonly #cluster: Cluster;
  readonly #guesses: boolean;
  /** The truth on the nodes, by pod UID. */
  readonly #containers = new Map<string, Container>();
  /** As last reported to the API, by pod UID: late, but never wrong. */
  readonly #reported = new Map<string, Pod>();
  /** Chance that the operator dies at a step; what it was doing is lost, and it restarts. */
  crashRate = 0;

  constructor(cluster: Cluster, guesses: boolean) {
    this.#cluster = cluster;
    this.#guesses = guesses;
  }

  started(me: Incarnation): void {
    const uid = me.split('/')[1]!;
    const container = this.#containers.get(uid) ?? { running: null, ended: [] };
    this.#containers.set(uid, container);
    container.running = me;
    this.#reportLater(uid);
  }

  ended(me: Incarnation): void {
    const uid = me.split('/')[1]!;
    const container = this.#containers.get(uid)!;
    if (container.running === me) container.running = null;
    container.ended.unshift(me);
    this.#reportLater(uid);
  }

  /** Level-triggered: looks at every Lease, whatever made it look. */
  reconcile(): void {
    for (const home of this.#cluster.homes) this.#cluster.later(500, () => this.#decide(home));
  }

  #reportLater(uid: string): void {
    this.#cluster.later(3000, () => {
      this.#reported.set(uid, podOf(uid, this.#containers.get(uid)!));
      this.reconcile();
    });
  }

  #decide(home: ServerName): void {
    const cluster = this.#cluster;
    if (cluster.chance(this.crashRate)) {
      this.#restart();
      return;
    }
    const judged = cluster.seen(home);
    const found = this.#guesses
      ? this.#guess(judged)
      : deathProof(viewLease(objectOf(judged)), [...this.#reported.values()]);
    if (found === null) return;
    const incarnation = parseIncarnation(found.incarnation)!;
    const { deathProof: written } = judged.record;
    if (written?.incarnation === incarnation && written.epoch === found.epoch) return;
    if (cluster.chance(this.crashRate)) {
      this.#restart();
      return;
    }
    const write = () => cluster.annotate(home, judged.version, { ...found, incarnation });
    cluster.later(cluster.chance(0.1) ? 5000 : 50, write);
    // Its answer got lost, so it writes once more: the same proof, against the same version.
    if (cluster.chance(0.1)) cluster.later(5000, write);
  }

  #restart(): void {
    this.#cluster.later(4000, () => this.reconcile());
  }

  /** The broken operator: a holder that it has heard nothing of must be dead. */
  #guess({ record }: LeaseSighting) {
    if (record.holder === null) return null;
    return { incarnation: record.holder as string, epoch: record.epoch, evidence: 'guessed' };
  }
}

function podOf(uid: string, { running, ended }: Container): Pod {
  const terminated = (run: Incarnation) => ({
    terminated: { exitCode: 137, reason: 'Error', containerID: `containerd://${run}`, message: `${run}\n` },
  });
  const [last, before] = ended;
  const state = running !== null ? { running: {} } : last === undefined ? {} : terminated(last);
  const lastRun = running !== null ? last : before;
  const lastState = lastRun === undefined ? {} : terminated(lastRun);
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: uid, uid },
    status: { containerStatuses: [{ name: 'server', state, lastState }] },
  };
}

/** The Lease as the operator reads it. */
function objectOf({ version, record }: LeaseSighting): Lease {
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: 'lease', resourceVersion: version },
    spec: {
      ...(record.holder === null ? {} : { holderIdentity: record.holder }),
      leaseTransitions: record.epoch,
    },
  };
}
