/**
 * The operator's copy of the cluster, against a real HTTP server: what it asks for, and what it never concludes from its own
 * being late.
 */

import type { ServerResponse } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { failure, type HttpApi, json, startHttpApi } from '../../kubernetes/http-api.fixture.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import { pause } from '../../testing/pause.ts';
import { attachmentPodName } from '../model/names.ts';
import { watchedKinds } from '../model/watched-kinds.ts';
import { Caches } from './caches.ts';
import { NODES_KEY } from './concerned-pairs.ts';

const pair = {
  metadata: { name: 'home', namespace: 'storage', uid: 'pair-1', resourceVersion: '1' },
  spec: { servers: [], storage: { type: 'SharedCoherent' } },
};
const podOn = (nodeName: string): KubernetesObject =>
  ({
    metadata: {
      name: 'home-a-00000',
      namespace: 'storage',
      uid: 'pod-1',
      resourceVersion: '1',
      labels: { 'filerpair.dev/pair': 'home', 'filerpair.dev/server': 'a' },
    },
    spec: { nodeName },
  }) as KubernetesObject;
const node = (name: string, status: string, version: number, annotations = {}): KubernetesObject =>
  ({
    metadata: { name, uid: `uid-${name}`, resourceVersion: String(version), annotations },
    status: { conditions: [{ type: 'Ready', status, lastTransitionTime: '2030-01-01T00:00:00Z' }] },
  }) as KubernetesObject;

class Api {
  readonly objects: Record<string, KubernetesObject[]> = { filerpairs: [pair], pods: [], nodes: [] };
  /** What a GET of one node answers. */
  found: KubernetesObject | 'absent' | 'no answer' = 'absent';
  /** A pod that no list by labels shows, by its name. */
  readonly podsWithoutLabels = new Map<string, KubernetesObject>();
  readonly woken: string[] = [];
  namespaces: readonly string[] = [];
  /** Labels of Secrets, by name. */
  secrets: Readonly<Record<string, Readonly<Record<string, string>>>> = {};

  /** Paths of everything that was asked for. */
  get asked(): readonly string[] {
    return (this.#http?.seen ?? []).map(({ path }) => path);
  }

  #watches = new Map<string, ServerResponse>();
  #http: HttpApi | undefined;
  #caches: Caches | undefined;

  async start(): Promise<Caches> {
    this.#http = await startHttpApi(({ path, query }, response) => {
      const parts = path.split('/');
      const last = parts.at(-1) ?? '';
      if (parts.at(-2) === 'nodes') this.#node(response);
      else if (parts.at(-2) === 'pods') {
        const pod = this.podsWithoutLabels.get(last);
        if (pod === undefined) json(response, 404, failure(404, 'NotFound'));
        else json(response, 200, pod);
      } else if (query.has('watch')) {
        response.writeHead(200).flushHeaders();
        this.#watches.set(last, response);
      } else if (parts.includes('secrets')) {
        const found = this.secrets[last];
        if (found === undefined) json(response, 404, failure(404, 'NotFound'));
        else json(response, 200, { metadata: { name: last, namespace: 'storage', labels: found } });
      } else json(response, 200, { metadata: { resourceVersion: '1' }, items: this.objects[last] ?? [] });
    });
    this.#caches = new Caches({
      client: this.#http.client,
      without: new Set(['dnsEndpoints', 'certificates'] as const),
      namespaces: this.namespaces,
      askDns: async () => [],
      wake: (key) => this.woken.push(key),
      onError: () => undefined,
    });
    await this.#caches.start();
    return this.#caches;
  }

  #node(response: ServerResponse): void {
    if (this.found === 'no answer') json(response, 500, failure(500, 'InternalError'));
    else if (this.found === 'absent') json(response, 404, failure(404, 'NotFound'));
    else json(response, 200, this.found);
  }

  async changes(plural: string, type: string, object: KubernetesObject): Promise<void> {
    await expect.poll(() => this.#watches.has(plural)).toBe(true);
    const before = this.woken.length;
    this.#watches.get(plural)!.write(`${JSON.stringify({ type, object })}\n`);
    await expect.poll(() => this.woken.length).toBeGreaterThan(before);
  }

  async stop(): Promise<void> {
    await this.#caches?.stop();
    await this.#http?.close();
  }
}

