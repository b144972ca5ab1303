// ClientAddressesKept: do the servers see the addresses of clients outside the cluster, which exports go by? A node that
// passes a connection on to another node has to put its own address in place of the client's, or the answer would not come
// back through it. Asked only where it can matter: Services that lead in from outside, and exports that are not for everybody.

import { type ConditionResult, isFalse, isTrue } from '../model/condition-result.ts';
import { type Assessment, question } from './assessment.ts';

const everybody: ReadonlySet<string> = new Set(['0.0.0.0/0', '::/0']);

/** null: nobody comes from outside, or everybody may. */
export const clientAddresses = question((view: Assessment): ConditionResult | null => {
  const { service, hostNetwork } = view.spec;
  if (service.type === 'ClusterIP' && !hostNetwork) return null;
  const limited = view.spec.servers.flatMap(({ name, exports }) =>
    exports
      .filter(({ clients }) => !clients.some((one) => everybody.has(one)))
      .map(({ path, clients }) => `${path} of ${name} (${clients.join(', ')})`),
  );
  if (limited.length === 0) return null;
  if (service.type !== 'ClusterIP' && service.externalTrafficPolicy === 'Cluster')
    return isFalse(
      'Rewritten',
      `With service.externalTrafficPolicy Cluster the servers see addresses of nodes in place of those of clients outside the cluster, so these exports refuse clients that they name, or let in everybody: ${limited.join('; ')}. Choose Local.`,
    );
  const loadBalancer =
    service.type === 'LoadBalancer'
      ? ' The load balancer has to keep them too: one that ends connections and makes its own does not.'
      : '';
  return isTrue('Kept', `Servers see the addresses of clients: no node rewrites them.${loadBalancer}`);
});
