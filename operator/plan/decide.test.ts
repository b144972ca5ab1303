/** decide() as a whole: from a new pair through its failures, each time the whole plan. */

import { describe, expect, test } from 'vitest';
import { leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import type { Action } from '../model/action.ts';
import type { Claim } from '../model/objects.ts';
import { ask } from './operations.fixture.ts';
import { claimTemplate, spec, startedAt, World } from './world.fixture.ts';

/** One line an action: enough to see what happens, in order. */
const lines = (actions: readonly Action[]): string[] =>
  actions.map((action) => {
    const { kind, resource, why } = action;
    return `${kind} ${resource} ${'object' in action ? action.object.metadata.name : action.name}: ${why}`;
  });

describe('the keys that sign file handles', () => {
  const made = (handleKeys: 'there' | 'absent' | 'unknown'): string[] => {
    const world = new World();
    world.observed.credentials = { ...world.observed.credentials, handleKeys };
    return world
      .plan()
      .actions.filter(({ kind, resource }) => kind === 'createSecret' && resource === 'secrets')
      .map((action) => (action.kind === 'createSecret' ? (action.object.metadata.name ?? '') : ''));
  };

  test('are made once, and never where nobody knows whether they are there', () => {
    expect(made('absent')).toContain('home-handle-keys');
    expect(made('there')).not.toContain('home-handle-keys');
    expect(made('unknown')).not.toContain('home-handle-keys');
  });

  test('stay when the FilerPair is deleted, like its claims: they belong to nobody', () => {
    const { actions } = new World().plan();
    const keys = actions.find(
      (action) => action.kind === 'createSecret' && action.object.metadata.name === 'home-handle-keys',
    );
    expect(keys).toMatchObject({ object: { metadata: { labels: { 'filerpair.dev/pair': 'home' } } } });
    expect(keys).not.toHaveProperty('object.metadata.ownerReferences');
  });
});

const nothingToDo = {
  actions: [],
  status: null,
  events: [],
  rollout: null,
  transitions: [],
  lookups: [],
  wakeAt: null,
};

describe('a new pair', () => {
  test('gets everything in the order in which one thing needs another; the objects are in the golden file', async () => {
    const world = new World();
    const plan = world.plan();
    for (const action of plan.actions) world.carryOut(action);
    const next = world.plan();
    await expect(`${JSON.stringify([plan, next], null, 2)}\n`).toMatchFileSnapshot('golden/new-pair.json');
    expect(
      lines(plan.actions).map((line) => line.split(':')[0]?.replace(/(configMaps .*)-[0-9a-v]{8}$/, '$1-*')),
    ).toEqual([
      'patch filerPairs home',
      'create filerDiskSets home.a',
      'create filerDiskSets home.b',
      'apply serviceAccounts home-a',
      'apply roles home-a',
      'apply roleBindings home-a',
      'apply serviceAccounts home-b',
      'apply roles home-b',
      'apply roleBindings home-b',
      'createSecret secrets home-handle-keys',
      'makeAuthority secrets home-interconnect-ca',
      'issueCertificate secrets home-a-tls',
      'issueCertificate secrets home-b-tls',
      'apply configMaps home-a-*',
      'apply configMaps home-b-*',
      'apply services home-a',
      'apply services home-a-failover',
      'apply services home-a-interconnect',
      'apply services home-b',
      'apply services home-b-failover',
      'apply services home-b-interconnect',
      'apply endpointSlices home-a-failover',
      'apply endpointSlices home-b-failover',
      'apply podDisruptionBudgets home',
      'apply networkPolicies home-servers',
      'apply networkPolicies home-others',
    ]);
    // What the records know is seen first.
    expect(
      lines(next.actions)
        .filter((line) => line.includes('Claims') || line.includes('leases'))
        .map((line) => line.split(':')[0]),
    ).toEqual([
      'apply persistentVolumeClaims home.a.data',
      'apply persistentVolumeClaims home.b.data',
      'create leases home.a',
      'create leases home.b',
    ]);
  });

  test('gets pods once both Leases are there, and not before', async () => {
    const world = new World();
    const pods = world.settle().filter(({ resource }) => resource === 'pods');
    expect(lines(pods).map((line) => line.replace(/-[0-9a-v]{5}:/, '-*:'))).toEqual([
      'create pods home-a-*: a has no pod',
      'create pods home-b-*: b has no pod',
    ]);
    await expect(`${JSON.stringify(pods, null, 2)}\n`).toMatchFileSnapshot('golden/new-pods.json');
  });

  test('whose spec no longer passes the rules is left as it is, and told why', () => {
    const world = World.running();
    world.observed.pair = {
      ...world.observed.pair!,
      spec: { ...spec, failover: { leaseDuration: '10s', guardDuration: '500ms' } },
    };
    const plan = world.plan();
    expect(plan.actions).toEqual([]);
    expect(plan.status?.conditions?.[0]).toMatchObject({
      type: 'Ready',
      status: 'False',
      reason: 'InvalidSpec',
    });
    expect(plan.status?.conditions?.[0]?.message).toContain(
      'spec.failover.guardDuration: guardDuration must be at least',
    );
  });
});

describe('a running pair', () => {
  test('leaves nothing to do: no writes in the steady state', () => {
    const world = World.running();
    expect(world.plan()).toEqual(nothingToDo);
    world.now += 3_600_000;
    expect(world.plan()).toEqual(nothingToDo);
  });

  test('and a solo owner that renews its Lease changes nothing either', () => {
    const world = World.running();
    world.changeLease(
      'a',
      { renewTime: '2026-11-23T12:30:00.000000Z' },
      { [leaseAnnotations.renewal]: '17' },
    );
    expect(world.plan()).toEqual(nothingToDo);
  });

  test('says in its status who serves what', async () => {
    const { status } = World.running().observed.pair!;
    await expect(`${JSON.stringify(status, null, 2)}\n`).toMatchFileSnapshot('golden/running-status.json');
  });

  test('an object that was deleted or edited by hand comes back', () => {
    const world = World.running();
    world.remove('services', 'home-b');
    world.observed.services = world.observed.services.map((service) =>
      service.metadata.name === 'home-a'
        ? { ...service, spec: { ...service.spec, selector: { app: 'mine' } } }
        : service,
    );
    expect(lines(world.plan().actions)).toEqual([
      'apply services home-a: it was edited by hand',
      'apply services home-b: it is missing',
    ]);
  });

  const owned = [
    'services',
    'endpointSlices',
    'configMaps',
    'serviceAccounts',
    'roles',
    'roleBindings',
    'podDisruptionBudgets',
    'networkPolicies',
  ] as const;

  test.each(owned)(
    'every one of its %s comes back when it is deleted, or loses its labels and owner',
    (kind) => {
      const before = World.running();
      const objects: readonly KubernetesObject[] = before.observed[kind];
      expect(objects.length).toBeGreaterThan(0);
      for (const object of objects) {
        const world = World.running();
        const { name, uid } = object.metadata;
        const list = (): readonly KubernetesObject[] => world.observed[kind];
        const found = () => list().find(({ metadata }) => metadata.name === name);
        world.observed[kind] = list().filter((one) => one.metadata.name !== name) as never;
        world.settle();
        const again = found();
        expect({ ...again, metadata: without(again?.metadata) }).toEqual({
          ...object,
          metadata: without(object.metadata),
        });
        world.observed[kind] = list().map((one) =>
          one.metadata.name === name ? { ...one, metadata: { name, uid } } : one,
        ) as never;
        expect(lines(world.settle()).length).toBeGreaterThan(0);
        expect(found()?.metadata).toMatchObject({
          labels: object.metadata.labels,
          ownerReferences: object.metadata.ownerReferences,
        });
      }
    },
  );

  test('a Lease gets labels, finalizer and owner back, and nothing else of it is touched', () => {
    const world = World.running();
    const { name, uid, annotations } = world.lease('a').metadata;
    world.changeLease('a', {});
    world.observed.leases = world.observed.leases.map((lease) =>
      lease.metadata.name === name ? { ...lease, metadata: { name, uid, annotations } } : lease,
    ) as never;
    const before = world.lease('a');
    expect(lines(world.settle())).toEqual(['patch leases home.a: it was edited by hand']);
    expect(world.lease('a').metadata).toMatchObject({
      labels: { 'filerpair.dev/pair': 'home', 'filerpair.dev/disk-set': 'a' },
      finalizers: ['filerpair.dev/in-use'],
      ownerReferences: [{ uid: 'pair-1' }],
      annotations,
    });
    expect(world.lease('a').spec).toEqual(before.spec);
  });

  test('a pod that lost its labels is known by its name and gets them back; no second one is made', () => {
    const world = World.running();
    const pod = world.pod('a');
    const { labels: _, ...metadata } = pod.metadata;
    world.changePod(pod, { metadata });
    expect(lines(world.settle())).toEqual([`patch pods ${pod.metadata.name}: it was edited by hand`]);
    expect(world.pod('a').metadata.labels).toEqual(pod.metadata.labels);
  });

  test('a claim that had data and was deleted is not made anew, empty, unless an operation asks for it', () => {
    const world = World.running();
    const name = 'home.a.data';
    world.withClaim(name, { ...(world.observed.claims[name] as Claim), status: { phase: 'Bound' } });
    world.settle();
    world.withClaim(name, 'absent');
    expect(lines(world.settle())).toEqual([]);
    const [ready] = world.observed.pair!.status!.conditions!;
    expect([ready?.status, ready?.reason]).toEqual(['False', 'ClaimDeleted']);
    ask(world, 'again', {
      type: 'RecreateClaim',
      recreateClaim: { server: 'a', volume: 'data', lostClaimUID: `uid-${name}` },
    });
    expect(lines(world.settle())).toContain(`apply persistentVolumeClaims ${name}: it is missing`);
    world.withClaim(name, { ...(world.observed.claims[name] as Claim), status: { phase: 'Bound' } });
    world.settle();
    world.withClaim(name, 'absent');
    expect(
      lines(world.settle()).filter((line) => line.includes('Claims')),
      'it holds for one loss',
    ).toEqual([]);
    expect(world.condition('Ready')).toMatchObject({ reason: 'ClaimDeleted' });
  });

  test('names are published as soon as ExternalDNS is installed, and withdrawn when the spec says so', () => {
    const world = World.running({ ...spec, names: { domain: 'nas.example.org' } });
    expect(world.plan().actions).toEqual([]);
    world.observed.dnsEndpointsServed = true;
    const [action] = world.settle();
    expect(action).toMatchObject({
      kind: 'apply',
      resource: 'dnsEndpoints',
      object: {
        spec: {
          endpoints: ['home-a', 'home-a-failover', 'home-b', 'home-b-failover'].map((name) => ({
            dnsName: `${name}.nas.example.org`,
            recordTTL: 30,
            recordType: 'A',
            targets: ['10.96.0.1'],
          })),
        },
      },
    });
    world.observed.pair = {
      ...world.observed.pair!,
      spec: { ...spec, names: { domain: 'nas.example.org', publisher: 'None' as const } },
    };
    expect(lines(world.plan().actions)).toContain(
      'delete dnsEndpoints home: the spec publishes no names in this way',
    );
  });
});

describe('a takeover', () => {
  // a's process was killed; its sentinel told b, which has claimed and opened everything by itself.
  const takenOver = (): World => {
    const world = World.running();
    world.container('a', { waiting: { reason: 'CrashLoopBackOff' } }, terminated(world.incarnation('a')));
    world.claims('b', 'a', 2);
    world.gate('a', 2, true, '10.0.0.2');
    return world;
  };

  test('leads to the record and the labels of the claims, nothing else: the servers have done the rest', () => {
    expect(lines(takenOver().plan().actions)).toEqual([
      'patch filerDiskSets home.a: its disk set is at epoch 2',
      'applyStatus filerDiskSets home.a: its disk set has changed',
      'patch persistentVolumeClaims home.a.data: b owns it at epoch 2',
    ]);
  });

  test('has the same words in status and events', async () => {
    const { status, events } = takenOver().plan();
    await expect(`${JSON.stringify({ status, events }, null, 2)}\n`).toMatchFileSnapshot(
      'golden/takeover-status.json',
    );
  });

  test('whose endpoint the server could not open: the operator completes it', () => {
    const world = takenOver();
    world.gate('a', 1, false, '10.0.0.2');
    const slices = world.settle().filter(({ resource }) => resource === 'endpointSlices');
    expect(lines(slices)).toEqual([
      'apply endpointSlices home-a-failover: b serves the disk set of a on its secondary port (epoch 2)',
    ]);
  });

  test('that the operator sees on the endpoint before it sees the Lease is not undone', () => {
    const world = World.running();
    world.gate('a', 2, true, '10.0.0.2');
    expect(world.plan().actions).toEqual([]);
  });
});

describe('a dead server whose sentinel could not speak', () => {
  test('is proven dead on the Lease that it holds, first of all, and before what other pairs have to do', () => {
    const world = World.running();
    world.container('a', terminated(world.incarnation('a')));
    const [action] = world.plan().actions;
    expect(action).toMatchObject({
      kind: 'patch',
      resource: 'leases',
      name: 'home.a',
      urgent: true,
      patch: { metadata: { resourceVersion: world.lease('a').metadata.resourceVersion } },
    });
    const { metadata } = (action as { patch: unknown }).patch as {
      metadata: { annotations: Record<string, string> };
    };
    expect(JSON.parse(metadata.annotations[leaseAnnotations.deathProof]!)).toEqual({
      incarnation: world.incarnation('a'),
      epoch: 1,
      evidence: `operator: container server of pod ${world.pod('a').metadata.name} has terminated (OOMKilled, exit code 137)`,
    });
    world.settle();
    expect(world.plan().actions).toEqual([]);
  });
});

describe('a pod that is deleted', () => {
  test('is replaced at once; the Services follow when its server has given up the disk set', () => {
    const world = World.running();
    const old = world.pod('a');
    world.changePod(old, { metadata: { ...old.metadata, deletionTimestamp: '2026-11-23T12:00:05Z' } });
    world.now += 5000;
    const [created, ...more] = world.settle();
    expect([created?.kind, created?.resource, more]).toEqual(['create', 'pods', []]);
    const young = world.pod('a');
    expect(young.metadata.name).not.toBe(old.metadata.name);
    expect(young.metadata.labels?.['filerpair.dev/current']).toBe('false');
    // Handed over to the partner.
    world.changeLease('a', {
      holderIdentity: `b/${world.pod('b').metadata.uid}/run-1`,
      leaseTransitions: 2,
    });
    const moved = lines(world.settle()).filter((line) => line.startsWith('patch pods'));
    expect(moved).toEqual([
      `patch pods ${old.metadata.name}: the Services of a lead to another pod`,
      `patch pods ${young.metadata.name}: the Services of a lead to it`,
    ]);
  });

  test('deciding twice before the new pod is seen makes the same pod, not a second one', () => {
    const world = World.running();
    world.remove('pods', world.pod('a').metadata.name!);
    const names = [world.plan(), world.plan()].map(
      ({ actions }) => actions.flatMap((one) => (one.kind === 'create' ? [one.object.metadata.name] : []))[0],
    );
    expect(names[0]).toBeDefined();
    expect(names[0]).toBe(names[1]);
  });
});

describe('an operation', () => {
  test('goes to the Lease, waits, and ends with the answer of the server', () => {
    const world = World.running();
    ask(world, 'move', { type: 'Takeover', reason: 'new disks', takeover: { server: 'a' } });
    expect(lines(world.settle()).slice(0, 3)).toEqual([
      'patch filerDiskSets home.a: what is known has changed',
      'confirmUnended filerPairOperations move: it must not have ended meanwhile',
      'patch leases home.a: a takeover was asked for (new disks)',
    ]);
    const request = JSON.parse(world.lease('a').metadata.annotations![leaseAnnotations.request]!) as {
      id: string;
    };
    expect(request.id).toMatch(/^operation-/);
    world.claims('b', 'a', 2);
    const answer = { id: request.id, result: 'done', message: 'b serves it.' };
    world.changeLease('a', {}, { [leaseAnnotations.requestResult]: JSON.stringify(answer) });
    world.settle();
    const [operation] = world.observed.filerPairOperations;
    expect(operation!.status?.conditions?.find(({ type }) => type === 'Complete')).toMatchObject({
      status: 'True',
      message: 'b serves it.',
    });
    expect(world.lease('a').metadata.annotations).not.toHaveProperty([leaseAnnotations.request]);
    expect(world.plan()).toMatchObject({ actions: [], status: null });
  });
});

describe('maintenance', () => {
  const told = (world: World) =>
    ['a', 'b'].map((home) => world.lease(home).metadata.annotations?.[leaseAnnotations.maintenance]);

  test('is told to the servers, stays until it is taken off, and goes without a trace', () => {
    const world = World.running();
    const whys = () => new Set(world.settle().flatMap((one) => (one.resource === 'leases' ? [one.why] : [])));
    world.changeSpec({ maintenance: { reason: 'new disks', automaticMoves: 'Paused' } });
    expect(whys()).toEqual(new Set(['maintenance: spec.maintenance: new disks']));
    expect(told(world)).toEqual(['spec.maintenance: new disks', 'spec.maintenance: new disks']);
    expect(world.condition('Maintenance')).toMatchObject({ status: 'True', reason: 'MovesPaused' });
    expect(world.condition('TakeoverPossible')).toMatchObject({
      status: 'False',
      reason: 'Maintenance',
    });
    world.changeSpec({ maintenance: undefined });
    expect(whys()).toEqual(new Set(['maintenance has ended']));
    expect(told(world)).toEqual([undefined, undefined]);
    expect(world.condition('Maintenance')).toMatchObject({ status: 'False', reason: 'NoMaintenance' });
    expect(world.plan()).toMatchObject({ actions: [], status: null });
  });

  test('that a server was told at its own control socket is left alone', () => {
    const world = World.running();
    world.changeLease('a', {}, { [leaseAnnotations.maintenance]: 'by hand' });
    world.settle();
    expect(told(world)).toEqual(['by hand', undefined]);
  });
});

describe('a deleted pair', () => {
  const deletedByUser = (): World => {
    const world = World.running();
    const pair = world.observed.pair!;
    world.observed.pair = {
      ...pair,
      metadata: { ...pair.metadata, deletionTimestamp: '2026-11-23T12:10:00Z' },
    };
    return world;
  };
  const gone = (world: World): string[] => {
    world.observed.pods = [];
    return lines(world.settle());
  };

  test('keeps its claims, also adopted ones, unless the spec says Delete of those that were made for it', () => {
    const volumes = [
      { name: 'data', claimTemplate, whenDeleted: 'Delete' as const },
      { name: 'old', claimRef: { name: 'mine' } },
    ];
    const [a, b] = [{ name: 'a' }, { name: 'b' }];
    const labels = { 'filerpair.dev/offered-to': 'home' };
    const mine = { metadata: { name: 'mine', namespace: 'storage', uid: 'uid-mine', labels } };
    const world = World.running({ ...spec, servers: [{ ...a, volumes }, b] }, { mine });
    const pair = world.observed.pair!;
    world.observed.pair = {
      ...pair,
      metadata: { ...pair.metadata, deletionTimestamp: '2026-11-23T12:10:00Z' },
    };
    // As long as a pod is left, nothing is done about data.
    expect(lines(world.plan().actions).filter((line) => line.includes('Claims'))).toEqual([]);
    const done = gone(world);
    expect(done.filter((line) => line.startsWith('delete'))).toEqual([
      'delete persistentVolumeClaims home.a.data: the pair is deleted, and its spec says whenDeleted: Delete',
    ]);
    // The claim is being deleted, which takes time; the FilerPair waits, and says for what.
    expect(world.observed.pair!.metadata.finalizers).toEqual(['filerpair.dev/clean-up']);
    const progressing = world.observed.pair!.status?.conditions?.find(({ type }) => type === 'Progressing');
    expect(progressing?.message).toContain('claim home.a.data');
    const { 'home.a.data': _, ...left } = world.observed.claims;
    world.observed.claims = left;
    expect(lines(world.settle())[0]).toBe('patch filerPairs home: its servers have ended');
  });

  const deleted = (): World => {
    const world = World.running();
    world.claims('b', 'a', 2);
    world.observed.pair = null;
    world.observed.leases = world.observed.leases.map((lease) => ({
      ...lease,
      metadata: { ...lease.metadata, deletionTimestamp: '2026-11-23T12:10:00Z' },
    }));
    return world;
  };

  test('first ends its servers, while they still have everything that they need to release their disk sets', () => {
    const world = deletedByUser();
    expect(lines(world.plan().actions)).toEqual([
      `delete pods ${world.pod('a').metadata.name}: the FilerPair is being deleted`,
      `delete pods ${world.pod('b').metadata.name}: the FilerPair is being deleted`,
    ]);
    for (const action of world.plan().actions) if (action.kind === 'delete') world.markDeleted(action.uid);
    expect(world.plan().actions).toEqual([]);
    expect(world.plan().status?.conditions?.find(({ type }) => type === 'Progressing')?.reason).toBe(
      'Deleting',
    );
    world.observed.pods = [];
    expect(lines(world.plan().actions)).toEqual([
      'patch persistentVolumeClaims home.a.data: the pair is gone',
      'patch persistentVolumeClaims home.b.data: the pair is gone',
    ]);
    const [, , last] = world.settle();
    expect(last).toMatchObject({ kind: 'patch', resource: 'filerPairs', why: 'its servers have ended' });
  });

  test('keeps its Leases as long as a pod is left', () => {
    expect(deleted().plan().actions).toEqual([]);
  });

  test('then writes the last epoch onto the claims, which stay, and lets the Leases go', () => {
    const world = deleted();
    world.observed.pods = [];
    expect(lines(world.plan().actions)).toEqual([
      'patch persistentVolumeClaims home.a.data: the pair is gone',
      'patch persistentVolumeClaims home.b.data: the pair is gone',
      'patch leases home.a: no pod of the pair is left, and its claims remember the epoch',
      'patch leases home.b: no pod of the pair is left, and its claims remember the epoch',
    ]);
  });

  test('and a new pair on the same claims goes on from there', () => {
    const old = deleted();
    old.observed.pods = [];
    old.settle();
    const world = new World();
    world.observed.claims = old.observed.claims;
    world.settle();
    expect(world.lease('a').spec?.leaseTransitions).toBe(2);
    expect(world.lease('b').spec?.leaseTransitions).toBe(1);
  });
});

test('time alone wakes it when a node has been away for a while', () => {
  const world = World.running();
  world.node('node-1', 'Unknown', startedAt);
  world.now = startedAt + 10_000;
  expect(world.plan().wakeAt).toBe(startedAt + 30_000);
});

/** What the API server decides. */
function without(metadata: KubernetesObject['metadata'] | undefined): unknown {
  const { resourceVersion: _, uid: __, ...rest } = metadata ?? {};
  return rest;
}

function terminated(incarnation: string) {
  return {
    terminated: {
      exitCode: 137,
      reason: 'OOMKilled',
      message: `${incarnation}\n`,
      containerID: 'containerd://1',
    },
  };
}
