/**
 * The plug-in for kubectl on a real API server, where the test is the operator: schemas and policies accept what its commands
 * make, and it says what was meant.
 */
import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { apiVersion } from '../../crds/group.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import { type Resource, resources } from '../../kubernetes/resource.ts';
import { eventually } from '../../testing/eventually.ts';
import { program } from '../../testing/program.ts';
import { ApiServer } from './api-server.ts';
import { install, KNOWN_MS_MAX, makeNamespace, refusal } from './installed-chart.ts';

const MAIN = program(new URL('../../client/cli/main.ts', import.meta.url));
const NAMESPACE = 'storage';
/** A start of the program, and what it asks. */
const ANSWER_MS_MAX = 60_000;

let server: ApiServer;
let operator: KubernetesClient;
let admin: KubernetesClient;
let kubeconfig: string;
let beforeInstallation: Answer;

interface Operation extends KubernetesObject {
  readonly spec: Readonly<Record<string, unknown>>;
}

const named = (name: string) => ({ namespace: NAMESPACE, name });
const object = (kind: string, name: string, spec: object) =>
  ({ apiVersion, kind, metadata: named(name), spec }) as unknown as KubernetesObject;
const condition = (type: string, status: string, message: string) => ({
  type,
  status,
  message,
  reason: type,
  lastTransitionTime: '2026-11-23T12:00:00Z',
});
const says = (resource: Resource, name: string, status: object): Promise<unknown> =>
  operator.mergePatch(resource, named(name), { status }, { subresource: 'status' });
const specOf = async (name: string) =>
  (await admin.get<Operation>(resources.filerPairs, named(name))).spec as {
    maintenance?: object;
    rollout: object;
  };

interface Answer {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

const filerpair = (...args: string[]): Promise<Answer> => filerpairAs(kubeconfig, ...args);

/** Options come first here, as after `kubectl`. */
function filerpairAs(config: string, ...args: string[]): Promise<Answer> {
  const child = spawn(process.execPath, [MAIN, 'pairs', '-n', NAMESPACE, '--kubeconfig', config, ...args]);
  let [out, err] = ['', ''];
  child.stdout.on('data', (part) => (out += String(part)));
  child.stderr.on('data', (part) => (err += String(part)));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, out, err })));
}

const operations = async (): Promise<readonly Operation[]> =>
  (await admin.list<Operation>(resources.filerPairOperations, { namespace: NAMESPACE })).items;

/** Ends the one operation that there is, and tells what it was. */
async function ends(type: 'Complete' | 'Failed', message: string): Promise<Operation> {
  const one = await eventually('an operation is made', ANSWER_MS_MAX, async () => (await operations())[0]);
  await says(resources.filerPairOperations, one.metadata.name!, {
    conditions: [condition(type, 'True', message)],
    completionTime: '2026-11-23T12:00:00Z',
  });
  return one;
}
const clear = async (): Promise<void> => {
  for (const { metadata } of await operations())
    await admin.delete(resources.filerPairOperations, named(metadata.name!));
};

beforeAll(async () => {
  server = await ApiServer.start();
  admin = server.client('admin');
  operator = server.client('operator');
  kubeconfig = server.kubeconfig;
  await makeNamespace(admin, NAMESPACE);
  beforeInstallation = await filerpair('status');
  await install(server, {});
  const size = { resources: { requests: { storage: '1Gi' } } };
  const volumes = [{ name: 'data', claimTemplate: { spec: size } }];
  for (const name of ['nas', 'other'])
    await admin.create(
      resources.filerPairs,
      object('FilerPair', name, { storage: { type: 'SharedCoherent' }, volumes }),
    );
  await admin.create(
    resources.filerShares,
    object('FilerShare', 'home', { pairRef: { name: 'nas' }, server: 'a', clients: ['10.8.0.0/24'] }),
  );
  await eventually('the operator has its rights', KNOWN_MS_MAX, async () =>
    refusal(operator.list(resources.filerPairs)).then((said) => said === null),
  );
  const claims = [{ volume: 'data', name: 'nas.a.data', uid: 'uid-of-a' }];
  for (const [server, status] of [
    ['a', { owner: 'a', holder: 'a/9f3c/2', epoch: 7 }],
    ['b', { epoch: 4 }],
  ] as const) {
    const spec = { pairRef: { name: 'nas' }, server, ...(server === 'a' && { claims }) };
    await operator.create(resources.filerDiskSets, object('FilerDiskSet', `nas.${server}`, spec));
    await says(resources.filerDiskSets, `nas.${server}`, status);
  }
  await says(resources.filerPairs, 'nas', {
    observedGeneration: 1,
    conditions: [condition('Ready', 'True', 'Served.'), condition('TakeoverPossible', 'False', 'b is down.')],
    diskSets: [
      { name: 'a', owner: 'a', epoch: 7 },
      { name: 'b', owner: 'b', epoch: 4 },
    ],
  });
}, 400_000);

