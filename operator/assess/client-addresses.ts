/**
 * ClientAddressesKept: do the servers see the addresses of clients outside the cluster, which shares name? A node that passes a
 * connection on to another node has to put its own address in place of the client's, or the answer would not come back through
 * it.
 */

import { type ConditionResult, isFalse, isTrue } from '../model/condition-result.ts';
import type { FilerShareObject } from '../model/objects.ts';
import { type Assessment, question } from './assessment.ts';

/** null: nobody comes from outside. */
export const clientAddresses = question((view: Assessment): ConditionResult | null => {
  const { type, externalTrafficPolicy } = view.effective.exposure;
  if (type === 'ClusterIP') return null;
  if (type !== 'HostNetwork' && externalTrafficPolicy === 'Cluster') {
    const shares = view.observed.filerShares;
    const concerned = shares.filter(({ forEverybody }) => forEverybody !== true);
    if (shares.length > 0 && concerned.length === 0)
      return isTrue(
        'NotNeeded',
        'Nodes rewrite the addresses of clients, and every FilerShare is for everybody.',
      );
    const which = concerned.length === 0 ? 'A FilerShare that names clients' : named(concerned);
    return isFalse(
      'Rewritten',
      `With exposure.externalTrafficPolicy Cluster the servers see addresses and ports of nodes in place of those of clients outside the cluster. ${which} refuses clients that it names, or lets in everybody who comes through a node that it names. Choose Local.`,
    );
  }
  const loadBalancer =
    type === 'LoadBalancer'
      ? ' The load balancer has to keep them too: one that ends connections and makes its own does not.'
      : '';
  return isTrue('Kept', `Servers see the addresses of clients: no node rewrites them.${loadBalancer}`);
});

/** The first of them by name: the sentence must not change with each share. */
function named(shares: readonly FilerShareObject[]): string {
  const [first] = shares.map(({ metadata }) => metadata.name ?? '').sort();
  return shares.length === 1 ? `FilerShare ${first}` : `FilerShare ${first}, like others,`;
}