let api: Api;
afterEach(() => api.stop());
const observe = (caches: Caches) => caches.observe('storage', 'home', []);

describe('a node that the cache lacks', () => {
  test('is asked for, and taken as the API has it', async () => {
    api = new Api();
    api.objects['pods'] = [podOn('node-9')];
    api.found = node('node-9', 'True', 1);
    const { nodes, nodesGone } = await observe(await api.start());
    expect(nodes['node-9']?.metadata.uid).toBe('uid-node-9');
    expect(nodesGone).toEqual({});
  });

  test('is gone only when the API says so, since it first did', async () => {
    api = new Api();
    api.objects['pods'] = [podOn('node-9')];
    api.found = 'no answer';
    const caches = await api.start();
    expect((await observe(caches)).nodesGone).toEqual({});
    api.found = 'absent';
    const before = Date.now();
    const since = (await observe(caches)).nodesGone['node-9']!;
    expect(since).toBeGreaterThanOrEqual(before - 5);
    await pause(30, 'time passes');
    expect((await observe(caches)).nodesGone['node-9']).toBeCloseTo(since, -1);
    api.found = node('node-9', 'True', 1);
    expect((await observe(caches)).nodesGone).toEqual({});
  });
});

test('how long a node has been silent is counted from when it was seen here, whatever the node says', async () => {
  api = new Api();
  api.objects['pods'] = [podOn('node-1')];
  api.objects['nodes'] = [node('node-1', 'True', 1)];
  const caches = await api.start();
  const silentFrom = Date.now();
  await api.changes('nodes', 'MODIFIED', node('node-1', 'Unknown', 2));
  const { readinessSince } = await observe(caches);
  expect(readinessSince['node-1']).toBeGreaterThanOrEqual(silentFrom - 5);
  expect(readinessSince['node-1']).toBeLessThanOrEqual(Date.now() + 5);
});

test('a node keeps when somebody said that it is switched off, as the API server has it', async () => {
  api = new Api();
  api.objects['pods'] = [podOn('node-1')];
  const said = node('node-1', 'True', 1, { 'filerpair.dev/powered-off': 'boot-1' });
  const fieldsV1 = { 'f:metadata': { 'f:annotations': { 'f:filerpair.dev/powered-off': {} } } };
  const managedFields = [{ time: '2030-01-01T00:01:00Z', fieldsV1 }];
  api.objects['nodes'] = [{ ...said, metadata: { ...said.metadata, managedFields } } as KubernetesObject];
  const { nodes } = await observe(await api.start());
  expect(nodes['node-1']).toMatchObject({ poweredOffSaidAt: '2030-01-01T00:01:00Z' });
  expect(nodes['node-1']?.metadata).not.toHaveProperty('managedFields');
});

test('a node with a mark of ours wakes the upkeep of nodes, and the pairs that have pods there', async () => {
  api = new Api();
  api.objects['pods'] = [podOn('node-1')];
  const marked = { 'filerpair.dev/out-of-service': 'it was lost' };
  api.objects['nodes'] = [node('node-1', 'Unknown', 1, marked), node('node-2', 'Unknown', 1, marked)];
  const caches = await api.start();
  api.woken.length = 0;
  await api.changes('nodes', 'MODIFIED', node('node-2', 'True', 2, marked));
  expect(new Set(api.woken)).toEqual(new Set([NODES_KEY]));
  await api.changes('nodes', 'MODIFIED', node('node-1', 'True', 3, marked));
  expect(new Set(api.woken)).toEqual(new Set([NODES_KEY, 'storage/home']));
  expect(caches.nodes()['node-2']?.metadata.annotations).toEqual(marked);
});

