/** The conditions: each finding once, and the order of each chain. */

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import { asksFor } from '../plan/operations.fixture.ts';
import { spec, startedAt, World } from '../plan/world.fixture.ts';
import { degraded } from './degraded.ts';
import { progressing } from './progressing.ts';
import { ready } from './ready.ts';
import { rollout } from './rollout.ts';
import { takeoverPossible } from './takeover-possible.ts';

const longAgo = startedAt - 3_600_000;
const adopting = {
  ...spec,
  servers: [
    { ...spec.servers[0]!, volumes: [{ name: 'data', claimRef: { name: 'old' } }] },
    spec.servers[1]!,
  ],
};
const adopted = {
  metadata: {
    name: 'old',
    namespace: 'storage',
    uid: 'old',
    labels: { 'filerpair.dev/offered-to': 'home' },
  },
  status: { phase: 'Bound' as const },
};
const crash = (world: World, server: string): void =>
  world.container(server, { waiting: { reason: 'CrashLoopBackOff' } }, { terminated: { exitCode: 1 } });
const release = (world: World, home: string, to: string | null): void => {
  world.changeLease(home, {}, { [leaseAnnotations.releasedTo]: to });
  world.observed.leases = world.observed.leases.map((lease) => {
    if (lease.metadata.name !== `home.${home}`) return lease;
    const { holderIdentity: _, ...fields } = lease.spec!;
    return { ...lease, spec: fields };
  });
};

test('a server whose pod stays Pending is told so once: since when does not change with each reconcile', () => {
  const world = new World();
  world.settle();
  expect(world.observed.pair!.status!.servers![0]!.conditions![0]).toMatchObject({
    type: 'Running',
    status: 'False',
    reason: 'Pending',
  });
  world.now += 15_000;
  expect(world.plan()).toMatchObject({ actions: [], status: null });
});

