/**
 * FilerPair is removed from a cluster by the commands of docs/install.md: in their order while the operator runs, and without it.
 * The operator itself against a real API server, where the test is the garbage collector.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { apiVersion } from '../../crds/group.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import { resources } from '../../kubernetes/resource.ts';
import { eventually } from '../../testing/eventually.ts';
import { REPOSITORY, readControlPlanePrograms } from '../environment.ts';
import { blocksBelow } from '../install/readme-blocks.ts';
import { outcomeOf, run } from '../machine/command.ts';
import { OperatorProcess } from '../scale/operator-process.ts';
import { ApiServer } from './api-server.ts';
import { helmOn, install, KNOWN_MS_MAX, makeNamespace, RELEASE, refusal } from './installed-chart.ts';
import { named, pair } from './small-pair.ts';

/** A reconcile of the operator, on a machine with much to do. */
const DONE_MS_MAX = 60_000;
const TEST_MS_MAX = 300_000;
const HEALTH_PORT = 18_082;

const page = readFileSync(join(REPOSITORY, 'docs/install.md'), 'utf8');
const share = {
  apiVersion,
  kind: 'FilerShare',
  metadata: named('home'),
  spec: { pairRef: { name: 'nas' }, server: 'a', clients: ['10.0.0.0/8'], deletionPolicy: 'Delete' },
};
const diskSets = ['nas.a', 'nas.b'];

let server: ApiServer;
let admin: KubernetesClient;
let operator: OperatorProcess | undefined;
/** With the programs that a reader has on the PATH. */
let programs: string;

const kubectl = (...args: string[]): Promise<string> =>
  run([readControlPlanePrograms().kubectl, '--kubeconfig', server.kubeconfig, ...args]);
const definitions = async (): Promise<string[]> =>
  (await kubectl('get', 'crd', '-o', 'name')).split('\n').filter((name) => name.endsWith('.filerpair.dev'));
const asWritten = (heading: string) =>
  outcomeOf(['bash', '-euo', 'pipefail', '-c', blocksBelow(page, heading)], {
    timeoutMs: TEST_MS_MAX,
    variables: { KUBECONFIG: server.kubeconfig, PATH: `${programs}:${process.env['PATH']}` },
  });
const finalizersOf = (kind: string, name: string): Promise<string> =>
  kubectl('get', kind, name, '-n', 'storage', '-o', 'jsonpath={.metadata.finalizers}');

/** Once: it waits for the process to end. */
async function operatorGone(): Promise<void> {
  const running = operator;
  operator = undefined;
  await running?.stop();
}

beforeAll(() => {
  mkdirSync(join(REPOSITORY, 'out'), { recursive: true });
  programs = mkdtempSync(join(tmpdir(), 'filerpair-programs-'));
  for (const name of ['kubectl', 'helm'] as const)
    symlinkSync(readControlPlanePrograms()[name], join(programs, name));
});

/** Installed, and a pair and a share that the operator holds. */
beforeEach(async () => {
  // A new one each: where definitions were just deleted, a watch of their objects may hear nothing of those that are made anew.
  server = await ApiServer.start();
  admin = server.client('admin');
  await makeNamespace(admin, 'storage');
  await install(server, { defaultClass: { limits: { storageTypes: ['SharedCoherent'] } } });
  await eventually('a pair is accepted', KNOWN_MS_MAX, async () =>
    refusal(admin.create(resources.filerPairs, pair, { dryRun: true })).then((said) => said === null),
  );
  operator = await OperatorProcess.start({
    kubeconfig: server.kubeconfigOf('operator'),
    port: HEALTH_PORT,
    log: join(REPOSITORY, 'out/removal-operator.log'),
  });
  await admin.create(resources.filerPairs, pair);
  await admin.create(resources.filerShares, share);
  for (const kind of ['filerdiskset', 'lease'])
    for (const name of diskSets)
      await eventually(`${kind} ${name} is held`, DONE_MS_MAX, () =>
        finalizersOf(kind, name).then(
          (held) => held.includes('filerpair.dev/'),
          () => false,
        ),
      );
  await eventually('the share is held', DONE_MS_MAX, async () =>
    (await finalizersOf('filershare', 'home')).includes('filerpair.dev/'),
  );
}, TEST_MS_MAX);

afterEach(async () => {
  await operatorGone();
  await server?.stop();
});

afterAll(() => rmSync(programs, { recursive: true, force: true }));

test('in the order of the docs, the operator lets go of everything', { timeout: TEST_MS_MAX }, async () => {
  const removal = asWritten('## Remove');
  await eventually(
    'the pair is gone',
    DONE_MS_MAX,
    async () => (await kubectl('get', 'filerpairs', '-A', '-o', 'name')) === '',
  );
  // As the garbage collector does, which this API server lacks: the FilerPair owned them.
  await kubectl('delete', 'leases', '-n', 'storage', ...diskSets, '--wait=false');
  const { code, stderr } = await removal;
  expect(code, stderr).toBe(0);
  expect(await definitions()).toEqual([]);
});

test('without the operator, the docs have a way out of what waits for it', {
  timeout: TEST_MS_MAX,
}, async () => {
  await operatorGone();
  await helmOn(server, 'uninstall', RELEASE);
  await kubectl('delete', '--wait=false', ...(await definitions()));
  const stuck = await kubectl('get', 'filerdisksets', '-n', 'storage', '-o', 'name');
  expect(stuck.trim().split('\n')).toHaveLength(diskSets.length);
  const { code, stderr } = await asWritten('## Remove without the operator');
  expect(code, stderr).toBe(0);
  expect(await definitions()).toEqual([]);
  expect(await finalizersOf('lease', 'nas.a')).toBe('');
});
