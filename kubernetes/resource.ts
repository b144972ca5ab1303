/** Names of the API resources that FilerPair touches, and their URL paths. */

export interface Resource {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  /** As in the URL: lower case. */
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

const core = (plural: string, kind: string, namespaced = true): Resource => ({
  group: '',
  version: 'v1',
  plural,
  kind,
  namespaced,
});
const grouped = (
  group: string,
  version: string,
  plural: string,
  kind: string,
  namespaced = true,
): Resource => ({
  group,
  version,
  plural,
  kind,
  namespaced,
});

export const resources = {
  pods: core('pods', 'Pod'),
  services: core('services', 'Service'),
  secrets: core('secrets', 'Secret'),
  configMaps: core('configmaps', 'ConfigMap'),
  serviceAccounts: core('serviceaccounts', 'ServiceAccount'),
  persistentVolumeClaims: core('persistentvolumeclaims', 'PersistentVolumeClaim'),
  persistentVolumes: core('persistentvolumes', 'PersistentVolume', false),
  nodes: core('nodes', 'Node', false),
  namespaces: core('namespaces', 'Namespace', false),
  jobs: grouped('batch', 'v1', 'jobs', 'Job'),
  events: grouped('events.k8s.io', 'v1', 'events', 'Event'),
  leases: grouped('coordination.k8s.io', 'v1', 'leases', 'Lease'),
  endpointSlices: grouped('discovery.k8s.io', 'v1', 'endpointslices', 'EndpointSlice'),
  podDisruptionBudgets: grouped('policy', 'v1', 'poddisruptionbudgets', 'PodDisruptionBudget'),
  networkPolicies: grouped('networking.k8s.io', 'v1', 'networkpolicies', 'NetworkPolicy'),
  csiNodes: grouped('storage.k8s.io', 'v1', 'csinodes', 'CSINode', false),
  volumeAttachments: grouped('storage.k8s.io', 'v1', 'volumeattachments', 'VolumeAttachment', false),
  csiDrivers: grouped('storage.k8s.io', 'v1', 'csidrivers', 'CSIDriver', false),
  volumeSnapshots: grouped('snapshot.storage.k8s.io', 'v1', 'volumesnapshots', 'VolumeSnapshot'),
  roles: grouped('rbac.authorization.k8s.io', 'v1', 'roles', 'Role'),
  roleBindings: grouped('rbac.authorization.k8s.io', 'v1', 'rolebindings', 'RoleBinding'),
  customResourceDefinitions: grouped(
    'apiextensions.k8s.io',
    'v1',
    'customresourcedefinitions',
    'CustomResourceDefinition',
    false,
  ),
  dnsEndpoints: grouped('externaldns.k8s.io', 'v1alpha1', 'dnsendpoints', 'DNSEndpoint'),
  certificates: grouped('cert-manager.io', 'v1', 'certificates', 'Certificate'),
  filerPairs: grouped('filerpair.dev', 'v1beta1', 'filerpairs', 'FilerPair'),
  filerShares: grouped('filerpair.dev', 'v1beta1', 'filershares', 'FilerShare'),
  filerPairClasses: grouped('filerpair.dev', 'v1beta1', 'filerpairclasses', 'FilerPairClass', false),
  filerPairOperations: grouped('filerpair.dev', 'v1beta1', 'filerpairoperations', 'FilerPairOperation'),
  filerDiskSets: grouped('filerpair.dev', 'v1beta1', 'filerdisksets', 'FilerDiskSet'),
} as const satisfies Record<string, Resource>;

export const apiVersionOf = (resource: Resource): string =>
  resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;

/** URL path of a collection (no name), an object, or one of its sub-resources. */
export function pathOf(
  resource: Resource,
  namespace: string | undefined,
  name?: string,
  subresource?: string,
): string {
  const root =
    resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  if (!resource.namespaced && namespace !== undefined)
    throw new Error(`${resource.kind} is not namespaced, yet a namespace was given: ${namespace}`);
  if (resource.namespaced && name !== undefined && namespace === undefined)
    throw new Error(`${resource.kind} ${name}: a namespace is needed`);
  const scope = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  const object = name === undefined ? '' : `/${encodeURIComponent(name)}`;
  return `${root}${scope}/${resource.plural}${object}${subresource === undefined ? '' : `/${subresource}`}`;
}
