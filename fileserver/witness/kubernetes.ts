/** The Kubernetes witness: a Lease for each disk set, raw JSON, compare-and-swap on resourceVersion. */

import { setTimeout as delay } from 'node:timers/promises';
import { ApiError, isConflict } from '../../kubernetes/api-error.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import type { Lease } from '../../kubernetes/objects.ts';
import { Reflector } from '../../kubernetes/reflector.ts';
import { resources } from '../../kubernetes/resource.ts';
import { type LeaseOwnership, type LeaseSighting, sameOwnership } from '../../pair/lease.ts';
import type { LeaseReadOutcome, LeaseWriteOutcome } from '../../pair/types.ts';
import type { Log } from '../logging/log.ts';
import { repeat, reportingErrors } from '../system/turns.ts';
import { microTime, recordOf, withNotes, withOwnership } from './lease-object.ts';
import { type LeaseNotes, readWithin, type Witness, writeWithin } from './witness.ts';

// The resourceVersion also changes when somebody writes beside the ownership (a proof, a request, the notes of a
// server). Such a write is no competitor: a conflict with it is resolved here, by reading again and writing against
// the new version if the ownership is still exactly the one that the caller has seen. `renewal` grows with every
// write by a server, so the same ownership means that no server wrote in between. What the caller gets is thus a
// compare-and-swap on the ownership.

/** Sightings kept for each disk set, so that a version can be traced back to its object. */
const REMEMBERED = 16;
/** Conflicts with writers beside the ownership, in one compare-and-swap. */
const CONFLICTS_MAX = 5;
const NOTE_RETRY_MS = 500;
/**
 * Every Lease is read this often although it is watched. It keeps a connection for each of them open (the API closes one after 90
 * s without use), so that a claim or a renewal does not begin with a TLS handshake. A watch that has silently died does not stay
 * unnoticed either.
 */
const POLL_MS = 45_000;
/** Ms after which the transport gives up on a call whose caller has given up already. */
const GRACE_MS = 250;

export interface KubernetesWitnessOptions {
  readonly client: KubernetesClient;
  readonly namespace: string;
  /** Name of the Lease, by home. */
  readonly leases: Readonly<Record<string, string>>;
  readonly leaseMs: number;
  /** Ms after which a call's outcome is unknown. */
  readonly callMs: number;
  /** For tests; see POLL_MS. */
  readonly pollMs?: number;
  readonly log: Log;
}

export class KubernetesWitness implements Witness {
  readonly #options: KubernetesWitnessOptions;
  readonly #reflectors: Reflector<Lease>[] = [];
  readonly #polls: NodeJS.Timeout[] = [];
  /** By home: the newest objects, oldest first. */
  readonly #remembered = new Map<string, Lease[]>();
  readonly #notes = new Map<string, LeaseNotes>();
  readonly #noting = new Map<string, Promise<void>>();
  readonly #closing = new AbortController();

  constructor(options: KubernetesWitnessOptions) {
    this.#options = options;
  }

