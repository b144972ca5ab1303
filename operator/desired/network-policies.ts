/**
 * Who may open a connection with what: clients with the NFS ports, which shares decide about; the interconnect is between the
 * pair's two servers; metrics are for namespaces that the administrator names. Kubelets, with their probes, are never kept out.
 * Ports by name, since a pod that runs may have other numbers than the spec. On the network of nodes none of it holds.
 */

import { labels } from '../../kubernetes/labels-and-annotations.ts';
import type { View } from '../model/view.ts';
import { type Desired, desired } from './owned.ts';
import { containerPorts, type PortUse } from './ports.ts';

const port = (use: PortUse) => ({ port: containerPorts[use], protocol: 'TCP' });

/** Policies of the servers, and of the pair's other pods. */
export const networkPolicyNames = (pair: string): readonly [string, string] => [
  `${pair}-servers`,
  `${pair}-others`,
];

/** null: none are made. */
export function networkPolicies(view: View): Desired[] | null {
  const { metricsFrom } = view.settings;
  if (metricsFrom === null) return null;
  const [servers, others] = networkPolicyNames(view.observed.name);
  const pods = (operator: 'Exists' | 'DoesNotExist') => ({
    matchLabels: { [labels.pair]: view.observed.name },
    matchExpressions: [{ key: labels.server, operator }],
  });
  const metrics = {
    from: metricsFrom.map((namespace) => ({
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
    })),
    ports: [port('metrics')],
  };
  const policyTypes = ['Ingress'];
  return [
    desired(view, 'networkPolicies', servers, {
      body: {
        spec: {
          podSelector: pods('Exists'),
          policyTypes,
          ingress: [
            { ports: [port('primary'), port('secondary')] },
            { from: [{ podSelector: pods('Exists') }], ports: [port('interconnect')] },
            // Without anybody to name, "from" would mean everybody.
            ...(metricsFrom.length === 0 ? [] : [metrics]),
          ],
        },
      },
    }),
    // Attachment pods and trials of images listen to nobody.
    desired(view, 'networkPolicies', others, {
      body: { spec: { podSelector: pods('DoesNotExist'), policyTypes } },
    }),
  ];
}