afterAll(() => server?.stop());

describe('an operation', { timeout: 240_000 }, () => {
  test('is made for the ownership that there is, and waited for', async () => {
    const answer = filerpair('takeover', 'a', 'nas', '--reason', 'new disk');
    const { metadata, spec } = await ends('Complete', 'b serves it since epoch 8.');
    expect(spec).toEqual({
      pairRef: { name: 'nas' },
      type: 'Takeover',
      reason: 'new disk',
      takeover: { server: 'a', ifEpoch: 7 },
    });
    expect(metadata.name).toMatch(/^nas-takeover-a-/);
    expect(await answer).toEqual({ code: 0, out: 'b serves it since epoch 8.\n', err: '' });
    await clear();
  });

  test('that fails ends with its sentence', async () => {
    const answer = filerpair('giveback', 'nas-b');
    const { spec } = await ends('Failed', 'b owns it already.');
    expect(spec).toMatchObject({ type: 'Giveback', giveback: { server: 'b', ifEpoch: 4 } });
    expect(await answer).toMatchObject({ code: 1, err: expect.stringContaining('b owns it already.') });
    await clear();
  });

  test('that does not end goes on, and can be waited for otherwise', async () => {
    const answer = await filerpair('giveback', 'b', 'nas', '--timeout', '1');
    expect(answer).toMatchObject({ code: 3, err: expect.stringContaining('has not ended within 1 s') });
    expect(answer.err).toMatch(/wait filerpairoperation\/nas-giveback-b-\w+ --for condition=Complete/);
    await clear();
  });

  test('by force names the incarnation that is dead: the owner, and with a reason', async () => {
    expect(await filerpair('takeover', 'a', 'nas', '--force', 'a/0000/1', '--reason', 'x')).toMatchObject({
      code: 1,
      err: expect.stringContaining('declare that one dead with --force a/9f3c/2'),
    });
    expect(await filerpair('takeover', 'a', 'nas', '--force', 'a/9f3c/2')).toMatchObject({
      code: 2,
      err: expect.stringContaining('--force needs --reason'),
    });
    expect(await operations()).toEqual([]);
    const said = await filerpair(
      'takeover',
      'a',
      'nas',
      '--force',
      'a/9f3c/2',
      '--reason',
      'off',
      '--no-wait',
    );
    expect(said.code).toBe(0);
    const [one] = await operations();
    expect(one!.spec).toMatchObject({ takeover: { ifEpoch: 7, force: { deadIncarnation: 'a/9f3c/2' } } });
    await clear();
    await filerpair('takeover', 'b', 'nas', '--force', 'none', '--reason', 'off', '--no-wait');
    expect((await operations())[0]!.spec).toMatchObject({ takeover: { server: 'b', ifEpoch: 4, force: {} } });
    await clear();
  });

  test('of a server that several pairs have needs the pair; of one that none has names those that are there', async () => {
    expect((await filerpair('takeover', 'a')).err).toContain(
      'several FilerPairs have a server a, name the pair',
    );
    expect((await filerpair('takeover', 'c')).err).toContain('a of nas (nas-a)');
    expect((await filerpair('takeover', 'other-a')).err).toContain(
      'the epoch of the disk set of a is not known',
    );
  });

  test('snapshot has the name that was given', async () => {
    const answer = filerpair('snapshot', 'nightly', 'nas', '--class', 'fast');
    const { metadata, spec } = await ends('Complete', '2 VolumeSnapshots.');
    expect(metadata.name).toBe('nightly');
    expect(spec).toMatchObject({ type: 'Snapshot', snapshot: { volumeSnapshotClassName: 'fast' } });
    expect((await answer).out).toBe('2 VolumeSnapshots.\n');
    await clear();
  });

  test('recreate-claim names the claim that is given up', async () => {
    const refused = await filerpair('recreate-claim', 'a', 'data', 'nas');
    expect(refused).toMatchObject({
      code: 1,
      err: expect.stringContaining('To give them up: --lost uid-of-a'),
    });
    expect((await filerpair('recreate-claim', 'a', 'other', 'nas')).err).toContain('never had a claim');
    const answer = filerpair('recreate-claim', 'a', 'data', 'nas', '--lost', 'uid-of-a');
    const { spec } = await ends('Complete', 'An empty claim.');
    expect(spec).toMatchObject({ recreateClaim: { server: 'a', volume: 'data', lostClaimUID: 'uid-of-a' } });
    expect((await answer).code).toBe(0);
    await clear();
  });
});

