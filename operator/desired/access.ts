/**
 * The identity of one server and the least that it may do. It reads and writes the two Leases of its pair, and opens or closes
 * the one EndpointSlice that leads to its own secondary port. It reads FilerShares and writes their status.
 */

import { GROUP } from '../../crds/group.ts';
import { leaseName, serverObjectName } from '../model/names.ts';
import { partnerOf, type ServerView, type View } from '../model/view.ts';
import { type Desired, desired } from './owned.ts';

export function access(view: View, server: ServerView): Desired[] {
  const { name: pair, namespace } = view.observed;
  const name = serverObjectName(pair, server.name);
  const rules = [
    {
      apiGroups: ['coordination.k8s.io'],
      resources: ['leases'],
      resourceNames: [leaseName(pair, server.name), leaseName(pair, server.partner)],
      // resourceNames covers list and watch with the field selector metadata.name=NAME.
      verbs: ['get', 'list', 'watch', 'update', 'patch'],
    },
    {
      apiGroups: ['discovery.k8s.io'],
      resources: ['endpointslices'],
      resourceNames: [partnerOf(view, server).failoverName],
      verbs: ['get', 'patch'],
    },
    { apiGroups: [GROUP], resources: ['filershares'], verbs: ['get', 'list', 'watch'] },
    { apiGroups: [GROUP], resources: ['filershares/status'], verbs: ['patch'] },
  ];
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name };
  const subjects = [{ kind: 'ServiceAccount', name, namespace }];
  return [
    desired(view, 'serviceAccounts', name, {
      server: server.name,
      // The pod asks for its token itself, as a volume.
      body: { automountServiceAccountToken: false },
    }),
    desired(view, 'roles', name, { server: server.name, body: { rules } }),
    desired(view, 'roleBindings', name, { server: server.name, body: { roleRef, subjects } }),
  ];
}
