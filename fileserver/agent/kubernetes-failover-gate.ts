/**
 * The failover gate on Kubernetes. The EndpointSlice behind the partner's failover name holds this pod's address, and is ready
 * while this server serves the partner's disk set. The file kubernetes/failover-endpoint.ts says how two writers (this server and
 * the operator) keep out of each other's way.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { isConflict } from '../../kubernetes/api-error.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import {
  type EndpointSlice,
  type FailoverEndpoint,
  failoverEndpointPatch,
  isBehind,
  shownBy,
} from '../../kubernetes/failover-endpoint.ts';
import { resources } from '../../kubernetes/resource.ts';
import type { Log } from '../logging/log.ts';
import { inBackground } from '../system/turns.ts';
import type { FailoverGate } from './failover-gate.ts';

const RETRY_MS = 100;
const CALL_MS = 2000;

export interface KubernetesFailoverGateOptions {
  readonly client: KubernetesClient;
  readonly namespace: string;
  /** Name of the EndpointSlice. */
  readonly name: string;
  /** Address of this pod. */
  readonly address: string;
  /** Node of this pod; null: not known, as for a pod that an older operator made. */
  readonly nodeName: string | null;
  readonly log: Log;
}

/** The content that the slice should have, given its content now; null: leave it alone. */
type Change = (shown: FailoverEndpoint) => FailoverEndpoint | null;

interface Wish {
  readonly doing: 'open' | 'close';
  readonly write: () => Promise<void>;
}

export class KubernetesFailoverGate implements FailoverGate {
  readonly #options: KubernetesFailoverGateOptions;
  #wish: Wish | null = null;
  /** Epoch at which this process has opened the gate; null: it has not, or did something else since. */
  #openedAt: number | null = null;
  #working = false;

  constructor(options: KubernetesFailoverGateOptions) {
    this.#options = options;
  }

  /**
   * Asks nobody first: milliseconds count, and the epoch is the newest there is, since this server claims it just now.
   */
  open(epoch: number): void {
    if (this.#openedAt === epoch) return;
    this.#openedAt = epoch;
    const endpoint = { epoch, open: true, ...this.#where };
    this.#want({ doing: 'open', write: () => this.#patch(endpoint, null) });
  }

  /** Back to the epoch before: that is the Lease's, and the operator goes by it. */
  withdraw(epoch: number): void {
    this.#openedAt = null;
    const { address } = this.#options;
    const before = { epoch: epoch - 1, open: false, ...this.#where };
    const mine = (shown: FailoverEndpoint) =>
      shown.epoch === epoch && shown.open && shown.address === address;
    this.#wantClosed((shown) => (mine(shown) ? before : null));
  }

  /** After a release the home server may have claimed already: then there is nothing left to do. */
  close(epoch: number): void {
    this.#openedAt = null;
    const endpoint = { epoch, open: false, ...this.#where };
    const change: Change = (shown) => (isBehind(endpoint, shown) ? null : endpoint);
    this.#wantClosed(change);
  }

  /** Another pod of this server may be alive and serve: its address is another one. */
  closeIfMine(): void {
    const { address } = this.#options;
    const change: Change = (shown) =>
      shown.open && shown.address === address ? { ...shown, open: false } : null;
    this.#wantClosed(change);
  }

  get #where(): Pick<FailoverEndpoint, 'address' | 'nodeName'> {
    const { address, nodeName } = this.#options;
    return { address, nodeName };
  }

  #wantClosed(change: Change): void {
    this.#want({ doing: 'close', write: () => this.#compareAndPatch(change) });
  }

  #want(wish: Wish): void {
    this.#wish = wish;
    if (!this.#working) inBackground(this.#work());
  }

  /** Until what is wanted last is written, or somebody has written something newer. */
  async #work(): Promise<void> {
    const { log, name } = this.#options;
    this.#working = true;
    for (let wish = this.#wish; wish !== null; wish = this.#wish) {
      try {
        await wish.write();
        if (this.#wish === wish) this.#wish = null;
      } catch (error) {
        if (isConflict(error)) continue;
        log.warn(`Cannot ${wish.doing} the endpoint ${name}: ${(error as Error).message}; trying again.`);
        await delay(RETRY_MS);
      }
    }
    this.#working = false;
  }

  async #compareAndPatch(change: Change): Promise<void> {
    const { client, namespace, name } = this.#options;
    const slice = await client.get<EndpointSlice>(
      resources.endpointSlices,
      { namespace, name },
      { timeoutMs: CALL_MS },
    );
    const wanted = change(shownBy(slice));
    if (wanted !== null) await this.#patch(wanted, slice.metadata.resourceVersion!);
  }

  async #patch(wanted: FailoverEndpoint, resourceVersion: string | null): Promise<void> {
    const { client, namespace, name } = this.#options;
    const patch = failoverEndpointPatch(wanted);
    const metadata = patch['metadata'] as Record<string, unknown>;
    await client.mergePatch(
      resources.endpointSlices,
      { namespace, name },
      resourceVersion === null ? patch : { ...patch, metadata: { ...metadata, resourceVersion } },
      { timeoutMs: CALL_MS },
    );
  }
}
