/** etcd is put back to what it was earlier, as from a backup: the API server forgets what it had acknowledged since. */

import { eventually } from '../../../testing/eventually.ts';
import { run, succeeds } from '../../machine/command.ts';
import { Kubectl, type Thing } from '../kubectl.ts';
import type { Pair } from '../pair.ts';
import { RESTARTED_MS_MAX } from '../timeouts.ts';

const MANIFESTS = '/etc/kubernetes/manifests';
const ASIDE = '/etc/kubernetes/manifests-aside';
const DATA = '/var/lib/etcd';
const BACKUP = '/var/lib/etcd-backup';

/** Process ids of a program in a node, one a line. */
const idsOf = (program: string): string =>
  `for one in /proc/[0-9]*; do [ "$(cat $one/comm 2>/dev/null)" = ${program} ] && echo \${one#/proc/}; done`;

const inControlPlane = (pair: Pair, script: string): Promise<string> =>
  run(['docker', 'exec', pair.environment.cluster.controlPlane, 'bash', '-c', script]);

/** A copy of its directory at one moment, as a snapshot of its disk. */
export async function backUpEtcd(pair: Pair): Promise<void> {
  await inControlPlane(
    pair,
    `id=$(${idsOf('etcd')}); [ -n "$id" ] || exit 1
     trap 'kill -CONT $id' EXIT
     kill -STOP $id && rm -rf ${BACKUP} && cp -a ${DATA} ${BACKUP}`,
  );
}

/**
 * As Kubernetes' documentation has it: the API server ends, then etcd, the directory is exchanged, and both start. So do the
 * other parts of Kubernetes, which would wait for versions that are long to come: kube-proxy would not hear of a new Service.
 * Nothing else in the cluster is told.
 */
export async function restoreEtcd(pair: Pair): Promise<void> {
  const programs = ['kube-apiserver', 'kube-controller', 'kube-scheduler', 'etcd'];
  const running = programs.map(idsOf).join('; ');
  await inControlPlane(
    pair,
    `set -e
     mkdir -p ${ASIDE}
     mv ${MANIFESTS}/*.yaml ${ASIDE}/
     while [ -n "$(${running}; true)" ]; do sleep 0.2; done
     rm -rf ${DATA}
     cp -a ${BACKUP} ${DATA}`,
  );
  await returnControlPlane(pair);
  const { controlPlane, workers } = pair.environment.cluster;
  for (const node of [controlPlane, ...workers])
    await run(['docker', 'exec', node, 'systemctl', 'restart', 'kubelet']);
  const kubernetes = new Kubectl(pair.environment, 'kube-system');
  await kubernetes.run('rollout', 'restart', 'daemonset');
  await kubernetes.run('rollout', 'restart', 'deployment');
  for (const kind of ['daemonset', 'deployment'])
    for (const { metadata } of await kubernetes.list<Thing>(kind))
      await kubernetes.run(
        'rollout',
        'status',
        `${kind}/${metadata.name}`,
        `--timeout=${RESTARTED_MS_MAX / 1000}s`,
      );
}

/** Also after a restore that was interrupted. */
export async function returnControlPlane(pair: Pair): Promise<void> {
  const { controlPlane } = pair.environment.cluster;
  await succeeds(['docker', 'exec', controlPlane, 'bash', '-c', `mv ${ASIDE}/*.yaml ${MANIFESTS}/`]);
  await eventually('the API server answers', RESTARTED_MS_MAX, async () => {
    const { code } = await pair.kubectl.try('get', '--raw=/readyz');
    return code === 0;
  });
}
