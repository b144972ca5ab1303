/**
 * Installs the CSI driver of the tests in their cluster: the driver's controller with the sidecars on the control plane, which
 * no test takes away, and its other half on every node.
 */
import { join } from 'node:path';
import type { TestEnvironment } from '../environment.ts';
import { Kubectl } from '../harness/kubectl.ts';
import { DISKS_IN_NODES } from '../kind/cluster.ts';
import { type CsiAbilities, moduleSource } from '../kind/go-programs.ts';
import { SNAPSHOTTER_CLIENT } from '../kind/versions.ts';
import { stage } from '../machine/stage.ts';
import { DRIVER } from './driver/identity.ts';

const NAMESPACE = 'kube-system';
export const STORAGE_CLASS = 'disks';
/** The same, but a disk is made only when a pod that needs it has a node. */
export const STORAGE_CLASS_LATE = 'disks-late';
/** XFS, which grows while it is mounted. (So does ext4, but only for who has CAP_SYS_RESOURCE, which sandboxes withhold.) */
export const STORAGE_CLASS_XFS = 'disks-xfs';
/** Made where their first pod is, and not to be had anywhere else, as disks of one zone. */
export const STORAGE_CLASS_LOCAL = 'disks-local';
const INSTALLED_MS_MAX = 120_000;
const KUBELET = '/var/lib/kubelet';

export async function installCsi(
  environment: TestEnvironment,
  image: string,
  abilities: CsiAbilities,
): Promise<void> {
  await stage('installing the CSI driver of the tests', async () => {
    const kubectl = new Kubectl(environment, NAMESPACE);
    if (abilities === 'everything') {
      for (const file of await snapshotDefinitions()) await kubectl.run('apply', '-f', file);
      await kubectl.run(
        'wait',
        '--for=condition=Established',
        '--all',
        'customresourcedefinition',
        '--timeout=60s',
      );
      await kubectl.apply(snapshotClass());
    }
    await kubectl.apply(...storage(), ...access(), controller(image, abilities), nodes(image));
    await kubectl.run('rollout', 'status', 'deployment/csi-controller', `--timeout=${INSTALLED_MS_MAX}ms`);
    await kubectl.run('rollout', 'status', 'daemonset/csi-node', `--timeout=${INSTALLED_MS_MAX}ms`);
  });
}

/** As the snapshot controller's makers publish them. */
async function snapshotDefinitions(): Promise<string[]> {
  const source = await moduleSource(
    'github.com/kubernetes-csi/external-snapshotter/client/v8',
    SNAPSHOTTER_CLIENT,
  );
  return ['volumesnapshots', 'volumesnapshotcontents', 'volumesnapshotclasses'].map((kind) =>
    join(source, `config/crd/snapshot.storage.k8s.io_${kind}.yaml`),
  );
}

const snapshotClass = (): object => ({
  apiVersion: 'snapshot.storage.k8s.io/v1',
  kind: 'VolumeSnapshotClass',
  metadata: { name: 'disks', annotations: { 'snapshot.storage.kubernetes.io/is-default-class': 'true' } },
  driver: DRIVER,
  deletionPolicy: 'Delete',
});

export const csiDriver = (attachRequired = true): object => ({
  apiVersion: 'storage.k8s.io/v1',
  kind: 'CSIDriver',
  metadata: { name: DRIVER },
  spec: { attachRequired, podInfoOnMount: false, volumeLifecycleModes: ['Persistent'] },
});

const storage = (): object[] => [
  csiDriver(),
  storageClass(STORAGE_CLASS, 'Immediate'),
  storageClass(STORAGE_CLASS_LATE, 'WaitForFirstConsumer'),
  storageClass(STORAGE_CLASS_LOCAL, 'WaitForFirstConsumer', { reach: 'place' }),
  storageClass(STORAGE_CLASS_XFS, 'Immediate', { 'csi.storage.k8s.io/fstype': 'xfs' }),
];

const storageClass = (name: string, volumeBindingMode: string, parameters: object = {}): object => ({
  apiVersion: 'storage.k8s.io/v1',
  kind: 'StorageClass',
  metadata: { name },
  provisioner: DRIVER,
  reclaimPolicy: 'Delete',
  volumeBindingMode,
  allowVolumeExpansion: true,
  parameters,
});