describe('planned work is in the spec', { timeout: 240_000 }, () => {
  test('drain until the partner serves; undrain leaves what else stands there', async () => {
    await filerpair('pause', 'nas', '--reason', 'new switches');
    expect((await specOf('nas')).maintenance).toEqual({
      reason: 'new switches',
      drain: [],
      automaticMoves: 'Paused',
    });
    const late = await filerpair('drain', 'a', 'nas', '--timeout', '1');
    expect(late).toMatchObject({
      code: 3,
      err: expect.stringContaining('b does not serve the disk set of a yet'),
    });
    const answer = filerpair('drain', 'a', 'nas');
    await says(resources.filerPairs, 'nas', {
      diskSets: [
        { name: 'a', owner: 'b', epoch: 8 },
        { name: 'b', owner: 'b', epoch: 4 },
      ],
    });
    expect(await answer).toMatchObject({ code: 0, out: 'a of nas is drained: b serves its disk set\n' });
    expect((await specOf('nas')).maintenance).toMatchObject({ reason: 'new switches', drain: ['a'] });
    await filerpair('resume', 'nas');
    expect((await specOf('nas')).maintenance).toMatchObject({ drain: ['a'], automaticMoves: 'Allowed' });
    expect(await filerpair('undrain', 'nas-a')).toMatchObject({ code: 0 });
    expect((await specOf('nas')).maintenance).toBeUndefined();
  });

  test('a rollout pauses and goes on', async () => {
    await filerpair('rollout', 'pause', 'nas');
    expect((await specOf('nas')).rollout).toEqual({ paused: true });
    await filerpair('rollout', 'resume', 'nas');
    expect((await specOf('nas')).rollout).toEqual({ paused: false });
  });
});

test('status, check and shares say what there is', { timeout: 240_000 }, async () => {
  const status = await filerpair('status', 'nas');
  expect(status.out).toContain('Are clients served? Yes.');
  expect(await filerpair('check', 'nas')).toMatchObject({
    code: 1,
    err: expect.stringContaining('b is down.'),
  });
  expect((await filerpair('shares', 'nas')).out).toMatch(
    /home +- +a\/data +ReadWrite +10\.8\.0\.0\/24 +Unknown/,
  );
  expect((await filerpair('status', '-A')).out).toMatch(/storage +other +\? +Pending/);
  expect((await filerpair('status', 'other')).out).toContain('the operator has not seen it yet');
  expect((await filerpair('status')).err).toContain('has several FilerPairs, name one: nas, other');
});

describe('one sentence says what is missing', { timeout: 240_000 }, () => {
  const line = (err: string) => {
    expect(err).toMatch(/^filerpair: [^\n]+\n$/);
    return err;
  };

  test('FilerPair is not installed', () => {
    expect(beforeInstallation).toMatchObject({ code: 1, out: '' });
    expect(line(beforeInstallation.err)).toContain('FilerPair is not installed in this cluster: ');
  });

  test('rights: who may not do what, and which role has it', async () => {
    const tenant = server.kubeconfigOf('tenant');
    const read = await filerpairAs(tenant, 'status');
    expect(read).toMatchObject({ code: 1, out: '' });
    expect(line(read.err)).toContain(
      'user tenant may not list filerpairs in namespace storage: an administrator can bind ClusterRole view,',
    );
    expect(line((await filerpairAs(tenant, 'status', '-A')).err)).toContain(
      'user tenant may not list filerpairs in the whole cluster',
    );
  });

  test('credentials that are not accepted', async () => {
    const { code, err } = await filerpairAs(server.kubeconfigOf('tenant', 'wrong'), 'status');
    expect(code).toBe(1);
    expect(line(err)).toContain('does not accept the credentials of the kubeconfig');
  });

  test('names that are nearly right', async () => {
    expect(line((await filerpair('status', 'nsa')).err)).toContain(
      'there is no FilerPair nsa in namespace storage; did you mean "nas"?',
    );
    expect(line((await filerpair('drain', 'nas-aa')).err)).toContain('did you mean "nas-a"?');
    const elsewhere = await filerpairAs(kubeconfig, 'status', '-n', 'default');
    expect(line(elsewhere.err)).toContain(
      'there is no FilerPair in namespace default; there are some in storage',
    );
  });
});