describe('Ready', () => {
  test.each<[reason: string, says: string, make: () => World]>([
    ['Serving', 'a serves its own disk set (epoch 1)', () => World.running()],
    [
      'Starting',
      'Nobody has served the disk set of a yet; a has no pod yet.',
      () => new World().withLeases(),
    ],
    ['LeaseNotSeen', 'has not been seen yet', () => new World()],
    [
      'Opening',
      'b owns the disk set of a (epoch 2) and has not opened it yet.',
      () => {
        const world = World.running();
        world.runs('b', false);
        world.changeLease('a', { holderIdentity: world.incarnation('b'), leaseTransitions: 2 });
        return world;
      },
    ],
    [
      'HandingOver',
      'The disk set of a is being handed over to b (epoch 1).',
      () => {
        const world = World.running();
        release(world, 'a', 'b');
        return world;
      },
    ],
    [
      'NobodyServes',
      'it was released to b at epoch 1 and not claimed yet',
      () => {
        const world = World.running();
        crash(world, 'b');
        release(world, 'a', 'b');
        return world;
      },
    ],
    [
      'VolumeBehind',
      'b could not open the disk set of a (epoch 2): volume data: /volumes/a/data holds no FilerPair volume.',
      () => {
        const world = World.running();
        world.runs('b', false);
        const message = 'volume data: /volumes/a/data holds no FilerPair volume';
        const failure = { server: 'b', epoch: 2, reason: 'VolumeBehind', message };
        world.changeLease(
          'a',
          { holderIdentity: world.incarnation('b'), leaseTransitions: 2 },
          { [leaseAnnotations.openFailure]: JSON.stringify(failure) },
        );
        return world;
      },
    ],
    [
      'VolumesAhead',
      'kubectl filerpair -n storage giveback a home --force none --reason',
      () => {
        const world = World.running();
        release(world, 'a', 'b');
        const found = { epoch: 7, message: 'b/p/1 owns volume data in epoch 7' };
        world.changeLease('a', {}, { [leaseAnnotations.volumesAhead]: JSON.stringify(found) });
        return world;
      },
    ],
    [
      'OwnerDead',
      'a owns the disk set of a and is dead',
      () => {
        const world = World.running();
        const message = world.incarnation('a');
        world.container('a', { terminated: { exitCode: 137, message, containerID: 'containerd://1' } });
        return world;
      },
    ],
    [
      'LeaseLost',
      'Lease home.a is gone while pods of the pair exist',
      () => {
        const world = World.running();
        world.remove('leases', 'home.a');
        return world;
      },
    ],
    [
      'ClaimMissing',
      'claimRef names PersistentVolumeClaim old, which does not exist in namespace storage',
      () => new World(adopting).withClaim('old', 'absent'),
    ],
    ['ClaimUnknown', 'did not say whether', () => new World(adopting).withClaim('old', 'unknown')],
    [
      'ClaimLost',
      'has lost its PersistentVolume',
      () => new World(adopting).withClaim('old', { ...adopted, status: { phase: 'Lost' } }),
    ],
    [
      'OwnerUnreachable',
      'node node-1, where it runs, does not report: whether it serves is not known. Its partner does not take over by itself (spec.failover.mode is Manual). To have it take over: kubectl filerpair -n storage takeover a home',
      () => {
        const world = World.running({ ...spec, failover: { mode: 'Manual' } });
        world.node('node-1', 'Unknown', longAgo);
        return world;
      },
    ],
    [
      'OwnerUnreachable',
      'Its partner does not take over by itself (b does not run).',
      () => {
        const world = World.running();
        world.node('node-1', 'Unknown', longAgo);
        world.node('node-2', 'Unknown', longAgo);
        return world;
      },
    ],
    [
      'OwnerGone',
      'a owns the disk set of a (epoch 1), and the pod in which it did is gone. Its partner takes over when the lease has expired.',
      () => {
        const world = World.running();
        world.remove('pods', world.pod('a').metadata.name ?? '');
        return world;
      },
    ],
    [
      'NameTaken',
      'Service home-a exists',
      () => {
        const world = World.running();
        world.observed.problems = [{ reason: 'NameTaken', message: 'Service home-a exists.' }];
        return world;
      },
    ],
  ])('%s: %s', (reason, says, make) => {
    const verdict = ready(make().view());
    expect(verdict.reason).toBe(reason);
    expect(verdict.message).toContain(says);
    expect(verdict.status).toBe(
      reason === 'Serving' || reason === 'HandingOver'
        ? 'True'
        : ['LeaseNotSeen', 'ClaimUnknown', 'OwnerUnreachable'].includes(reason)
          ? 'Unknown'
          : 'False',
    );
  });

  test('stays True on a silent node while the partner proves that the owner lives, or the kubelet speaks', () => {
    const world = World.running();
    world.node('node-1', 'Unknown', longAgo);
    expect(ready(world.view()).reason).toBe('Serving');
    expect(degraded(world.view()).message).toContain('so it is alive and is left alone');
    world.changeSpec({ maintenance: { reason: 'new switches', automaticMoves: 'Paused' } });
    world.settle();
    expect(ready(world.view()).reason).toBe('OwnerUnreachable');
    expect(degraded(world.view()).message).toContain('whether it is alive is not known');
    world.node('node-1', 'False', longAgo);
    expect(ready(world.view()).reason).toBe('Serving');
  });

  test('of a pair whose nodes are both dead is what the shipped alert asks for', () => {
    const world = World.running();
    world.node('node-1', 'Unknown', longAgo);
    world.node('node-2', 'Unknown', longAgo);
    world.settle();
    const alerts = readFileSync(new URL('../../helm/filerpair/files/alerts.yaml', import.meta.url), 'utf8');
    const asked = /filerpair_condition\{type="Ready",status!="(\w+)"\}/.exec(alerts)?.[1];
    const { status } = world.observed.pair!.status!.conditions!.find(({ type }) => type === 'Ready')!;
    expect(asked).toBe('True');
    expect(status).not.toBe(asked);
  });

  test('order: what stops the operator, what is missing, what the disk sets do', () => {
    const world = World.running(adopting, { old: adopted });
    expect(ready(world.view()).reason).toBe('Serving');
    release(world, 'a', 'b');
    expect(ready(world.view()).reason).toBe('HandingOver');
    world.remove('leases', 'home.b');
    expect(ready(world.view()).reason).toBe('LeaseLost');
    world.withClaim('old', 'absent');
    expect(ready(world.view()).reason).toBe('ClaimMissing');
    world.observed.problems = [{ reason: 'Forbidden', message: 'no' }];
    expect(ready(world.view()).reason).toBe('Forbidden');
  });
});

