/**
 * Ports while they change. A pod listens where the spec of its making said. A Service has to lead there under every number by
 * which somebody may still look for it: the spec's, and those of the pods that run. So both servers find each other, and
 * clients their server, at every moment of a rollout. Service ports lead to container ports by name.
 */

import type { Pod } from '../model/objects.ts';
import type { View } from '../model/view.ts';

/** Names of the server's container ports. */
export const containerPorts = {
  primary: 'nfs',
  secondary: 'nfs-secondary',
  interconnect: 'interconnect',
  metrics: 'metrics',
} as const;
export type PortUse = keyof typeof containerPorts;

interface Container {
  readonly name?: string;
  readonly ports?: readonly { readonly name?: string; readonly containerPort?: number }[];
}

/** Port on which this pod listens for it; null: it does not say. */
export function podPort(pod: Pod, use: PortUse): number | null {
  const containers = pod.spec?.['containers'] as readonly Container[] | undefined;
  const server = containers?.find(({ name }) => name === 'server');
  return server?.ports?.find(({ name }) => name === containerPorts[use])?.containerPort ?? null;
}

/** All numbers in use, ascending. */
export function portNumbers(view: View, use: PortUse): number[] {
  const running = view.observed.pods.map((pod) => podPort(pod, use)).filter((one) => one !== null);
  return [...new Set([view.effective.ports[use], ...running])].toSorted((a, b) => a - b);
}
