/**
 * One operator instance acts, the others wait with warm caches. A Lease decides, by compare-and-swap. That two act at once for
 * a moment (the old one stalled) is harmless: plans are idempotent, and whatever concerns ownership is a compare-and-swap of
 * its own. Servers fail over without any operator.
 */

import { ApiError, isAlreadyExists, isNotFound } from '../../kubernetes/api-error.ts';
import { pause } from '../../kubernetes/back-off.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import type { Lease } from '../../kubernetes/objects.ts';
import { resources } from '../../kubernetes/resource.ts';
import { isOlder } from '../../kubernetes/resource-version.ts';

// The Lease is also how an instance learns that the API server's etcd was restored from a backup: it reads an older version than
// it has seen. Its caches may then lack what has happened since, and nothing would ever tell them. So it ends, and starts again.

export interface LeaderElectionOptions {
  readonly client: KubernetesClient;
  readonly namespace: string;
  readonly name: string;
  /** Name of this instance; unique for each process. */
  readonly identity: string;
  /** After so long without a renewal others may take it. Whole seconds. */
  readonly leaseMs: number;
  readonly retryMs: number;
  readonly onError: (error: ApiError) => void;
  /** Absent: this machine's. */
  readonly clock?: ElectionClock;
}

export interface ElectionClock {
  /** ms, from any moment; never set back. */
  now(): number;
  /** Resolves after so many ms, or at once when the signal is aborted. */
  pause(ms: number, signal: AbortSignal): Promise<void>;
}

const MACHINE_CLOCK: ElectionClock = { now: () => performance.now(), pause };

export class LeaderElection {
  readonly #options: LeaderElectionOptions;
  readonly #clock: ElectionClock;
  readonly #abort = new AbortController();
  #held: Lease | null = null;
  /** When the last write of the Lease that succeeded was sent, by the clock. */
  #confirmedAt = Number.NEGATIVE_INFINITY;
  /** The latest version of the Lease that was read or written. */
  #seenVersion: string | undefined;
  #wentBack = false;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#clock = options.clock ?? MACHINE_CLOCK;
  }

  /** Our own clock counts, too: a process that was frozen does not lead when it goes on, before it hears so from anybody. */
  get leading(): boolean {
    return this.#held !== null && this.#clock.now() - this.#confirmedAt <= this.#heldForMs;
  }

  /** How long a confirmation counts; others wait for the whole leaseMs. */
  get #heldForMs(): number {
    return this.#options.leaseMs * 0.8;
  }

  /** Whether the Lease was read at an older version than before: the API server has forgotten what it had acknowledged. */
  get wentBack(): boolean {
    return this.#wentBack;
  }

  /** Resolves when this instance leads; false if it was stopped before, or if the Lease {@link wentBack}. */
  async win(): Promise<boolean> {
    let seen = { version: '', since: this.#clock.now() };
    while (!this.#abort.signal.aborted) {
      try {
        const lease = await this.#read();
        if (this.#wentBack) return false;
        const now = this.#clock.now();
        if (lease !== null && seen.version !== lease.metadata.resourceVersion)
          seen = { version: lease.metadata.resourceVersion ?? '', since: now };
        // How long have we seen it unchanged, by our own clock? A time that another machine wrote never counts.
        const free =
          lease === null || !lease.spec?.holderIdentity || now - seen.since >= this.#options.leaseMs;
        if (free && (await this.#write(lease))) return true;
      } catch (error) {
        this.#report(error);
      }
      await this.#clock.pause(this.#options.retryMs, this.#abort.signal);
    }
    return false;
  }

  /** Renews until stopped (resolves 'stopped') or until another instance may lead (resolves 'lost'). */
  async keep(): Promise<'stopped' | 'lost'> {
    while (!this.#abort.signal.aborted) {
      await this.#clock.pause(this.#options.retryMs, this.#abort.signal);
      if (this.#abort.signal.aborted) break;
      try {
        if (this.#held !== null && (await this.#write(this.#held))) continue;
        if (!(await this.#stillMine())) return this.#lose();
      } catch (error) {
        this.#report(error);
      }
      if (!this.leading) return this.#lose();
    }
    return 'stopped';
  }

  /** Ends it; an instance that leads hands over at once. */
  async stop(): Promise<void> {
    this.#abort.abort();
    const held = this.#held;
    this.#held = null;
    if (held === null) return;
    const { holderIdentity: _, ...spec } = held.spec ?? {};
    await this.#options.client
      .replace(resources.leases, { ...held, spec }, { timeoutMs: 2000 })
      .catch(() => undefined);
  }

  #lose(): 'lost' {
    this.#held = null;
    return 'lost';
  }

  async #read(): Promise<Lease | null> {
    const { client, namespace, name } = this.#options;
    try {
      const lease = await client.get<Lease>(
        resources.leases,
        { namespace, name },
        { timeoutMs: this.#options.retryMs * 2 },
      );
      this.#note(lease);
      return lease;
    } catch (error) {
      if (isNotFound(error)) return null;
      throw error;
    }
  }

  /** After a conflict or an unknown outcome: do we still hold it? */
  async #stillMine(): Promise<boolean> {
    const lease = await this.#read();
    if (this.#wentBack || lease?.spec?.holderIdentity !== this.#options.identity) return false;
    this.#held = lease;
    return true;
  }

  /** Takes or renews it by compare-and-swap; false: another was first. */
  async #write(lease: Lease | null): Promise<boolean> {
    const { client, namespace, name, identity, leaseMs, retryMs } = this.#options;
    const now = `${new Date().toISOString().slice(0, -1)}000Z`;
    const mine = lease?.spec?.holderIdentity === identity;
    const next: Lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      ...lease,
      metadata: { ...lease?.metadata, name, namespace },
      spec: {
        ...lease?.spec,
        holderIdentity: identity,
        leaseDurationSeconds: Math.ceil(leaseMs / 1000),
        acquireTime: mine ? (lease?.spec?.acquireTime ?? now) : now,
        renewTime: now,
        leaseTransitions: (lease?.spec?.leaseTransitions ?? 0) + (mine ? 0 : 1),
      },
    };
    const options = { timeoutMs: retryMs * 2 };
    const sentAt = this.#clock.now();
    try {
      const written =
        lease === null
          ? await client.create(resources.leases, next, options)
          : await client.replace(resources.leases, next, options);
      this.#note(written);
      // It was not there, since the backup is from before it was made.
      if (this.#wentBack) return false;
      this.#held = written;
      this.#confirmedAt = sentAt;
      return true;
    } catch (error) {
      if (isAlreadyExists(error) || (error instanceof ApiError && error.status === 409)) return false;
      throw error;
    }
  }

  #note({ metadata: { resourceVersion } }: Lease): void {
    this.#wentBack ||= isOlder(resourceVersion, this.#seenVersion);
    this.#seenVersion = resourceVersion;
  }

  #report(error: unknown): void {
    if (!(error instanceof ApiError)) throw error;
    this.#options.onError(error);
  }
}