describe('TakeoverPossible', () => {
  const verdict = (world: World) => takeoverPossible(world.view());

  test('True when both run and hear each other', () => {
    expect(verdict(World.running())).toMatchObject({ status: 'True', reason: 'PartnersReady' });
  });

  test('False, with the reason, when one could not take over', () => {
    const world = World.running();
    crash(world, 'b');
    expect(verdict(world)).toMatchObject({ status: 'False', reason: 'PartnerNotRunning' });
    expect(verdict(world).message).toContain('b could not take over the disk set of a: pod home-b-');
    world.remove('pods', world.pod('b').metadata.name!);
    expect(verdict(world)).toMatchObject({ status: 'False', reason: 'PartnerHasNoPod' });
  });

  test('Unknown while an owner renews its Lease by itself, since it does not hear the other', () => {
    const world = World.running();
    world.changeLease('a', {}, { [leaseAnnotations.acknowledger]: null });
    expect(verdict(world)).toMatchObject({ status: 'Unknown', reason: 'NotPaired' });
    expect(verdict(world).message).toContain('interconnect port 7420');
  });

  test('order: no pod, not running, not paired; a False about one disk set outweighs an Unknown about the other', () => {
    const world = World.running();
    world.changeLease('b', {}, { [leaseAnnotations.acknowledger]: null });
    expect(verdict(world).reason).toBe('NotPaired');
    crash(world, 'b');
    expect(verdict(world).reason).toBe('PartnerNotRunning');
  });

  test('False, in its own words, when the server that would have to do it says that it could not', () => {
    const world = World.running();
    const says = (server: string, name: string) =>
      world.changeLease(
        'a',
        {},
        {
          [leaseAnnotations.takeoverCheck]: JSON.stringify({
            server,
            possible: false,
            missing: [{ name, message: 'volume data cannot be read: EIO' }],
          }),
        },
      );
    says('b', 'VolumesUnreadable');
    expect(verdict(world)).toEqual({
      status: 'False',
      reason: 'VolumesUnreadable',
      message: 'b could not take over the disk set of a: volume data cannot be read: EIO.',
    });
    // Its word from when it was the other way round, and what the Lease itself tells better.
    says('a', 'VolumesUnreadable');
    expect(verdict(world).status).toBe('True');
    says('b', 'NotAcknowledger');
    expect(verdict(world).status).toBe('True');
  });

  test('False in mode Manual, which does not keep a rollout from asking', () => {
    const world = World.running({ ...spec, failover: { mode: 'Manual' } });
    expect(verdict(world)).toMatchObject({ status: 'False', reason: 'ManualMode' });
    world.changeSpec({ monitoring: { port: 9191 } });
    expect(rollout(world.view())?.state).toBe('TakingOver');
  });

  test('says how long silence is waited for, and when nothing but a clock keeps a paused machine from writing', () => {
    const { message } = verdict(World.running());
    expect(message).toContain('after 2.66 s of silence');
    expect(message).toContain("don't pause its machine");
    const sameNode = World.running({ ...spec, storage: { type: 'SameNode' } });
    expect(verdict(sameNode).message).not.toContain('pause');
  });

  test('after a takeover it is asked of the other direction', () => {
    const world = World.running();
    world.claims('b', 'a', 2);
    expect(verdict(world).message).toContain('If b died, a would take over the disk set of a');
  });
});