test('room for volumes is what a driver allows on a node, less what is attached there', async () => {
  api = new Api();
  const attachment = (name: string, nodeName: string, attacher: string) =>
    ({ metadata: { name, resourceVersion: '1' }, spec: { nodeName, attacher } }) as KubernetesObject;
  api.objects['filerpairs'] = [
    { ...pair, spec: { servers: [], storage: { type: 'Reattach' } } } as KubernetesObject,
  ];
  api.objects['pods'] = [podOn('node-1')];
  api.objects['nodes'] = [node('node-1', 'True', 1)];
  api.objects['csinodes'] = [
    {
      metadata: { name: 'node-1', resourceVersion: '1' },
      spec: { drivers: [{ name: 'limited', allocatable: { count: 2 } }, { name: 'unlimited' }] },
    } as KubernetesObject,
  ];
  api.objects['volumeattachments'] = [
    attachment('a', 'node-1', 'limited'),
    attachment('b', 'node-2', 'limited'),
    attachment('c', 'node-1', 'unlimited'),
  ];
  expect((await observe(await api.start())).volumeSlots).toEqual({ 'node-1': { limited: 1 } });
});

describe('volumes and claims', () => {
  const at = (name: string, claims: readonly string[], creationTimestamp: string, resourceVersion = '1') =>
    ({
      metadata: { name, namespace: 'storage', uid: `uid-${name}`, resourceVersion, creationTimestamp },
      spec: {
        storage: { type: 'Reattach' },
        servers: claims.map((claim, index) => ({
          name: 'ab'[index],
          volumes: [{ name: 'data', claimRef: { name: claim } }],
        })),
      },
    }) as KubernetesObject;
  const labelled = (name: string, spec: object) =>
    ({
      metadata: {
        name,
        namespace: 'storage',
        uid: `uid-${name}`,
        resourceVersion: '1',
        labels: { 'filerpair.dev/pair': 'home' },
      },
      spec,
    }) as KubernetesObject;
  const ofCluster = (name: string, spec: object) =>
    ({ metadata: { name, uid: `uid-${name}`, resourceVersion: '1' }, spec }) as KubernetesObject;

  test('what keeps a volume from two nodes is as the PersistentVolume and its driver say; not seen is unknown', async () => {
    api = new Api();
    api.objects['filerpairs'] = [at('home', ['one', 'two', 'three'], '2026-11-01T00:00:00Z')];
    api.objects['persistentvolumeclaims'] = ['one', 'two', 'three'].map((name) =>
      labelled(name, { volumeName: `pv-${name}` }),
    );
    api.objects['persistentvolumes'] = [
      ofCluster('pv-one', {
        accessModes: ['ReadWriteOnce', 'ReadOnlyMany'],
        csi: { driver: 'attaches', volumeHandle: 'vol-1' },
      }),
      ofCluster('pv-two', { accessModes: ['ReadWriteOnce'], csi: { driver: 'attaches-nothing' } }),
    ];
    api.objects['csidrivers'] = [ofCluster('attaches-nothing', { attachRequired: false })];
    const { volumeFences, volumeReach } = await observe(await api.start());
    expect(volumeFences).toEqual({
      'pv-one': {
        accessModes: ['ReadWriteOnce', 'ReadOnlyMany'],
        driver: 'attaches',
        attachRequired: true,
        inUseAs: 'kubernetes.io/csi/attaches^vol-1',
      },
      'pv-two': { accessModes: ['ReadWriteOnce'], driver: 'attaches-nothing', attachRequired: false },
      'pv-three': 'unknown',
    });
    expect(volumeReach).toEqual({ 'pv-one': 'every node', 'pv-two': 'every node', 'pv-three': 'unknown' });
  });

  test('a claim, its volume and a node may be called constructor', async () => {
    api = new Api();
    api.objects['filerpairs'] = [at('home', ['constructor'], '2026-11-01T00:00:00Z')];
    const { claims, claimUsers, nodes, nodesGone, volumeFences } = await observe(await api.start());
    expect(typeof claims['constructor'], 'it was asked for').toBe('object');
    for (const none of [claimUsers, nodes, nodesGone, volumeFences])
      expect(none['constructor']).toBeUndefined();
  });

  test('a PersistentVolume that was made anew under its name is known as it is now, and wakes the pair', async () => {
    api = new Api();
    const inZone = (resourceVersion: string, zone: string): KubernetesObject => {
      const key = 'topology.kubernetes.io/zone';
      const required = {
        nodeSelectorTerms: [{ matchExpressions: [{ key, operator: 'In', values: [zone] }] }],
      };
      const volume = ofCluster('pv-one', { accessModes: ['ReadWriteOnce'], nodeAffinity: { required } });
      return { ...volume, metadata: { ...volume.metadata, uid: `uid-${zone}`, resourceVersion } };
    };
    api.objects['filerpairs'] = [at('home', ['one'], '2026-11-01T00:00:00Z')];
    api.objects['persistentvolumeclaims'] = [labelled('one', { volumeName: 'pv-one' })];
    api.objects['persistentvolumes'] = [inZone('1', 'zone-a')];
    const caches = await api.start();
    const reach = async () => JSON.stringify((await observe(caches)).volumeReach['pv-one']);
    expect(await reach()).toContain('zone-a');
    await api.changes('persistentvolumes', 'DELETED', inZone('2', 'zone-a'));
    expect(await reach()).toBe('"unknown"');
    await api.changes('persistentvolumes', 'ADDED', inZone('3', 'zone-b'));
    expect(await reach()).toContain('zone-b');
  });

  test('another pair that names a claim is seen, and both are woken when that changes', async () => {
    api = new Api();
    api.objects['filerpairs'] = [
      at('home', ['mine', 'shared'], '2026-11-01T00:00:00Z'),
      at('other', ['shared', 'theirs'], '2026-11-02T00:00:00Z'),
    ];
    api.objects['persistentvolumeclaims'] = [labelled('mine', {}), labelled('shared', {})];
    const caches = await api.start();
    expect((await observe(caches)).claimUsers).toEqual({
      shared: [{ name: 'other', since: '2026-11-02T00:00:00Z' }],
    });
    api.woken.length = 0;
    await api.changes('filerpairs', 'MODIFIED', at('other', ['theirs'], '2026-11-02T00:00:00Z', '2'));
    expect(api.woken).toContain('storage/home');
    expect((await observe(caches)).claimUsers).toEqual({});
  });
});

