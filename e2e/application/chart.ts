/** Installs FilerPair in the test cluster as its users do: helm, and the images of this clone. */
import { join } from 'node:path';
import { REPOSITORY, type TestEnvironment } from '../environment.ts';
import { run } from '../machine/command.ts';
import { stage } from '../machine/stage.ts';

export const OPERATOR_NAMESPACE = 'filerpair-system';
export const RELEASE = 'filerpair';
/** Of the default class: what the scenarios ask for, and crds/examples/. */
const limits = {
  storageTypes: ['Reattach', 'SharedCoherent', 'SharedWriteThrough', 'SameNode'],
  exposureTypes: ['NodePort', 'LoadBalancer', 'HostNetwork'],
  serviceAnnotations: ['example.org/'],
  domains: ['example.org'],
  nodeSelectors: ['*'],
  tolerations: ['dedicated', 'example.org/maintenance'],
  runtimeClasses: ['kata'],
  schedulers: ['storage-scheduler'],
  // e2e-files: of reattach/node-full.test.ts.
  priorityClasses: ['storage', 'e2e-files'],
  lostNodes: { policies: ['Confirmed', 'AfterTimeout'], minTimeout: '10s' },
};

/** Of the file server, under another name: what a rollout changes. */
export const otherImage = (fileserver: string): string => `${fileserver}-again`;

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
      image: {
        operator: images.operator,
        fileserver: images.fileserver,
        otherFileservers: [otherImage(images.fileserver)],
      },
      defaultClass: { limits },
    };
    const settings = Object.entries(values).flatMap(([name, value]) => [
      '--set-json',
      `${name}=${JSON.stringify(value)}`,
    ]);
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