test('a dry run asks the API server, and changes nothing', { timeout: 240_000 }, async () => {
  const before = await specOf('nas');
  for (const args of [
    ['drain', 'a', 'nas'],
    ['pause', 'nas'],
    ['rollout', 'pause', 'nas'],
    ['takeover', 'a', 'nas'],
    ['snapshot', 'dry', 'nas'],
  ]) {
    const { code, out } = await filerpair(...args, '--dry-run');
    expect(code, args.join(' ')).toBe(0);
    expect(out).toMatch(/^would (patch|create)/);
  }
  expect(await specOf('nas')).toEqual(before);
  expect(await operations()).toEqual([]);
  expect(await filerpair('snapshot', 'No_Name', 'nas', '--dry-run')).toMatchObject({ code: 1, out: '' });
});

test('what is listed comes as JSON and YAML, too', { timeout: 240_000 }, async () => {
  const list = JSON.parse((await filerpair('--json', 'shares', 'nas')).out);
  expect(list).toMatchObject({ kind: 'List', items: [{ kind: 'FilerShare', metadata: { name: 'home' } }] });
  const pair = parse((await filerpair('status', 'nas', '-o', 'yaml')).out);
  expect(pair).toMatchObject({ kind: 'FilerPair', metadata: { name: 'nas' } });
  expect((await filerpair('status', '-A', '-o', 'wide')).out).toMatch(/LAST +NODES +VERSIONS +MESSAGE/);
  expect((await filerpair('status', '-A')).out).not.toContain('NODES');
});

describe('a drill', { timeout: 240_000 }, () => {
  const jobs = async () => (await admin.list(resources.jobs, { namespace: NAMESPACE })).items;
  const status = {
    conditions: [condition('TakeoverPossible', 'True', 'b would serve what a serves, and a what b serves.')],
    diskSets: [
      { name: 'a', owner: 'a', epoch: 7 },
      { name: 'b', owner: 'b', epoch: 4 },
    ],
    servers: [{ name: 'b', pod: 'nas-b-0', conditions: [] }],
  };

  test('is refused where check is, and where the probe has nothing to use', async () => {
    expect(await filerpair('drill', 'nas')).toEqual({
      code: 1,
      out: '',
      err: 'filerpair: the next failure is not covered: b is down.\n',
    });
    await says(resources.filerPairs, 'nas', status);
    const containers = [{ name: 'server', image: 'registry.example.com/fileserver:1' }];
    await admin.create(resources.pods, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: named('nas-b-0'),
      spec: { containers },
    } as KubernetesObject);
    expect((await filerpair('drill', 'nas')).err).toContain('FilerShare of a of nas: home is not ready');
    await says(resources.filerShares, 'home', { conditions: [condition('Ready', 'True', 'Served.')] });
    expect((await filerpair('drill', 'nas', '--server', 'b')).err).toContain(
      'the disk set of b is not served: a drill begins with each server at its own',
    );
    expect(await jobs()).toEqual([]);
  });

  test('asks the API server first, if it is told to', async () => {
    expect(await filerpair('drill', 'nas', '--dry-run')).toEqual({
      code: 0,
      out: 'would start a probe on share home, have b take over the disk set of a, and have it given back (the API server accepts all three)\n',
      err: '',
    });
    expect([...(await jobs()), ...(await operations())]).toEqual([]);
  });

  test('moves nothing without its probe, and removes the Job', async () => {
    const late = await filerpair('drill', 'nas', '--timeout', '1');
    expect(late.code).toBe(3);
    expect(late.err).toMatch(/has not got as far as "Started" within 1 s: it has no pod/);
    expect([...(await jobs()), ...(await operations())]).toEqual([]);
  });

  test('removes the Job when it is interrupted', async () => {
    const child = spawn(process.execPath, [
      ...[MAIN, 'pairs', '-n', NAMESPACE, '--kubeconfig', kubeconfig],
      ...['drill', 'nas'],
    ]);
    const ended = new Promise((resolve) => child.on('close', resolve));
    const job = await eventually('the Job is made', ANSWER_MS_MAX, async () => {
      const [made] = await jobs();
      return made;
    });
    expect(job.metadata.name).toMatch(/^nas-drill-/);
    child.kill('SIGINT');
    expect(await ended).toBe(130);
    expect([...(await jobs()), ...(await operations())]).toEqual([]);
  });
});
