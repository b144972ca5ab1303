// The Services of one server. They exist from the pair's first day and never change at a failover.

import { labels } from '../../../kubernetes/words.ts';
import { currentLabel, interconnectServiceName } from '../names.ts';
import type { ServerView, View } from '../view.ts';
import { type Desired, desired } from './owned.ts';

const port = (name: string, number: number) => ({ name, port: number, targetPort: number, protocol: 'TCP' });

export function services(view: View, server: ServerView): Desired[] {
  const { ports, service } = view.spec;
  const selector = {
    [labels.pair]: view.observed.name,
    [labels.server]: server.name,
    // While a pod is replaced there are two; a connection must not land on the one that is gone.
    [currentLabel]: 'true',
  };
  const forClients = { server: server.name, annotations: service.annotations };
  return [
    // Not-ready addresses too: a closed socket answers RST at once, a Service without endpoints drops most SYNs.
    desired(view, 'services', server.name, {
      ...forClients,
      body: {
        spec: {
          type: service.type,
          selector,
          ports: [port('nfs', ports.primary)],
          publishNotReadyAddresses: true,
        },
      },
    }),
    // No selector: its EndpointSlice is the second gate of the partner's secondary port.
    desired(view, 'services', server.failoverName, {
      ...forClients,
      body: { spec: { type: service.type, ports: [port('nfs', ports.secondary)] } },
    }),
    desired(view, 'services', interconnectServiceName(server.name), {
      server: server.name,
      body: {
        spec: {
          type: 'ClusterIP',
          selector,
          ports: [port('interconnect', ports.interconnect)],
          publishNotReadyAddresses: true,
        },
      },
    }),
  ];
}
