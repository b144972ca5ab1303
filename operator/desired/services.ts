/** The Services of one server. They exist from the pair's first day and never change at a failover. */

import { labels } from '../../kubernetes/labels-and-annotations.ts';
import { CURRENT_LABEL, interconnectServiceName } from '../model/names.ts';
import { partnerOf, type ServerView, type View } from '../model/view.ts';
import { dnsAnnotations } from './dns-annotations.ts';
import { type Desired, desired } from './owned.ts';
import { containerPorts, type PortUse, portNumbers } from './ports.ts';

/** Named by their numbers: one that comes or goes does not disturb those that stay. */
export const servicePortName = (use: PortUse, number: number): string =>
  `${use === 'interconnect' ? 'interconnect' : 'nfs'}-${number}`;

/** `nodePort`: number of the nodes for the port that the spec names; undefined: Kubernetes chooses one, once. */
const ports = (view: View, use: PortUse, nodePort?: number) =>
  portNumbers(view, use).map((number) => ({
    name: servicePortName(use, number),
    port: number,
    targetPort: containerPorts[use],
    protocol: 'TCP',
    ...(nodePort !== undefined && number === view.effective.ports[use] ? { nodePort } : {}),
  }));

export function services(view: View, server: ServerView): Desired[] {
  const { exposure } = view.effective;
  const { labels: added, annotations } = exposure.serviceTemplate?.metadata ?? {};
  const selector = {
    [labels.pair]: view.observed.name,
    [labels.server]: server.name,
    // While a pod is replaced there are two; a connection must not land on the one that is gone.
    [CURRENT_LABEL]: 'true',
  };
  const { nodePorts } = server;
  const forClients = (name: string, to: ServerView) => ({
    server: server.name,
    template: added,
    annotations: { ...annotations, ...dnsAnnotations(view, name, to) },
  });
  const type =
    exposure.type === 'NodePort' || exposure.type === 'LoadBalancer'
      ? { type: exposure.type, externalTrafficPolicy: exposure.externalTrafficPolicy ?? 'Local' }
      : // Kubernetes refuses an externalTrafficPolicy where it means nothing.
        { type: 'ClusterIP' };
  return [
    // Not-ready addresses too: a closed socket answers RST at once, a Service without endpoints drops most SYNs.
    desired(view, 'services', server.serviceName, {
      ...forClients(server.serviceName, server),
      body: {
        spec: {
          ...type,
          selector,
          ports: ports(view, 'primary', nodePorts.port),
          publishNotReadyAddresses: true,
        },
      },
    }),
    // No selector: its EndpointSlice is the second gate of the partner's secondary port.
    desired(view, 'services', server.failoverName, {
      ...forClients(server.failoverName, partnerOf(view, server)),
      body: { spec: { ...type, ports: ports(view, 'secondary', nodePorts.failoverPort) } },
    }),
    desired(view, 'services', interconnectServiceName(server.serviceName), {
      server: server.name,
      body: {
        spec: {
          type: 'ClusterIP',
          selector,
          ports: ports(view, 'interconnect'),
          publishNotReadyAddresses: true,
        },
      },
    }),
  ];
}
