import { expect, test } from 'vitest';
import { labels } from '../../../kubernetes/labels-and-annotations.ts';
import {
  type ClaimToExport,
  exportedPair,
  manifests,
  type PairToExport,
  type PersistentVolume,
  volumesThatGo,
} from './export.ts';

const server = (name: string) => ({
  name,
  volumes: [{ name: 'data', claim: { size: '1Gi', reclaim: 'Retain' }, capacityWarning: 90 }],
  exports: [{ path: '/home', volume: 'data', clients: ['10.0.0.0/8'] }],
});
const pair: PairToExport = {
  metadata: { name: 'home', namespace: 'here', uid: 'pair-1', resourceVersion: '7', finalizers: ['f'] },
  spec: { servers: [server('filer-a'), server('filer-b')], storage: { lateWrites: 'Coherent' } },
};
const claim = (home: string, epoch: string): ClaimToExport => ({
  metadata: {
    name: `home-${home}-data`,
    namespace: 'here',
    uid: `claim-${home}`,
    labels: {
      [labels.pair]: 'home',
      [labels.home]: home,
      [labels.volume]: 'data',
      [labels.epoch]: epoch,
      team: 'x',
    },
    annotations: { 'pv.kubernetes.io/bind-completed': 'yes' },
  },
  spec: { accessModes: ['ReadWriteMany'], volumeName: `pv-${home}` },
});
const volume = (home: string): PersistentVolume => ({
  metadata: {
    name: `pv-${home}`,
    uid: `pv-${home}`,
    annotations: {
      'pv.kubernetes.io/provisioned-by': 'csi.example.org',
      'pv.kubernetes.io/bound-by-controller': 'yes',
    },
  },
  spec: {
    persistentVolumeReclaimPolicy: 'Delete',
    csi: { driver: 'csi.example.org', volumeHandle: `handle-${home}` },
    claimRef: { namespace: 'here', name: `home-${home}-data`, uid: `claim-${home}`, resourceVersion: '3' },
  },
});
const claims = [claim('filer-a', '3'), claim('filer-b', '8')];
const volumes = [volume('filer-a'), volume('filer-b')];
const handleKeys = {
  metadata: { name: 'home-handle-keys', namespace: 'here', uid: 'secret-1', resourceVersion: '4' },
  data: { current: 'a2V5' },
};

test('the pair goes on elsewhere, on its own disks, from the epochs that it had', async () => {
  const text = manifests(exportedPair(pair, { claims, volumes, handleKeys }, 'there'));
  await expect(text).toMatchFileSnapshot('golden/exported-pair.yaml');
  // What belongs to this cluster stays in it.
  expect(text).not.toMatch(/uid: [^n]|finalizers|bound-by-controller|bind-completed|team|namespace: here/);
});

test('a volume without a claim, a claim without a volume: said before anything ends', () => {
  expect(() => exportedPair(pair, { claims: claims.slice(1), volumes, handleKeys }, 'there')).toThrow(
    'volume data of filer-a has no claim',
  );
  expect(() => exportedPair(pair, { claims, volumes: volumes.slice(1), handleKeys }, 'there')).toThrow(
    'claim home-filer-a-data is not bound',
  );
});

test('claims that would go with the pair are named', () => {
  const going = { ...server('filer-b'), volumes: [{ name: 'data', claim: { reclaim: 'Delete' } }] };
  expect(volumesThatGo({ ...pair, spec: { servers: [server('filer-a'), going] } })).toEqual(['filer-b/data']);
  expect(volumesThatGo(pair)).toEqual([]);
});
