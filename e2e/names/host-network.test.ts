/** The network of the nodes: the servers' ports are open at the nodes' own addresses, with nothing in between. */
import { outsideScenario } from './outside-scenario.ts';

outsideScenario({
  name: 'outside-host-network',
  way: 'the network of the nodes',
  label: 'host-network',
  spec: { exposure: { type: 'HostNetwork' } },
});
