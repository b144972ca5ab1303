/**
 * A FilerPairOperation in Git: the operator itself against a real API server, where the test is the servers and Git. It is carried
 * out, deleted when its time is over, and created again from the same manifest: the disk set does not move a second time.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { apiVersion } from '../../crds/group.ts';
import { isNotFound } from '../../kubernetes/api-error.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import { leaseAnnotations, type RequestAnnotation } from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject, Lease } from '../../kubernetes/objects.ts';
import { resources } from '../../kubernetes/resource.ts';
import type { FilerDiskSetObject, FilerPairOperationObject } from '../../operator/model/objects.ts';
import { eventually } from '../../testing/eventually.ts';
import { REPOSITORY } from '../environment.ts';
import { OperatorProcess } from '../scale/operator-process.ts';
import { ApiServer } from './api-server.ts';
import { install, KNOWN_MS_MAX, makeNamespace, refusal } from './installed-chart.ts';
import { named, pair } from './small-pair.ts';

/** A reconcile of the operator, on a machine with much to do. */
const DONE_MS_MAX = 60_000;
const HEALTH_PORT = 18_081;

const manifest = {
  apiVersion,
  kind: 'FilerPairOperation',
  metadata: named('new-kernel'),
  spec: {
    pairRef: { name: 'nas' },
    type: 'Takeover',
    reason: 'new kernel',
    takeover: { server: 'a' },
    ttlSecondsAfterFinished: 1,
  },
};

let server: ApiServer;
let admin: KubernetesClient;
let operator: OperatorProcess;
const log = join(REPOSITORY, 'out/operation-again-operator.log');
const start = () =>
  OperatorProcess.start({ kubeconfig: server.kubeconfigOf('operator'), port: HEALTH_PORT, log });

const lease = () => admin.get<Lease>(resources.leases, named('nas.a'));
const record = () => admin.get<FilerDiskSetObject>(resources.filerDiskSets, named('nas.a'));
const operation = () =>
  admin.get<FilerPairOperationObject>(resources.filerPairOperations, named('new-kernel'));
const asked = async (): Promise<RequestAnnotation | null> =>
  JSON.parse((await lease()).metadata.annotations?.[leaseAnnotations.request] ?? 'null');
const ended = async () => (await operation()).status?.conditions?.find(({ status }) => status === 'True');

/** What a server writes when it takes the disk set of a. */
const owned = (by: string, epoch: number, annotations: Readonly<Record<string, string>> = {}) =>
  admin.mergePatch(resources.leases, named('nas.a'), {
    metadata: { annotations },
    spec: { holderIdentity: `${by}/pod-of-${by}/run-1`, leaseTransitions: epoch },
  });

beforeAll(async () => {
  mkdirSync(join(REPOSITORY, 'out'), { recursive: true });
  server = await ApiServer.start();
  admin = server.client('admin');
  await makeNamespace(admin, 'storage');
  await install(server, { defaultClass: { limits: { storageTypes: ['SharedCoherent'] } } });
  await eventually('a pair is accepted', KNOWN_MS_MAX, async () =>
    refusal(admin.create(resources.filerPairs, pair, { dryRun: true })).then((said) => said === null),
  );
  operator = await start();
  await admin.create(resources.filerPairs, pair);
  await eventually('it has a Lease', DONE_MS_MAX, () => lease().catch(() => null));
  await owned('a', 1);
}, 400_000);

afterAll(async () => {
  await operator?.stop();
  await server?.stop();
});

test('moves the disk set once, and never again', { timeout: 300_000 }, async () => {
  await admin.create(resources.filerPairOperations, manifest as KubernetesObject);
  const request = await eventually('the servers are asked', DONE_MS_MAX, asked);
  expect(request).toMatchObject({ kind: 'takeover', reason: 'new kernel' });
  expect((await record()).spec.operations).toMatchObject([{ name: 'new-kernel', epoch: 1 }]);
  const answer = { id: request!.id, result: 'done', message: 'b owns it' };
  await owned('b', 2, { [leaseAnnotations.requestResult]: JSON.stringify(answer) });
  await eventually('its time is over', DONE_MS_MAX, () =>
    operation().then(
      () => false,
      (error: unknown) => isNotFound(error),
    ),
  );
  expect(await asked()).toBeNull();
  await owned('a', 3);

  // Another operator: what the first one has in its memory is no proof.
  await operator.stop();
  operator = await start();
  await admin.create(resources.filerPairOperations, {
    ...manifest,
    spec: { ...manifest.spec },
  } as KubernetesObject);
  const end = await eventually('it has ended', DONE_MS_MAX, () => ended().catch(() => undefined));
  expect(end).toMatchObject({ type: 'Failed', reason: 'AlreadyCarriedOut' });
  expect(end!.message).toMatch(/was carried out \(TakenOver, 20.*Z\)\. Created again it does nothing\./);
  expect(await asked()).toBeNull();
  const { spec } = await lease();
  expect([spec?.leaseTransitions, spec?.holderIdentity]).toEqual([3, 'a/pod-of-a/run-1']);
});