test('looks for objects only in the namespaces that it is told, and for nodes and volumes in the cluster', async () => {
  api = new Api();
  api.namespaces = ['storage'];
  api.objects['pods'] = [podOn('node-1')];
  const caches = await api.start();
  const { pods, pair: found } = await observe(caches);
  expect([pods.length, found?.metadata.name]).toEqual([1, 'home']);
  expect([...caches.keys()]).toEqual(['storage/home']);
  const clusterWide =
    /^\/apis?\/(.*\/)?v1(beta1)?\/(namespaces|filerpairclasses|nodes|persistentvolumes|csidrivers|csinodes|volumeattachments|customresourcedefinitions)(\/|$)/;
  const elsewhere = api.asked.filter(
    (path) => !path.includes('/namespaces/storage/') && !clusterWide.test(path),
  );
  expect(elsewhere).toEqual([]);
  expect(api.asked.some((path) => path.endsWith('/namespaces/storage/pods'))).toBe(true);
});

test('tells whether a Secret that the spec names is offered to the pair', async () => {
  api = new Api();
  const offered = { 'filerpair.dev/offered-to': 'home' };
  const elsewhere = { 'filerpair.dev/offered-to': 'other' };
  api.secrets = { ours: offered, theirs: elsewhere, token: elsewhere };
  const servers = ['ours', 'theirs', 'none'].map((name) => ({
    name,
    interconnectCertificateRef: { name },
  }));
  const spec = { servers, monitoring: { tokenSecretRef: { name: 'token' } } };
  api.objects['filerpairs'] = [{ ...pair, spec } as KubernetesObject];
  const { credentials } = await observe(await api.start());
  expect(credentials.offered).toEqual({
    ours: 'offered',
    theirs: 'not offered',
    none: 'absent',
    token: 'not offered',
  });
});

