/**
 * The failover gate on Kubernetes: the EndpointSlice behind the partner's failover name holds this pod's address, and
 * is ready exactly while this server serves the partner's disk set. kubernetes/failover-endpoint.ts says how two
 * writers (this server and the operator) keep out of each other's way.
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
import type { Log } from '../log.ts';
import type { FailoverGate } from './failover-gate.ts';

const RETRY_MS = 100;
const CALL_MS = 2000;

export interface KubernetesFailoverGateOptions {
  readonly client: KubernetesClient;
  readonly namespace: string;
  /** Name of the EndpointSlice. */
  readonly name: string;
  /** Of this pod. */
  readonly address: string;
  readonly log: Log;
}

export class KubernetesFailoverGate implements FailoverGate {
  private readonly options: KubernetesFailoverGateOptions;
  private wanted: FailoverEndpoint | null = null;
  private working = false;

  constructor(options: KubernetesFailoverGateOptions) {
    this.options = options;
  }

  open(epoch: number): void {
    this.want({ epoch, open: true, address: this.options.address });
  }

  close(epoch: number): void {
    this.want({ epoch, open: false, address: this.options.address });
  }

  private want(endpoint: FailoverEndpoint): void {
    this.wanted = endpoint;
    if (!this.working) void this.work();
  }

  /** Until what is wanted last is written, or somebody has written something newer. */
  private async work(): Promise<void> {
    const { log, name } = this.options;
    this.working = true;
    for (let mine = this.wanted; mine !== null; mine = this.wanted) {
      try {
        await (mine.open ? this.patch(mine, null) : this.patchUnlessBehind(mine));
        if (this.wanted === mine) this.wanted = null;
      } catch (error) {
        if (isConflict(error)) continue;
        const doing = mine.open ? 'open' : 'close';
        log.warn(`Cannot ${doing} the endpoint ${name}: ${(error as Error).message}; trying again.`);
        await delay(RETRY_MS);
      }
    }
    this.working = false;
  }

  private async patchUnlessBehind(mine: FailoverEndpoint): Promise<void> {
    const { client, namespace, name } = this.options;
    const slice = await client.get<EndpointSlice>(
      resources.endpointSlices,
      { namespace, name },
      { timeoutMs: CALL_MS },
    );
    if (isBehind(mine, shownBy(slice))) return;
    await this.patch(mine, slice.metadata.resourceVersion!);
  }

  /**
   * Opening asks nobody first: milliseconds count, and the epoch is the newest there is, since this server has just
   * claimed it. Closing compares: after a release the home server may have claimed already.
   */
  private async patch(mine: FailoverEndpoint, resourceVersion: string | null): Promise<void> {
    const { client, namespace, name } = this.options;
    const patch = failoverEndpointPatch(mine);
    const metadata = patch['metadata'] as Record<string, unknown>;
    await client.mergePatch(
      resources.endpointSlices,
      { namespace, name },
      resourceVersion === null ? patch : { ...patch, metadata: { ...metadata, resourceVersion } },
      { timeoutMs: CALL_MS },
    );
  }
}