/** What external-provisioner, external-attacher and external-resizer ask for in their own manifests, without snapshots and elections. */
function access(): object[] {
  const rule = (apiGroup: string, resources: string[], ...verbs: string[]) => ({
    apiGroups: [apiGroup],
    resources,
    verbs,
  });
  const look = ['get', 'list', 'watch'];
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'csi', namespace: NAMESPACE } },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'filerpair-e2e-csi' },
      rules: [
        rule('', ['persistentvolumes'], ...look, 'create', 'patch', 'delete'),
        rule('', ['persistentvolumeclaims'], ...look, 'update', 'patch'),
        rule('', ['persistentvolumeclaims/status'], 'update', 'patch'),
        rule('', ['events'], 'list', 'watch', 'create', 'update', 'patch'),
        rule('', ['nodes', 'pods'], ...look),
        rule('storage.k8s.io', ['storageclasses', 'csinodes', 'volumeattributesclasses'], ...look),
        rule('storage.k8s.io', ['volumeattachments'], ...look, 'patch'),
        rule('storage.k8s.io', ['volumeattachments/status'], 'patch'),
        rule('snapshot.storage.k8s.io', ['*'], ...look, 'create', 'update', 'patch', 'delete'),
      ],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: 'filerpair-e2e-csi' },
      subjects: [{ kind: 'ServiceAccount', name: 'csi', namespace: NAMESPACE }],
      roleRef: { kind: 'ClusterRole', name: 'filerpair-e2e-csi', apiGroup: 'rbac.authorization.k8s.io' },
    },
  ];
}

const podsOf = (app: string, spec: object) => ({
  selector: { matchLabels: { app } },
  template: {
    metadata: { labels: { app } },
    spec: { tolerations: [{ operator: 'Exists' }], terminationGracePeriodSeconds: 2, ...spec },
  },
});

const hostPath = (name: string, path: string, type = 'Directory') => ({ name, hostPath: { path, type } });

function controller(image: string, abilities: CsiAbilities): object {
  const container = (name: string, more: object) => ({ name, image, imagePullPolicy: 'Never', ...more });
  const socket = { name: 'socket', mountPath: '/csi' };
  const optional = [
    container('resizer', {
      args: ['csi-resizer', '--csi-address=/csi/csi.sock', '--retry-interval-start=200ms'],
      volumeMounts: [socket],
    }),
    container('snapshotter', {
      args: ['csi-snapshotter', '--csi-address=/csi/csi.sock', '--retry-interval-start=200ms'],
      volumeMounts: [socket],
    }),
    container('snapshot-controller', {
      // It looks for group snapshots first, for so long: nobody has them here.
      args: ['snapshot-controller', '--retry-interval-start=200ms', '--retry-crd-interval-max=1s'],
    }),
  ];
  const common = ['--csi-address=/csi/csi.sock', '--default-fstype=ext4', '--retry-interval-start=200ms'];
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'csi-controller', namespace: NAMESPACE },
    spec: {
      replicas: 1,
      strategy: { type: 'Recreate' },
      ...podsOf('csi-controller', {
        serviceAccountName: 'csi',
        nodeSelector: { 'node-role.kubernetes.io/control-plane': '' },
        containers: [
          container('driver', {
            args: ['node', '/app/driver/main.ts', 'controller'],
            volumeMounts: [socket, { name: 'disks', mountPath: DISKS_IN_NODES }],
          }),
          container('provisioner', { args: ['csi-provisioner', ...common], volumeMounts: [socket] }),
          container('attacher', {
            args: ['csi-attacher', ...common, '--retry-interval-max=2s'],
            volumeMounts: [socket],
          }),
          ...(abilities === 'everything' ? optional : []),
        ],
        volumes: [{ name: 'socket', emptyDir: {} }, hostPath('disks', DISKS_IN_NODES)],
      }),
    },
  };
}

function nodes(image: string): object {
  const plugins = `${KUBELET}/plugins`;
  const registry = `${KUBELET}/plugins_registry`;
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: 'csi-node', namespace: NAMESPACE },
    spec: podsOf('csi-node', {
      hostPID: true,
      containers: [
        {
          name: 'driver',
          image,
          imagePullPolicy: 'Never',
          args: ['node', '/app/driver/main.ts', 'node'],
          env: [{ name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }],
          securityContext: { privileged: true },
          volumeMounts: [
            { name: 'plugins', mountPath: plugins },
            { name: 'registry', mountPath: registry },
            { name: 'disks', mountPath: DISKS_IN_NODES },
          ],
        },
      ],
      volumes: [
        hostPath('plugins', plugins, 'DirectoryOrCreate'),
        hostPath('registry', registry, 'DirectoryOrCreate'),
        hostPath('disks', DISKS_IN_NODES),
      ],
    }),
  };
}
