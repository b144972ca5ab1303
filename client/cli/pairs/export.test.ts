import { expect, test } from 'vitest';
import { filerShareSpec } from '../../../crds/filer-share.ts';
import { filerPairSpec } from '../../../crds/pair/spec.ts';
import { labels } from '../../../kubernetes/labels-and-annotations.ts';
import type { DiskSetObject, PairObject, ShareObject } from './cluster.ts';
import {
  type ClaimToExport,
  exportedPair,
  manifests,
  neededBesides,
  type PersistentVolume,
  volumesThatGo,
} from './export.ts';

const template = { spec: { resources: { requests: { storage: '1Gi' } } } };
const pair: PairObject = {
  metadata: { name: 'nas', namespace: 'here', uid: 'pair-1', resourceVersion: '7', finalizers: ['f'] },
  spec: filerPairSpec.parse({
    volumes: [{ name: 'data', claimTemplate: template }],
    servers: [{ name: 'a' }, { name: 'b', volumes: [{ name: 'extra', claimRef: { name: 'old' } }] }],
    monitoring: { tokenSecretRef: { name: 'token' } },
  }),
  status: { conditions: [], effective: { className: 'ceph' } },
};
const claim = (name: string, epoch: string): ClaimToExport => ({
  metadata: {
    name,
    namespace: 'here',
    uid: `claim-${name}`,
    labels: { [labels.pair]: 'nas', [labels.epoch]: epoch, team: 'x' },
    annotations: { 'pv.kubernetes.io/bind-completed': 'yes' },
  },
  spec: { accessModes: ['ReadWriteMany'], volumeName: `pv-${name}` },
});
const volume = (name: string): PersistentVolume => ({
  metadata: {
    name: `pv-${name}`,
    uid: `pv-${name}`,
    annotations: {
      'pv.kubernetes.io/provisioned-by': 'csi.example.org',
      'pv.kubernetes.io/bound-by-controller': 'yes',
    },
  },
  spec: {
    persistentVolumeReclaimPolicy: 'Delete',
    csi: { driver: 'csi.example.org', volumeHandle: `handle-${name}` },
    claimRef: { namespace: 'here', name, uid: `claim-${name}`, resourceVersion: '3' },
  },
});
const record = (server: string, epochFloor: number, claims: Record<string, string>): DiskSetObject => ({
  metadata: { name: `nas.${server}`, namespace: 'here', uid: `record-${server}`, finalizers: ['f'] },
  spec: {
    pairRef: { name: 'nas' },
    server,
    storageType: 'SharedCoherent',
    epochFloor,
    claims: Object.entries(claims).map(([volume, name]) => ({ volume, name, uid: `claim-${name}` })),
  },
  status: { conditions: [], epoch: 4 },
});
const share: ShareObject = {
  metadata: { name: 'home', namespace: 'here', uid: 'share-1', finalizers: ['f'] },
  spec: filerShareSpec.parse({ pairRef: { name: 'nas' }, server: 'a', clients: ['10.0.0.0/8'] }),
  status: { conditions: [], path: '/home' },
};
const claims = [claim('nas.a.data', '3'), claim('nas.b.data', '8'), claim('old', '8')];
const belongings = {
  claims,
  volumes: claims.map(({ metadata }) => volume(metadata.name!)),
  diskSets: [record('a', 5, { data: 'nas.a.data' }), record('b', 2, { data: 'nas.b.data', extra: 'old' })],
  shares: [share],
  handleKeys: {
    metadata: { name: 'nas-handle-keys', namespace: 'here', uid: 'secret-1', resourceVersion: '4' },
    data: { current: 'a2V5' },
  },
};

test('the pair goes on elsewhere, on its own disks, from the epochs that it had', async () => {
  const text = manifests(exportedPair(pair, belongings, 'there'));
  await expect(text).toMatchFileSnapshot('golden/exported-pair.yaml');
  // What belongs to this cluster stays in it.
  expect(text).not.toMatch(/uid: [^n]|finalizers|bound-by-controller|bind-completed|team|namespace: here/);
});

test('what it needs besides is named: its class also where it was the default', () => {
  expect(neededBesides(pair)).toEqual(['FilerPairClass ceph', 'Secret token']);
});

test('a volume without a claim, a claim without a volume: said before anything ends', () => {
  expect(() => exportedPair(pair, { ...belongings, claims: claims.slice(1) }, 'there')).toThrow(
    'volume data of a has no claim',
  );
  expect(() => exportedPair(pair, { ...belongings, diskSets: [] }, 'there')).toThrow(
    'volume data of a has no claim',
  );
  const { volumes } = belongings;
  expect(() => exportedPair(pair, { ...belongings, volumes: volumes.slice(1) }, 'there')).toThrow(
    'claim nas.a.data is not bound',
  );
});

test('claims that would go with the pair are named', () => {
  const going = {
    ...pair.spec,
    volumes: [{ name: 'data', claimTemplate: template, whenDeleted: 'Delete' as const }],
    servers: [{ name: 'a' }, { name: 'b', volumes: [{ name: 'data', claimRef: { name: 'old' } }] }],
  };
  expect(volumesThatGo({ ...pair, spec: going })).toEqual(['a/data']);
  expect(volumesThatGo(pair)).toEqual([]);
});