test('a pod of the disks that has lost its labels is found by its name, while a Lease names one that nobody has seen', async () => {
  api = new Api();
  const labels = { 'filerpair.dev/pair': 'home' };
  const withServer = { ...pair, spec: { servers: [{ name: 'a', volumes: [] }] } };
  api.objects['filerpairs'] = [withServer as KubernetesObject];
  api.objects['nodes'] = [node('node-1', 'True', 1)];
  api.objects['pods'] = [podOn('node-1')];
  const lease = (disks: string): KubernetesObject => ({
    metadata: {
      name: 'home.a',
      namespace: 'storage',
      uid: 'lease-1',
      resourceVersion: disks,
      labels,
      annotations: { 'filerpair.dev/disks': disks },
    },
  });
  api.objects['leases'] = [lease('pod-9')];
  const name = attachmentPodName('home', 'a', 'node-1');
  const lost = {
    metadata: { name, namespace: 'storage', uid: 'pod-9', resourceVersion: '1' },
    spec: { nodeName: 'node-1' },
  };
  api.podsWithoutLabels.set(name, lost as KubernetesObject);
  const caches = await api.start();
  const seen = async () => (await observe(caches)).pods.map(({ metadata }) => metadata.uid);
  expect(await seen()).toEqual(['pod-1', 'pod-9']);
  await api.changes('leases', 'MODIFIED', lease('pod-1'));
  expect(await seen(), 'nothing is asked for while all that Leases name is seen').toEqual(['pod-1']);
});

test('a node that has let go of a volume wakes the pairs that have pods there', async () => {
  api = new Api();
  const holding = (version: number, volumesInUse: readonly string[]): KubernetesObject => {
    const object = node('node-1', 'True', version) as KubernetesObject & { readonly status: object };
    return { ...object, status: { ...object.status, volumesInUse } } as KubernetesObject;
  };
  const volume = 'kubernetes.io/csi/attaches^vol-1';
  api.objects['filerpairs'] = [pair];
  api.objects['nodes'] = [holding(1, [volume, 'kubernetes.io/nfs/of-others'])];
  api.objects['pods'] = [podOn('node-1')];
  const caches = await api.start();
  const inUse = async () => (await observe(caches)).nodes['node-1']?.status?.volumesInUse;
  expect(await inUse()).toEqual([volume]);
  api.woken.length = 0;
  await api.changes('nodes', 'MODIFIED', holding(2, []));
  expect(await inUse()).toBeUndefined();
  expect(api.woken).toEqual(['storage/home']);
});

test('a node that takes another number of volumes wakes the pairs that have pods there, and no other', async () => {
  api = new Api();
  const csiNode = (version: number, count: number, annotations = {}): KubernetesObject =>
    ({
      metadata: { name: 'node-1', resourceVersion: String(version), annotations },
      spec: { drivers: [{ name: 'disks.csi.example.org', nodeID: 'i-1', allocatable: { count } }] },
    }) as KubernetesObject;
  api.objects['filerpairs'] = [
    { ...pair, spec: { servers: [], storage: { type: 'Reattach' } } } as KubernetesObject,
  ];
  api.objects['nodes'] = [node('node-1', 'True', 1)];
  api.objects['pods'] = [podOn('node-1')];
  api.objects['csinodes'] = [csiNode(1, 25)];
  const caches = await api.start();
  const slots = async () => (await observe(caches)).volumeSlots['node-1'];
  expect(await slots()).toEqual({ 'disks.csi.example.org': 25 });
  api.woken.length = 0;
  await api.changes('csinodes', 'MODIFIED', csiNode(2, 1));
  expect(await slots()).toEqual({ 'disks.csi.example.org': 1 });
  expect(api.woken).toEqual(['storage/home']);
});