  read(home: string): Promise<LeaseReadOutcome> {
    const reading = this.#get(home).then(
      (lease): LeaseReadOutcome => ({ kind: 'found', sighting: this.#sighting(home, lease) }),
    );
    const answer = reading.catch((error: Error): LeaseReadOutcome => {
      this.#options.log.warn(`Cannot read the Lease of ${home}: ${error.message}`);
      return { kind: 'unknown' };
    });
    return readWithin(this.#options.callMs, answer, this.#late);
  }

  compareAndSwap(home: string, version: string, ownership: LeaseOwnership): Promise<LeaseWriteOutcome> {
    return writeWithin(this.#options.callMs, this.#swap(home, version, ownership), this.#late);
  }

  watch(home: string, seen: (sighting: LeaseSighting) => void): void {
    const { client, namespace, log } = this.#options;
    const name = this.#nameOf(home);
    const take = (lease: Lease): void => {
      let sighting: LeaseSighting;
      try {
        sighting = this.#sighting(home, lease);
      } catch (error) {
        log.error(`The Lease ${name} of ${home} cannot be understood: ${(error as Error).message}`);
        return;
      }
      reportingErrors(() => seen(sighting));
    };
    const reflector = new Reflector<Lease>({
      client,
      resource: resources.leases,
      namespace,
      fieldSelector: `metadata.name=${name}`,
      retryMsMin: 100,
      retryMsMax: 1000,
      onChange: (change) => {
        if (change.kind !== 'deleted') take(change.object);
        else
          log.error(
            `The Lease ${name} of ${home} was deleted: nobody can claim until the operator makes it again.`,
          );
      },
      onError: (error, retryInMs) =>
        log.warn(
          `The watch of Lease ${name} was interrupted: ${error.message}; again in ${Math.round(retryInMs)} ms.`,
        ),
    });
    reflector.start();
    this.#reflectors.push(reflector);
    const look = (): Promise<void> =>
      this.#get(home).then(take, (error: Error) => {
        log.debug(`Cannot read the Lease ${name}: ${error.message}`);
      });
    const poll = repeat(look, this.#options.pollMs ?? POLL_MS);
    this.#polls.push(poll);
  }

  annotate(home: string, notes: LeaseNotes): void {
    this.#notes.set(home, { ...this.#notes.get(home), ...notes });
    if (!this.#noting.has(home)) this.#noting.set(home, this.#writeNotes(home));
  }

  async noted(home: string): Promise<boolean> {
    await this.#noting.get(home);
    return !this.#notes.has(home);
  }

  async close(ms: number): Promise<void> {
    for (const poll of this.#polls.splice(0)) clearInterval(poll);
    const late = delay(ms, undefined, { ref: false });
    await Promise.race([Promise.all(this.#noting.values()), late]);
    this.#closing.abort();
    await Promise.race([Promise.all(this.#reflectors.map((one) => one.stop())), late]);
  }

  /**
   * Where one call was not answered in time, the next goes over a new connection: it must not wait for another one that
   * led to the same API server, which may be gone. A solo holder's lease lasts for two calls without an answer, not for three.
   */
  readonly #late = (): void => this.#options.client.renewConnections();

  #nameOf(home: string): string {
    const name = this.#options.leases[home];
    if (name === undefined) throw new Error(`no Lease is configured for ${home}`);
    return name;
  }

  /** A read of the current state, not of a cache. */
  #get(home: string): Promise<Lease> {
    const { client, namespace, callMs } = this.#options;
    const timeoutMs = callMs + GRACE_MS;
    return client.get<Lease>(resources.leases, { namespace, name: this.#nameOf(home) }, { timeoutMs });
  }

  /** Throws if the ownership cannot be understood. */
  #sighting(home: string, lease: Lease): LeaseSighting {
    const record = recordOf(lease);
    const kept = this.#remembered.get(home) ?? [];
    if (!kept.some((one) => one.metadata.resourceVersion === lease.metadata.resourceVersion)) {
      this.#remembered.set(home, [...kept.slice(1 - REMEMBERED), lease]);
    }
    return { version: lease.metadata.resourceVersion!, record };
  }

  async #swap(home: string, version: string, ownership: LeaseOwnership): Promise<LeaseWriteOutcome> {
    const base = this.#remembered.get(home)?.find((one) => one.metadata.resourceVersion === version);
    if (base === undefined) return { kind: 'conflict' };
    const { client, leaseMs, callMs, log } = this.#options;
    const deadline = performance.now() + callMs;
    let current = base;
    for (let tries = 0; tries < CONFLICTS_MAX; tries++) {
      // A request that would be answered after the caller has given up is not sent at all.
      const timeoutMs = Math.floor(deadline - performance.now());
      if (timeoutMs <= 0) return { kind: 'refused', message: 'no time was left' };
      try {
        const wanted = withOwnership(current, ownership, leaseMs, microTime(new Date()));
        const written = await client.replace(resources.leases, wanted, { timeoutMs: timeoutMs + GRACE_MS });
        return { kind: 'applied', sighting: this.#sighting(home, written) };
      } catch (error) {
        if (!isConflict(error)) {
          const { message } = error as Error;
          log.warn(`Cannot write the Lease of ${home}: ${message}`);
          return certain(error) ? { kind: 'refused', message } : { kind: 'unknown' };
        }
      }
      const newer = await this.#get(home).catch(() => null);
      if (newer === null || !unchanged(base, newer)) return { kind: 'conflict' };
      current = newer;
    }
    return { kind: 'conflict' };
  }

  /** Read, change, replace, until nothing is left to write. Never in the way of the ownership: that one retries. */
  async #writeNotes(home: string): Promise<void> {
    const { client, log } = this.#options;
    while (!this.#closing.signal.aborted) {
      const notes = this.#notes.get(home);
      if (notes === undefined) break;
      try {
        await client.replace(resources.leases, withNotes(await this.#get(home), notes), { timeoutMs: 5000 });
        // Newer ones may have come meanwhile.
        if (this.#notes.get(home) === notes) this.#notes.delete(home);
      } catch (error) {
        if (isConflict(error)) continue;
        log.warn(`Cannot write notes beside the Lease of ${home}: ${(error as Error).message}`);
        await delay(NOTE_RETRY_MS, undefined, { ref: false, signal: this.#closing.signal }).catch(() => {});
      }
    }
    this.#noting.delete(home);
  }
}

/** True if no server wrote between the two. What cannot be understood has changed. */
function unchanged(before: Lease, after: Lease): boolean {
  try {
    return sameOwnership(recordOf(before), recordOf(after));
  } catch {
    return false;
  }
}

/** True if the request was for sure not executed. */
function certain(error: unknown): boolean {
  return error instanceof ApiError && error.outcome !== 'unknown';
}
