/** What an administrator sees of a pair. */
import { expect, test } from 'vitest';
import type { Condition } from '../../../crds/condition.ts';
import { filerPairSpec } from '../../../crds/pair/spec.ts';
import type { DiskSetObject, OperationObject, PairObject, ShareObject } from './cluster.ts';
import { age, pairList, pairTable, shareTable, versionOf } from './pair-table.ts';

const now = Date.parse('2026-11-23T12:05:00Z');
const at = (seconds: number) => new Date(now - seconds * 1000).toISOString();
const condition = (
  type: string,
  status: Condition['status'],
  reason: string,
  message = '',
  seconds = 60,
): Condition => ({ type, status, reason, message, lastTransitionTime: at(seconds) });
const spec = filerPairSpec.parse({
  storage: { type: 'Reattach' },
  volumes: [{ name: 'data', claimTemplate: { spec: { resources: { requests: { storage: '1Gi' } } } } }],
});

/** a has just died; b serves both. */
const pair: PairObject = {
  metadata: { name: 'nas', namespace: 'storage' },
  spec: { ...spec, maintenance: { reason: 'new disk', drain: ['a'], automaticMoves: 'Allowed' } },
  status: {
    observedGeneration: 3,
    summary: 'a>b b',
    conditions: [
      condition('Accepted', 'True', 'Accepted'),
      condition('Ready', 'True', 'Serving', 'b serves both.'),
      condition(
        'TakeoverPossible',
        'False',
        'PartnerNotRunning',
        'a could not take over: it is started again.',
      ),
      condition('AtHome', 'False', 'Away', 'b serves the disk set of a.'),
      condition('Degraded', 'True', 'ServerDown', 'a does not run.'),
      condition('Progressing', 'False', 'Settled', 'Everything is as the spec wants it.'),
    ],
    servers: [
      {
        name: 'a',
        pod: 'nas-a-x7k2p',
        node: 'node-1',
        image: 'registry.example.org/filerpair/fileserver:0.2.0@sha256:0c1d',
        conditions: [condition('Running', 'False', 'Restarting', '', 61)],
      },
      {
        name: 'b',
        pod: 'nas-b-0c1d2',
        node: 'node-2',
        image: 'registry.example.org/filerpair/fileserver:0.1.0@sha256:7e2f',
        conditions: [condition('Running', 'True', 'Running', '', 9000)],
      },
    ],
    diskSets: [
      { name: 'a', owner: 'b', epoch: 7, conditions: [condition('Served', 'True', 'Serving')] },
      { name: 'b', owner: 'b', epoch: 3, conditions: [condition('Served', 'True', 'Serving', '', 9000)] },
    ],
    lastTransition: {
      diskSet: 'a',
      kind: 'Takeover',
      cause: 'PartnerSaidSo',
      time: at(60),
      durationMilliseconds: 143,
    },
    rollout: { step: 'Waiting', message: 'No server is touched now.', sinceTime: at(30) },
  },
};
const transition = (epoch: number, seconds: number) => ({
  kind: 'Takeover',
  cause: 'PartnerSaidSo',
  to: 'b',
  epoch,
  time: at(seconds),
  durationMilliseconds: 143,
  phases: [
    { name: 'claim', offsetMilliseconds: 0, durationMilliseconds: 12 },
    { name: 'verify', offsetMilliseconds: 12, durationMilliseconds: 131 },
  ],
});
const record = (server: string, history: ReturnType<typeof transition>[]): DiskSetObject => ({
  metadata: { name: `nas.${server}` },
  spec: { pairRef: { name: 'nas' }, server, epochFloor: 1 },
  status: { conditions: [], history },
});
const operation = (name: string, status: OperationObject['status']): OperationObject => ({
  metadata: { name, creationTimestamp: at(20) },
  spec: { pairRef: { name: 'nas' }, type: 'Giveback', giveback: { server: 'a', ifEpoch: 7 } },
  status,
});
const ended = (seconds: number, ...conditions: Condition[]) => ({ conditions, completionTime: at(seconds) });
const belongings = {
  diskSets: [record('a', [transition(7, 60), transition(5, 9000)]), record('b', [transition(3, 100)])],
  operations: [
    operation('older', ended(500, condition('Complete', 'True', 'Done', 'b serves it.'))),
    operation('refused', ended(10, condition('Failed', 'True', 'EpochMismatch', 'Epoch 7, not 6.'))),
    operation('waiting', { conditions: [condition('Complete', 'Unknown', 'Pending', 'a is not back.')] }),
  ],
};

test('a pair during an outage: the answers first, then which server serves what, then what happened', async () => {
  await expect(pairTable(pair, belongings, now)).toMatchFileSnapshot('golden/outage.txt');
});

test('all pairs, a line each, also one that the operator has not seen', async () => {
  const fresh: PairObject = {
    metadata: { name: 'new', namespace: 'storage' },
    spec,
    // As the API server makes it.
    status: { conditions: [condition('Ready', 'Unknown', 'Pending', 'Waiting for the operator.')] },
  };
  await expect(pairList([pair, fresh], now)).toMatchFileSnapshot('golden/list.txt');
  await expect(pairList([pair, fresh], now, true)).toMatchFileSnapshot('golden/list-wide.txt');
  expect(pairTable(fresh, { diskSets: [], operations: [] }, now)).toContain('has not seen it yet');
});

test('shares, a line each', async () => {
  const share = (name: string, status: ShareObject['status']): ShareObject => ({
    metadata: { name },
    spec: {
      pairRef: { name: 'nas' },
      server: 'a',
      volume: 'data',
      clients: ['10.8.0.0/24', '10.9.1.7'],
      clientPorts: 'Any',
      access: 'ReadWrite',
      squash: { mode: 'Root' },
      deletionPolicy: 'Retain',
    },
    status,
  });
  const ready = {
    path: '/home',
    server: 'nas-a',
    conditions: [condition('Ready', 'True', 'Served', 'Served.')],
  };
  const absent = {
    conditions: [condition('Ready', 'False', 'DirectoryMissing', 'shares/x does not exist.')],
  };
  await expect(shareTable([share('home', ready), share('x', absent)])).toMatchFileSnapshot(
    'golden/shares.txt',
  );
});

test.each([
  [5, '5s'],
  [119, '119s'],
  [120, '2m'],
  [7199, '119m'],
  [7200, '2h0m'],
  [47 * 3600 + 1800, '47h30m'],
  [5 * 86_400, '5d'],
])('%i s ago is %s', (seconds, text) => expect(age(at(seconds), now)).toBe(text));

test.each([
  ['registry.example.org:5000/filerpair/fileserver:0.1.0@sha256:7e2f', '0.1.0'],
  ['registry.example.org:5000/fileserver', 'latest'],
  ['fileserver@sha256:7e2f8a9b0c1d2e3f4a5b', 'sha256:7e2f8a9b0c1d'],
  [undefined, '-'],
])('the version of %s is %s', (image, version) => expect(versionOf(image)).toBe(version));
