// ClientAddressesKept: do the servers see the addresses of clients outside the cluster, which shares name? A node that passes a
// connection on to another node has to put its own address in place of the client's, or the answer would not come back through it.

import { type ConditionResult, isFalse, isTrue } from '../model/condition-result.ts';
import { type Assessment, question } from './assessment.ts';

/** null: nobody comes from outside. */
export const clientAddresses = question((view: Assessment): ConditionResult | null => {
  const { type, externalTrafficPolicy } = view.effective.exposure;
  if (type === 'ClusterIP') return null;
  if (type !== 'HostNetwork' && externalTrafficPolicy === 'Cluster')
    return isFalse(
      'Rewritten',
      'With exposure.externalTrafficPolicy Cluster the servers see addresses of nodes in place of those of clients outside the cluster: a FilerShare refuses clients that it names, or lets in everybody. Choose Local.',
    );
  const loadBalancer =
    type === 'LoadBalancer'
      ? ' The load balancer has to keep them too: one that ends connections and makes its own does not.'
      : '';
  return isTrue('Kept', `Servers see the addresses of clients: no node rewrites them.${loadBalancer}`);
});
