// Installs FilerPair in the test cluster as its users do: helm, and the images of this clone.
import { join } from 'node:path';
import { REPOSITORY, type TestEnvironment } from '../environment.ts';
import { run } from '../machine/command.ts';
import { stage } from '../machine/stage.ts';

export const OPERATOR_NAMESPACE = 'filerpair-system';
export const RELEASE = 'filerpair';
/** What the scenarios ask for, whose namespaces get random names. The rest stays refused, as it is by default. */
const allowed = [
  {
    namespaces: ['*'],
    features: ['Reattach', 'HostNetwork'],
    dnsDomains: ['example.org'],
    lostNodes: ['Confirmed', 'Silent'],
    lostNodesSilentMin: '1s',
    // Of reattach/node-full.test.ts.
    priorityClasses: ['e2e-files'],
  },
  // crds/examples/valid/everything.yaml.
  {
    namespaces: ['default'],
    images: ['filerpair/'],
    nodeSelectors: ['topology.kubernetes.io/zone'],
    tolerations: ['storage'],
    priorityClasses: ['system-cluster-critical'],
    serviceAnnotations: ['example.org/pool'],
  },
];
/** The same for an operator that is a process of this machine: as the chart would pass it. */
export const grantsOfTests: string = JSON.stringify(
  allowed.map(({ lostNodesSilentMin, ...grant }) => ({
    ...grant,
    ...(lostNodesSilentMin === undefined ? {} : { lostNodesSilentMin: [lostNodesSilentMin] }),
  })),
);
/** The operator's pod has to start and to become leader. */
const INSTALLED = '120s';

/** Installs or upgrades the release; returns when the operator is available. */
export async function installChart(environment: TestEnvironment): Promise<void> {
  const { helm, kubectl, cluster, images } = environment;
  const kubeconfig = ['--kubeconfig', cluster.kubeconfig];
  await stage('installing FilerPair with helm', async () => {
    // ExternalDNS's resource, so that the operator has somewhere to publish names.
    await run([
      kubectl,
      ...kubeconfig,
      'apply',
      '-f',
      join(REPOSITORY, 'e2e/manifests/dnsendpoints.externaldns.k8s.io.yaml'),
    ]);
    const values = {
      'image.operator': images.operator,
      'image.fileserver': images.fileserver,
    };
    const settings = [
      ...Object.entries(values).flatMap(([name, value]) => ['--set', `${name}=${value}`]),
      '--set-json',
      `allowed=${JSON.stringify(allowed)}`,
    ];
    const install = [
      'upgrade',
      '--install',
      RELEASE,
      join(REPOSITORY, 'helm/filerpair'),
      '--namespace',
      OPERATOR_NAMESPACE,
      '--create-namespace',
    ];
    await run([helm, ...kubeconfig, ...install, ...settings, '--wait', '--timeout', INSTALLED]);
  });
}
