/** The test cluster: one control plane, two workers that share a directory of this machine. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { run, succeeds } from '../machine/command.ts';
import { say, stage } from '../machine/stage.ts';
import type { Programs } from './go-programs.ts';

/** Nodes are Ready 30 s after the start here; slower machines get time. */
const CLUSTER_READY = '240s';
const NODES_READY = '120s';

/** Where every worker has the shared directory: what a ReadWriteMany file system would be in production. */
export const SHARED_IN_NODES = '/shared';

/** Where every node has the directory in which the tests' CSI driver keeps its disks: what a storage array would be. */
export const DISKS_IN_NODES = '/disks';

export interface Cluster {
  readonly name: string;
  /** Its own file: the user's kubeconfig is not touched. */
  readonly kubeconfig: string;
  readonly controlPlane: string;
  readonly workers: readonly [string, string];
  /** Directory of this machine that the workers see as SHARED_IN_NODES. */
  readonly sharedDirectory: string;
  /** Directory of this machine that all nodes see as DISKS_IN_NODES. */
  readonly disksDirectory: string;
}

export function clusterIn(repository: string, name: string): Cluster {
  return {
    name,
    kubeconfig: join(repository, `.cache/e2e/${name}.kubeconfig`),
    controlPlane: `${name}-control-plane`,
    workers: [`${name}-worker`, `${name}-worker2`],
    sharedDirectory: join(repository, `.cache/e2e/${name}.shared`),
    disksDirectory: join(repository, `.cache/e2e/${name}.disks`),
  };
}

export async function clusterExists(cluster: Cluster, programs: Programs): Promise<boolean> {
  const clusters = await run([programs.get('kind')!, 'get', 'clusters']);
  return clusters.split('\n').includes(cluster.name);
}

/** Which nodes a cluster has: two workers besides, or the control plane alone. */
export type Nodes = 'withWorkers' | 'controlPlaneOnly';

/** True when the cluster was made now, false when it was there. */
export async function clusterUp(
  cluster: Cluster,
  programs: Programs,
  nodeImage: string,
  nodes: Nodes = 'withWorkers',
): Promise<boolean> {
  const kind = programs.get('kind')!;
  for (const directory of [cluster.sharedDirectory, cluster.disksDirectory])
    mkdirSync(directory, { recursive: true });
  if (await clusterExists(cluster, programs)) {
    if (await usable(cluster, programs)) {
      say(`the cluster ${cluster.name} is there already`);
      return false;
    }
    await stage(`removing the cluster ${cluster.name}, which does not answer`, () =>
      clusterDown(cluster, programs),
    );
  }
  await stage(`creating the kind cluster ${cluster.name}`, async () => {
    const create = [
      kind,
      'create',
      'cluster',
      '--name',
      cluster.name,
      '--image',
      nodeImage,
      '--kubeconfig',
      cluster.kubeconfig,
    ];
    await run([...create, '--wait', CLUSTER_READY, '--config', '-'], {
      input: configuration(cluster, nodes),
    });
    await run([
      programs.get('kubectl')!,
      '--kubeconfig',
      cluster.kubeconfig,
      'wait',
      '--for=condition=Ready',
      'nodes',
      '--all',
      `--timeout=${NODES_READY}`,
    ]);
  });
  return true;
}

export async function clusterDown(cluster: Cluster, programs: Programs): Promise<void> {
  // A paused node cannot be removed, and a test that was interrupted leaves one.
  for (const node of cluster.workers) await succeeds(['docker', 'unpause', node]);
  await run([
    programs.get('kind')!,
    'delete',
    'cluster',
    '--name',
    cluster.name,
    '--kubeconfig',
    cluster.kubeconfig,
  ]);
}

export async function loadImages(
  cluster: Cluster,
  programs: Programs,
  images: readonly string[],
  into: readonly string[] = cluster.workers,
): Promise<void> {
  await stage('loading our images into the nodes', async () => {
    const nodes = ['--nodes', into.join(',')];
    await run([programs.get('kind')!, 'load', 'docker-image', '--name', cluster.name, ...nodes, ...images]);
  });
}

async function usable(cluster: Cluster, programs: Programs): Promise<boolean> {
  if (!existsSync(cluster.kubeconfig)) return false;
  const kubectl = [programs.get('kubectl')!, '--kubeconfig', cluster.kubeconfig];
  return succeeds([...kubectl, 'wait', '--for=condition=Ready', 'nodes', '--all', '--timeout=20s']);
}

function configuration(cluster: Cluster, nodes: Nodes): string {
  const disks = { hostPath: cluster.disksDirectory, containerPath: DISKS_IN_NODES };
  const worker = {
    role: 'worker',
    extraMounts: [{ hostPath: cluster.sharedDirectory, containerPath: SHARED_IN_NODES }, disks],
  };
  const kubelet = {
    kind: 'KubeletConfiguration',
    // Since 1.35 the kubelet refuses cgroup v1, which some machines that run tests still have.
    failCgroupV1: false,
    // Volumes are detached only after the node has reported that it does not use them: every 10 s otherwise.
    nodeStatusUpdateFrequency: '1s',
  };
  const proxy = {
    kind: 'KubeProxyConfiguration',
    // By default kube-proxy acts on changes of endpoints once a second: a failover name whose endpoint is enabled
    // within a second of any other change in the cluster waits for the rest of that second. See docs/testing.md.
    iptables: { minSyncPeriod: '100ms' },
  };
  // kind reads YAML, and JSON is YAML.
  return JSON.stringify({
    kind: 'Cluster',
    apiVersion: 'kind.x-k8s.io/v1alpha4',
    kubeadmConfigPatches: [JSON.stringify(kubelet), JSON.stringify(proxy)],
    nodes: [
      { role: 'control-plane', extraMounts: [disks] },
      ...(nodes === 'withWorkers' ? [worker, worker] : []),
    ],
  });
}