describe('Degraded', () => {
  const verdict = (world: World) => degraded(world.view());

  test('False when both run with their own disk sets', () => {
    expect(verdict(World.running())).toMatchObject({ status: 'False', reason: 'Whole' });
  });

  test('True when one node would take both servers with it, unless that is what was asked for', () => {
    for (const [type, reason] of [
      ['SharedCoherent', 'SameNode'],
      ['SameNode', 'Whole'],
    ] as const) {
      const world = World.running({ ...spec, storage: { type } });
      const pod = world.pod('b');
      world.changePod(pod, { spec: { ...pod.spec, nodeName: 'node-1' } });
      expect(verdict(world).reason).toBe(reason);
    }
  });

  test('order: same node, server down, holder unreachable, everything unreachable', () => {
    const troubled = World.running();
    const errors = { server: 'a', epoch: 1, message: 'volume data: read failed with EIO (once)' };
    const annotations = { [leaseAnnotations.volumeErrors]: JSON.stringify(errors) };
    troubled.changeLease('a', {}, annotations);
    expect(verdict(troubled)).toMatchObject({ status: 'True', reason: 'VolumeErrors' });
    expect(verdict(troubled).message).toContain('volume data: read failed with EIO (once)');
    const back = {
      server: 'b',
      epoch: 1,
      message: 'the witness names nobody at epoch 0, but has named a/a/1',
    };
    troubled.changeLease('a', {}, { [leaseAnnotations.witnessWentBack]: JSON.stringify(back) });
    expect(verdict(troubled)).toMatchObject({ status: 'True', reason: 'WitnessWentBack' });
    expect(verdict(troubled).message).toContain(back.message);
    const absent = { server: 'a', epoch: 1, message: 'export "/team" is not served: it is missing' };
    troubled.changeLease(
      'a',
      {},
      {
        [leaseAnnotations.witnessWentBack]: JSON.stringify({ ...back, epoch: 0 }),
        [leaseAnnotations.volumeErrors]: null,
        [leaseAnnotations.absentExports]: JSON.stringify(absent),
      },
    );
    expect(verdict(troubled)).toMatchObject({ status: 'True', reason: 'ExportAbsent' });
    expect(verdict(troubled).message).toContain('export "/team" is not served');
    // The next owner has its own word.
    troubled.claims('b', 'a', 2);
    expect(verdict(troubled).reason).toBe('Whole');
    const away = World.running();
    away.claims('b', 'a', 2);
    expect(verdict(away)).toMatchObject({ status: 'False', reason: 'Whole' });
    const pod = away.pod('b');
    away.changePod(pod, { spec: { ...pod.spec, nodeName: 'node-1' } });
    expect(verdict(away).reason).toBe('SameNode');
    crash(away, 'a');
    expect(verdict(away).reason).toBe('ServerDown');
    const cut = World.running();
    cut.node('node-1', 'Unknown', longAgo);
    expect(verdict(cut).reason).toBe('NodeUnreachable');
    cut.node('node-2', 'Unknown', longAgo);
    expect(verdict(cut).reason).toBe('NodesUnreachable');
  });
});

describe('Progressing', () => {
  const verdict = (world: World) => progressing(world.view());

  test('False when everything is as it should be', () => {
    expect(verdict(World.running())).toMatchObject({ status: 'False', reason: 'Settled' });
  });

  test('order: pods that start, a change that is rolled out, a request under way, a deletion', () => {
    const world = World.running();
    world.runs('b', false);
    expect(verdict(world)).toMatchObject({ status: 'True', reason: 'PodsStarting' });
    world.changeImage('filerpair/fileserver:0.2.0');
    expect(verdict(world)).toMatchObject({ status: 'True', reason: 'RollingOut' });
    asksFor(world, 'takeover', 'a');
    expect(verdict(world).reason).toBe('OperationUnderWay');
    const pair = world.observed.pair!;
    world.observed.pair = {
      ...pair,
      metadata: { ...pair.metadata, deletionTimestamp: '2026-11-23T12:00:00Z' },
    };
    expect(verdict(world)).toMatchObject({
      reason: 'Deleting',
      message: `The pair is being deleted and waits for the end of pod ${world.pod('a').metadata.name} on node node-1 and pod ${world.pod('b').metadata.name} on node node-2.`,
    });
  });
});
