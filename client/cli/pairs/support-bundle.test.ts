/** A bundle leaves the cluster: it tells of one pair only, and only its owner may read the file. */
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { failure, type HttpApi, json, startHttpApi } from '../../../kubernetes/http-api.fixture.ts';
import { writeForOwner } from './bundle-command.ts';
import type { PairObject } from './cluster.ts';
import { aboutPair, supportBundle } from './support-bundle.ts';

const pair = {
  apiVersion: 'filerpair.dev/v1beta1',
  kind: 'FilerPair',
  metadata: {
    name: 'nas',
    namespace: 'storage',
    annotations: { 'kubectl.kubernetes.io/last-applied-configuration': 'password-of-yesterday' },
  },
  spec: { className: 'ceph', servers: [{ name: 'a' }, { name: 'b' }] },
} as unknown as PairObject;

const node = (name: string) => ({
  metadata: {
    name,
    annotations: { 'other.example.org/secret': 'of-others', 'filerpair.dev/powered-off': 'x' },
  },
  status: { conditions: [{ type: 'Ready' }], images: [{ names: ['image-of-others'] }] },
});
const event = (name: string) => ({ metadata: { name: `event-${name}` }, regarding: { name } });
const lists = (): Readonly<Record<string, readonly object[]>> => ({
  pods: [
    {
      metadata: { name: 'nas-a-00000', namespace: 'storage', managedFields: [{ manager: 'kubelet' }] },
      spec: { nodeName: 'node-1', containers: [{ name: 'server' }] },
    },
  ],
  nodes: [node('node-1'), node('node-2')],
  filershares: [belonging('photos', 'nas'), belonging('of-another', 'other')],
  filerdisksets: [belonging('nas.a', 'nas')],
  events: [
    event('nas'),
    event('nas-a-00000'),
    event('nas-archive'),
    event('nas-a-office'),
    event('photos'),
    event('of-another'),
    event('database-0'),
  ],
});
const belonging = (name: string, pair: string) => ({ metadata: { name }, spec: { pairRef: { name: pair } } });
const operatorLog = [
  '{"message":"leading"}',
  '{"message":"ours","pair":"storage/nas"}',
  '{"message":"theirs","pair":"other/database"}',
  'panic',
];

let api: HttpApi | undefined;
afterEach(() => api?.close());

test('has what is about the pair and its nodes, and nothing of others', async () => {
  const kinds = new Set<string>();
  api = await startHttpApi(({ path, query }, response) => {
    const kind = path.split('/').at(-1)!;
    if (kind === 'log') {
      response.writeHead(200).end(path.includes('operator') ? operatorLog.join('\n') : 'line of a server\n');
      return;
    }
    kinds.add(kind);
    const operators = query.get('labelSelector')?.includes('filerpair-operator') === true;
    const items = operators ? [{ metadata: { name: 'operator-1', namespace: 'system' } }] : lists()[kind];
    if (kind === 'ceph') json(response, 200, { metadata: { name: 'ceph' }, of: 'class-of-it' });
    else if (kind === 'secrets') json(response, 403, failure(403, 'Forbidden'));
    else json(response, 200, { metadata: { resourceVersion: '1' }, items: items ?? [] });
  });
  const files = await supportBundle(
    { client: api.client, namespace: 'storage', server: 'https://api' },
    pair,
    0,
  );
  const all = files.map(({ content }) => String(content)).join('\n');
  for (const foreign of [
    'of-others',
    'node-2',
    'database',
    'nas-archive',
    'nas-a-office',
    'of-another',
    'password',
    'managedFields',
  ])
    expect(all, foreign).not.toContain(foreign);
  for (const ours of [
    'node-1',
    'event-nas-a-00000',
    '"event-nas"',
    '"event-photos"',
    'class-of-it',
    'line of a server',
    'leading',
    'panic',
  ])
    expect(all, ours).toContain(ours);
  expect(kinds.has('secrets')).toBe(false);
});

test('of the operator’s log those lines are left that are about the pair or about none', () => {
  expect(aboutPair(operatorLog.join('\n'), 'storage/nas').split('\n')).toEqual([
    operatorLog[0],
    operatorLog[1],
    operatorLog[3],
  ]);
});

test('its file is for its owner, also where there was one that everybody could read', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'filerpair-bundle-'));
  try {
    const [fresh, old] = ['fresh', 'old'].map((name) => join(directory, name)) as [string, string];
    writeFileSync(old, 'something longer than that', { mode: 0o644 });
    for (const path of [fresh, old]) {
      await writeForOwner(path, Buffer.from('content'));
      expect([statSync(path).mode & 0o777, statSync(path).size]).toEqual([0o600, 7]);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});