test('the class of a pair is the one that it names, else the default one, and a change of a class wakes all', async () => {
  api = new Api();
  const classOf = (name: string, isDefault: boolean, resourceVersion = '1') =>
    ({
      metadata: {
        name,
        resourceVersion,
        annotations: isDefault ? { 'filerpair.dev/is-default-class': 'true' } : {},
      },
      spec: { allowedNamespaces: { from: 'All' }, images: { server: `${name}:1` } },
    }) as unknown as KubernetesObject;
  api.objects['filerpairs'] = [pair as unknown as KubernetesObject];
  api.objects['filerpairclasses'] = [classOf('bronze', false), classOf('silver', true)];
  api.objects['namespaces'] = [
    { metadata: { name: 'storage', resourceVersion: '1', labels: { tier: 'gold' } } } as KubernetesObject,
  ];
  const caches = await api.start();
  const classNow = async () => {
    const { pairClass } = await observe(caches);
    return pairClass === null || pairClass === 'absent' ? pairClass : pairClass.metadata.name;
  };
  expect(await classNow()).toBe('silver');
  expect((await observe(caches)).namespaceLabels).toEqual({ tier: 'gold' });
  const named = { ...pair, spec: { ...pair.spec, className: 'bronze' } };
  expect(caches.imageOfClass(named as never)).toBe('bronze:1');
  expect(caches.imageOfClass({ ...named, spec: { ...named.spec, className: 'gone' } } as never)).toBeNull();
  api.woken.length = 0;
  await api.changes('filerpairclasses', 'MODIFIED', classOf('silver', false, '2'));
  expect(await classNow()).toBeNull();
  expect(api.woken).toContain('storage/home');
});

test('a FilerShare wakes the pair that it names, also one that there is not, and not by what servers say of it', async () => {
  api = new Api();
  const lastTransitionTime = '2026-11-23T12:00:00Z';
  const said = (type: string, status: string, reason: string) => ({
    type,
    status,
    reason,
    message: 'a sentence',
    lastTransitionTime,
  });
  const share = (version: number, ...conditions: readonly object[]) =>
    ({
      metadata: { name: 'home', namespace: 'storage', uid: 'share-1', resourceVersion: String(version) },
      spec: { pairRef: { name: 'gone' }, server: 'a', volume: 'data', clients: ['10.0.0.0/8', '::/0'] },
      status: { conditions },
    }) as unknown as KubernetesObject;
  api.objects['filerpairs'] = [pair as unknown as KubernetesObject];
  api.objects['filershares'] = [share(1, said('Ready', 'Unknown', 'Pending'))];
  const caches = await api.start();
  expect([...caches.keys()].toSorted()).toEqual(['storage/gone', 'storage/home']);
  const [seen] = (await caches.observe('storage', 'gone', [])).filerShares;
  expect(seen).toEqual({
    metadata: { name: 'home', namespace: 'storage', uid: 'share-1', resourceVersion: '1' },
    spec: { pairRef: { name: 'gone' }, server: 'a', volume: 'data' },
    forEverybody: true,
    status: { conditions: [{ type: 'Ready', status: 'Unknown', reason: 'Pending', lastTransitionTime }] },
  });
  const { keep, concerning } = watchedKinds.filerShares;
  const concern = (...conditions: readonly object[]) => concerning(keep(share(1, ...conditions) as never));
  const pending = concern(said('Ready', 'Unknown', 'Pending'));
  expect(concern(said('Ready', 'True', 'Served'))).toEqual(pending);
  expect(concern(said('Accepted', 'True', 'Accepted'), said('Ready', 'False', 'DirectoryAbsent'))).toEqual(
    pending,
  );
  for (const one of [
    said('Accepted', 'False', 'VolumeNotFound'),
    said('DirectoryDeleted', 'True', 'Deleted'),
  ])
    expect(concern(one)).not.toEqual(pending);
  api.woken.length = 0;
  await api.changes('filershares', 'MODIFIED', share(2, said('DirectoryDeleted', 'True', 'Deleted')));
  expect(new Set(api.woken)).toEqual(new Set(['storage/gone']));
});
