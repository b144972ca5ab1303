/**
 * The second gate of the secondary port: the EndpointSlice of the Service `<server><suffix>`. Its one endpoint is the partner's
 * pod, ready from the partner's claim of the disk set until it stops serving it. Two write it: the server that took over, so
 * that no operator is on the critical path, and the operator, which puts right what is lost.
 */

import { endpointAnnotations } from './labels-and-annotations.ts';
import type { KubernetesObject, MergePatch } from './objects.ts';

// They must not undo each other's work because one of them looked at an older state. So every write carries the
// disk set's epoch, which only grows, and within one epoch the port opens before it closes:
//
//   epoch 6: home serves    closed 6
//   epoch 7: takeover       open 7     with the claim already; later: closed 7 (released)
//   epoch 8: giveback       closed 8
//
// A writer that knows an earlier point of this line than the slice shows leaves it alone: `isBehind`.

export interface FailoverEndpoint {
  /** Epoch of the disk set when the writer knew `open`. */
  readonly epoch: number;
  /** Whether the partner's secondary port is open. */
  readonly open: boolean;
  /** IP address of the partner's pod; null: there is no such pod. */
  readonly address: string | null;
  /**
   * Node of that pod: Services with externalTrafficPolicy Local lead only to endpoints that name the node that got the
   * connection. null: not known.
   */
  readonly nodeName: string | null;
}

export interface EndpointSlice extends KubernetesObject {
  readonly addressType?: 'IPv4' | 'IPv6' | 'FQDN';
  readonly endpoints?: readonly {
    readonly addresses: readonly string[];
    readonly conditions?: {
      readonly ready?: boolean;
      readonly serving?: boolean;
      readonly terminating?: boolean;
    };
    readonly nodeName?: string;
    readonly targetRef?: unknown;
  }[];
  readonly ports?: readonly { readonly name?: string; readonly port?: number; readonly protocol?: string }[];
}

/** True if `mine` is an earlier point of the line above than what the slice shows. */
export function isBehind(mine: FailoverEndpoint, shown: FailoverEndpoint): boolean {
  if (mine.epoch !== shown.epoch) return mine.epoch < shown.epoch;
  return mine.open && !shown.open;
}

/** The endpoint that the slice shows; epoch -1 if none was written. */
export function shownBy(slice: EndpointSlice): FailoverEndpoint {
  const epoch = Number(slice.metadata.annotations?.[endpointAnnotations.epoch] ?? Number.NaN);
  const endpoint = slice.endpoints?.[0];
  return {
    epoch: Number.isSafeInteger(epoch) ? epoch : -1,
    open: endpoint !== undefined && endpoint.conditions?.ready !== false,
    address: endpoint?.addresses[0] ?? null,
    nodeName: endpoint?.nodeName ?? null,
  };
}

/** The slice's `endpoints`: the list is atomic in the API, so it is always written whole. */
export function endpointsOf(endpoint: FailoverEndpoint): NonNullable<EndpointSlice['endpoints']> {
  if (endpoint.address === null) return [];
  const { address, nodeName, open } = endpoint;
  const conditions = { ready: open, serving: open, terminating: false };
  return [{ addresses: [address], conditions, ...(nodeName === null ? {} : { nodeName }) }];
}

/** The merge patch by which a server opens or closes the gate. It leaves ports, labels and owners alone. */
export function failoverEndpointPatch(endpoint: FailoverEndpoint): MergePatch {
  return {
    metadata: { annotations: { [endpointAnnotations.epoch]: String(endpoint.epoch) } },
    endpoints: endpointsOf(endpoint),
  };
}
