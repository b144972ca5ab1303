/** What the chart renders, object by object, against the schemas of a real API server: nothing is misspelt, nothing is missing. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chartPackage } from '../../scripts/release/chart.ts';
import { readSource } from '../../scripts/release/source.ts';
import { eventually } from '../../testing/eventually.ts';
import { REPOSITORY, readControlPlanePrograms } from '../environment.ts';
import { blocksBelow } from '../install/readme-blocks.ts';
import { outcomeOf } from '../machine/command.ts';
import { ApiServer } from './api-server.ts';
import { helmOn, install, KNOWN_MS_MAX, makeNamespace, RELEASE, renderedText } from './installed-chart.ts';

/** Of the Prometheus operator, whose definitions are not here. */
const FOREIGN = 'monitoring.coreos.com/';

let server: ApiServer;
beforeAll(async () => {
  server = await ApiServer.start();
  const admin = server.client('admin');
  for (const name of ['storage', 'media']) await makeNamespace(admin, name);
  await install(server, {});
}, 400_000);
afterAll(() => server?.stop());

/** Sends manifests for validation alone, in the strict mode: unknown and doubled fields are errors. */
const validate = (manifests: readonly string[]) => {
  const flags = ['--server-side', '--force-conflicts', '--dry-run=server', '--validate=strict', '-f', '-'];
  const kubectl = [readControlPlanePrograms().kubectl, '--kubeconfig', server.kubeconfig];
  return outcomeOf([...kubectl, 'apply', ...flags], {
    input: manifests.join('\n---\n'),
  });
};

const manifestsOf = async (values: object): Promise<string[]> =>
  (await renderedText(values))
    .split(/^---$/m)
    .filter((text) => /^kind:/m.test(text) && !text.includes(`apiVersion: ${FOREIGN}`));

test.each<[string, object]>([
  ['by default', {}],
  [
    'with everything',
    {
      image: { digests: { operator: `sha256:${'1'.repeat(64)}` }, otherFileservers: ['other:1'] },
      imagePullSecrets: [{ name: 'registry' }],
      defaultClass: {
        limits: { storageTypes: ['Reattach'], lostNodes: { policies: ['Confirmed'], minTimeout: '60s' } },
        podTemplate: { spec: { priorityClassName: 'storage' } },
      },
      nodes: { mayMarkOutOfService: true },
      certManager: { enabled: true },
      networkPolicies: { metricsFrom: ['monitoring'] },
      priorityClassName: 'system-cluster-critical',
      podAnnotations: { one: 'two' },
      podLabels: { three: 'four' },
      nodeSelector: { five: 'six' },
      serviceAccount: { annotations: { seven: 'eight' } },
      metrics: { monitors: { enabled: true }, rules: { enabled: true }, dashboard: { enabled: true } },
    },
  ],
  ['bounded to namespaces', { watchNamespaces: ['storage', 'media'], dns: { externalDNS: false } }],
  [
    'with nothing that can be left out',
    {
      replicas: 1,
      defaultClass: { enabled: false },
      networkPolicies: { enabled: false },
      rbac: { aggregateClusterRoles: false },
      claims: { mayDelete: false },
      metrics: { service: false },
    },
  ],
])('%s', async (_title, values) => {
  const manifests = await manifestsOf(values);
  expect(manifests.length).toBeGreaterThan(15);
  const { code, stderr } = await validate(manifests);
  expect(stderr).toBe('');
  expect(code).toBe(0);
});

test('of the README: its flags and its manifests are accepted as they stand there', async () => {
  const commands = blocksBelow(readFileSync(join(REPOSITORY, 'README.md'), 'utf8'), '## Install it');
  const flags = [...commands.matchAll(/--set '([^']+)'/g)].flatMap(([, setting]) => ['--set', setting!]);
  expect(flags).not.toEqual([]);
  // The chart of a release, as "make release" packs it.
  const none = `sha256:${'0'.repeat(64)}`;
  const published = {
    registry: 'registry.example.com/filerpair',
    digests: { operator: none, fileserver: none },
  };
  const directory = mkdtempSync(join(tmpdir(), 'filerpair-chart-'));
  try {
    const chart = join(directory, 'chart.tgz');
    writeFileSync(chart, await chartPackage(readSource(), published));
    await helmOn(server, 'upgrade', '--install', RELEASE, chart, ...flags);
  } finally {
    rmSync(directory, { recursive: true });
  }
  const [manifests] = [...commands.matchAll(/<<END\n(.*?)\nEND$/gms)].map(([, text]) => text!);
  await eventually('the policy knows the flags', KNOWN_MS_MAX, async () => {
    const { code, stderr } = await validate([manifests!]);
    if (code !== 0 && !stderr.includes('The administrator allows it')) throw new Error(stderr);
    return code === 0;
  });
});

test('and it would say so', async () => {
  const deployment = (await manifestsOf({})).find((text) => /^kind: Deployment$/m.test(text))!;
  const { code, stderr } = await validate([deployment.replace('replicas:', 'replica:')]);
  expect(stderr).toContain('.spec.replica: field not declared in schema');
  expect(code).toBe(1);
});
