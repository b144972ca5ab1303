/** What `helm install` leaves: kinds that the API server knows, a default class, and an operator that runs. */
import { expect, test } from 'vitest';
import { OPERATOR_NAMESPACE, RELEASE } from '../application/chart.ts';
import { readEnvironment } from '../environment.ts';
import { Kubectl, type Thing } from '../harness/kubectl.ts';
import { recordResult } from '../harness/results.ts';
import { step } from '../harness/step.ts';
import { CHART_INSTALLED_MS_MAX } from '../harness/timeouts.ts';
import { run } from '../machine/command.ts';

interface CrdThing extends Thing {
  readonly spec: {
    readonly versions: readonly {
      readonly name: string;
      readonly additionalPrinterColumns?: readonly object[];
    }[];
  };
  readonly status: { readonly conditions: readonly { readonly type: string; readonly status: string }[] };
}

interface OperatorPod extends Thing {
  readonly status: {
    readonly containerStatuses: readonly { readonly ready: boolean; readonly restartCount: number }[];
  };
}

test('helm installs the kinds, a default class and a running operator', async () => {
  const from = performance.now();
  const environment = readEnvironment();
  const kubectl = new Kubectl(environment, OPERATOR_NAMESPACE);
  let passed = false;
  try {
    await step('the release is deployed', async () => {
      const helm = [
        environment.helm,
        '--kubeconfig',
        environment.cluster.kubeconfig,
        '--namespace',
        OPERATOR_NAMESPACE,
      ];
      const status = JSON.parse(await run([...helm, 'status', RELEASE, '-o', 'json'])) as {
        info: { status: string };
      };
      expect(status.info.status).toBe('deployed');
    });
    await step('the API server knows all kinds', async () => {
      for (const plural of [
        'filerpairs',
        'filershares',
        'filerpairclasses',
        'filerpairoperations',
        'filerdisksets',
      ]) {
        const crd = await kubectl.get<CrdThing>('customresourcedefinition', `${plural}.filerpair.dev`);
        expect(crd.status.conditions).toContainEqual(
          expect.objectContaining({ type: 'Established', status: 'True' }),
        );
        expect(crd.spec.versions.map((version) => version.name)).toEqual(['v1beta1']);
      }
    });
    await step('there is a default class', async () => {
      const { metadata } = await kubectl.get<Thing>('filerpairclass', 'default');
      expect(metadata.annotations).toMatchObject({ 'filerpair.dev/is-default-class': 'true' });
    });
    await step('the operator is available, and has not been restarted', async () => {
      const timeout = `--timeout=${CHART_INSTALLED_MS_MAX / 1000}s`;
      await kubectl.run('wait', 'deployment', '--all', '--for=condition=Available', timeout);
      const pods = await kubectl.list<OperatorPod>('pods');
      expect(pods.length).toBeGreaterThan(0);
      for (const { status } of pods) {
        expect(status.containerStatuses).toEqual([expect.objectContaining({ ready: true, restartCount: 0 })]);
      }
    });
    passed = true;
  } finally {
    recordResult('helm-install', { passed, tookMs: Math.round(performance.now() - from) });
  }
});
