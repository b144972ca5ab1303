// The four conditions: each finding once, and the order of each chain.

import { globSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import { spec, startedAt, World } from '../plan/world.fixture.ts';
import { conditions } from './conditions.ts';
import { degraded } from './degraded.ts';
import { progressing } from './progressing.ts';
import { ready } from './ready.ts';
import { rollout } from './rollout.ts';
import { takeoverPossible } from './takeover-possible.ts';

const longAgo = startedAt - 3_600_000;
const adopting = {
  ...spec,
  servers: [{ ...spec.servers[0]!, volumes: [{ name: 'data', existingClaim: 'old' }] }, spec.servers[1]!],
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
    if (lease.metadata.name !== `home-${home}`) return lease;
    const { holderIdentity: _, ...fields } = lease.spec!;
    return { ...lease, spec: fields };
  });
};

describe('Ready', () => {
  test.each<[reason: string, says: string, make: () => World]>([
    ['Serving', 'filer-a serves its own disk set (epoch 1)', () => World.running()],
    [
      'Starting',
      'Nobody has served the disk set of filer-a yet; filer-a has no pod yet.',
      () => new World().withLeases(),
    ],
    ['LeaseNotSeen', 'has not been seen yet', () => new World()],
    [
      'Opening',
      'filer-b owns the disk set of filer-a (epoch 2) and has not opened it yet.',
      () => {
        const world = World.running();
        world.runs('filer-b', false);
        world.changeLease('filer-a', { holderIdentity: world.incarnation('filer-b'), leaseTransitions: 2 });
        return world;
      },
    ],
    [
      'HandingOver',
      'The disk set of filer-a is being handed over to filer-b (epoch 1).',
      () => {
        const world = World.running();
        release(world, 'filer-a', 'filer-b');
        return world;
      },
    ],
    [
      'NobodyServes',
      'it was released to filer-b at epoch 1 and not claimed yet',
      () => {
        const world = World.running();
        crash(world, 'filer-b');
        release(world, 'filer-a', 'filer-b');
        return world;
      },
    ],
    [
      'VolumeBehind',
      'filer-b could not open the disk set of filer-a (epoch 2): volume data: /volumes/filer-a/data holds no FilerPair volume.',
      () => {
        const world = World.running();
        world.runs('filer-b', false);
        const message = 'volume data: /volumes/filer-a/data holds no FilerPair volume';
        const failure = { server: 'filer-b', epoch: 2, reason: 'VolumeBehind', message };
        world.changeLease(
          'filer-a',
          { holderIdentity: world.incarnation('filer-b'), leaseTransitions: 2 },
          { [leaseAnnotations.openFailure]: JSON.stringify(failure) },
        );
        return world;
      },
    ],
    [
      'VolumesAhead',
      'annotate filerpair home filerpair.dev/giveback=filer-a filerpair.dev/force=true filerpair.dev/reason=',
      () => {
        const world = World.running();
        release(world, 'filer-a', 'filer-b');
        const found = { epoch: 7, message: 'volume data is owned by filer-b/p/1 in epoch 7' };
        world.changeLease('filer-a', {}, { [leaseAnnotations.volumesAhead]: JSON.stringify(found) });
        return world;
      },
    ],
    [
      'OwnerDead',
      'filer-a owns the disk set of filer-a and is dead',
      () => {
        const world = World.running();
        const message = world.incarnation('filer-a');
        world.container('filer-a', { terminated: { exitCode: 137, message, containerID: 'containerd://1' } });
        return world;
      },
    ],
    [
      'LeaseLost',
      'Lease home-filer-a is gone while pods of the pair exist',
      () => {
        const world = World.running();
        world.remove('leases', 'home-filer-a');
        return world;
      },
    ],
    [
      'ClaimMissing',
      'existingClaim names PersistentVolumeClaim old, which does not exist in namespace storage',
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
      'node node-1, where it runs, does not report: whether it serves is not known. Its partner does not take over by itself (spec.failover.mode is Manual). To have it take over: kubectl -n storage annotate filerpair home filerpair.dev/takeover=filer-a',
      () => {
        const world = World.running({ ...spec, failover: { mode: 'Manual' } });
        world.node('node-1', 'Unknown', longAgo);
        return world;
      },
    ],
    [
      'OwnerUnreachable',
      'Its partner does not take over by itself (filer-b does not run).',
      () => {
        const world = World.running();
        world.node('node-1', 'Unknown', longAgo);
        world.node('node-2', 'Unknown', longAgo);
        return world;
      },
    ],
    [
      'OwnerGone',
      'filer-a owns the disk set of filer-a (epoch 1), and the pod in which it did is gone. Its partner takes over when the lease has expired.',
      () => {
        const world = World.running();
        world.remove('pods', world.pod('filer-a').metadata.name ?? '');
        return world;
      },
    ],
    [
      'NameTaken',
      'Service filer-a exists',
      () => {
        const world = World.running();
        world.observed.problems = [{ reason: 'NameTaken', message: 'Service filer-a exists.' }];
        return world;
      },
    ],
  ])('%s: %s', (reason, says, make) => {
    const verdict = ready(make().view());
    expect(verdict.reason).toBe(reason);
    expect(verdict.message).toContain(says);
    expect(verdict.status).toBe(
      reason === 'Serving'
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
    world.annotatePair({ 'filerpair.dev/maintenance': 'new switches' });
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
    release(world, 'filer-a', 'filer-b');
    expect(ready(world.view()).reason).toBe('HandingOver');
    world.remove('leases', 'home-filer-b');
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
    crash(world, 'filer-b');
    expect(verdict(world)).toMatchObject({ status: 'False', reason: 'PartnerNotRunning' });
    expect(verdict(world).message).toContain(
      'filer-b could not take over the disk set of filer-a: pod home-filer-b-',
    );
    world.remove('pods', world.pod('filer-b').metadata.name!);
    expect(verdict(world)).toMatchObject({ status: 'False', reason: 'PartnerHasNoPod' });
  });

  test('Unknown while an owner renews its Lease by itself, since it does not hear the other', () => {
    const world = World.running();
    world.changeLease('filer-a', {}, { [leaseAnnotations.acknowledger]: null });
    expect(verdict(world)).toMatchObject({ status: 'Unknown', reason: 'NotPaired' });
    expect(verdict(world).message).toContain('interconnect port 7420');
  });

  test('order: no pod, not running, not paired; a False about one disk set outweighs an Unknown about the other', () => {
    const world = World.running();
    world.changeLease('filer-b', {}, { [leaseAnnotations.acknowledger]: null });
    expect(verdict(world).reason).toBe('NotPaired');
    crash(world, 'filer-b');
    expect(verdict(world).reason).toBe('PartnerNotRunning');
  });

  test('False, in its own words, when the server that would have to do it says that it could not', () => {
    const world = World.running();
    const says = (server: string, name: string) =>
      world.changeLease(
        'filer-a',
        {},
        {
          [leaseAnnotations.takeoverCheck]: JSON.stringify({
            server,
            possible: false,
            missing: [{ name, message: 'volume data cannot be read: EIO' }],
          }),
        },
      );
    says('filer-b', 'VolumesUnreadable');
    expect(verdict(world)).toEqual({
      status: 'False',
      reason: 'VolumesUnreadable',
      message: 'filer-b could not take over the disk set of filer-a: volume data cannot be read: EIO.',
    });
    // Its word from when it was the other way round, and what the Lease itself tells better.
    says('filer-a', 'VolumesUnreadable');
    expect(verdict(world).status).toBe('True');
    says('filer-b', 'NotAcknowledger');
    expect(verdict(world).status).toBe('True');
  });

  test('False in mode Manual, which does not keep a rollout from asking', () => {
    const world = World.running({ ...spec, failover: { mode: 'Manual' } });
    expect(verdict(world)).toMatchObject({ status: 'False', reason: 'ManualMode' });
    world.changeSpec({ ports: { metrics: 9191 } });
    expect(rollout(world.view())?.state).toBe('TakingOver');
  });

  test('says how long silence is waited for, and when nothing but a clock keeps a paused machine from writing', () => {
    const { message } = verdict(World.running());
    expect(message).toContain('after 2.66 s of silence');
    expect(message).toContain("don't pause its machine");
    const sameNode = World.running({ ...spec, storage: { lateWrites: 'SameNode' } });
    expect(verdict(sameNode).message).not.toContain('pause');
  });

  test('after a takeover it is asked of the other direction', () => {
    const world = World.running();
    world.claims('filer-b', 'filer-a', 2);
    expect(verdict(world).message).toContain(
      'If filer-b died, filer-a would take over the disk set of filer-a',
    );
  });
});

describe('Degraded', () => {
  const verdict = (world: World) => degraded(world.view());

  test('False when both run with their own disk sets', () => {
    expect(verdict(World.running())).toMatchObject({ status: 'False', reason: 'Whole' });
  });

  test('True when one node would take both servers with it, unless that is what was asked for', () => {
    for (const [lateWrites, reason] of [
      ['Coherent', 'SameNode'],
      ['SameNode', 'Whole'],
    ] as const) {
      const world = World.running({ ...spec, storage: { lateWrites } });
      const pod = world.pod('filer-b');
      world.changePod(pod, { spec: { ...pod.spec, nodeName: 'node-1' } });
      expect(verdict(world).reason).toBe(reason);
    }
  });

  test('order: failed over, same node, server down, holder unreachable, everything unreachable', () => {
    const troubled = World.running();
    const errors = { server: 'filer-a', epoch: 1, message: 'volume data: read failed with EIO (once)' };
    const annotations = { [leaseAnnotations.volumeErrors]: JSON.stringify(errors) };
    troubled.changeLease('filer-a', {}, annotations);
    expect(verdict(troubled)).toMatchObject({ status: 'True', reason: 'VolumeErrors' });
    expect(verdict(troubled).message).toContain('volume data: read failed with EIO (once)');
    const back = {
      server: 'filer-b',
      epoch: 1,
      message: 'the witness names nobody at epoch 0, but has named filer-a/a/1',
    };
    troubled.changeLease('filer-a', {}, { [leaseAnnotations.witnessWentBack]: JSON.stringify(back) });
    expect(verdict(troubled)).toMatchObject({ status: 'True', reason: 'WitnessWentBack' });
    expect(verdict(troubled).message).toContain(back.message);
    const absent = { server: 'filer-a', epoch: 1, message: 'export "/team" is not served: it is missing' };
    troubled.changeLease(
      'filer-a',
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
    troubled.claims('filer-b', 'filer-a', 2);
    expect(verdict(troubled).reason).toBe('AwayFromHome');
    const away = World.running();
    away.claims('filer-b', 'filer-a', 2);
    expect(verdict(away)).toMatchObject({ status: 'True', reason: 'AwayFromHome' });
    expect(verdict(away).message).toContain('annotate filerpair home filerpair.dev/giveback=filer-a');
    const pod = away.pod('filer-b');
    away.changePod(pod, { spec: { ...pod.spec, nodeName: 'node-1' } });
    expect(verdict(away).reason).toBe('SameNode');
    crash(away, 'filer-a');
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
    world.runs('filer-b', false);
    expect(verdict(world)).toMatchObject({ status: 'True', reason: 'PodsStarting' });
    world.changeSpec({ image: 'filerpair/fileserver:0.2.0' });
    expect(verdict(world)).toMatchObject({ status: 'True', reason: 'RollingOut' });
    world.annotatePair({ 'filerpair.dev/takeover': 'filer-a' });
    expect(verdict(world).reason).toBe('RequestUnderWay');
    const pair = world.observed.pair!;
    world.observed.pair = {
      ...pair,
      metadata: { ...pair.metadata, deletionTimestamp: '2026-11-23T12:00:00Z' },
    };
    expect(verdict(world)).toMatchObject({
      reason: 'Deleting',
      message: `The pair is being deleted and waits for the end of pod ${world.pod('filer-a').metadata.name} on node node-1 and pod ${world.pod('filer-b').metadata.name} on node node-2.`,
    });
  });
});

describe('docs/operator.md', () => {
  const root = new URL('../../', import.meta.url);
  const page = readFileSync(new URL('docs/operator.md', root), 'utf8');
  const documented = [...page.matchAll(/^\*\*(\w+)\*\*[\s\S]*?(?=\n\n(?:\*\*\w+\*\*|## ))/gm)].map(
    ([section, type]) => ({ type, reasons: reasonsIn(section) }),
  );

  function reasonsIn(section: string): string[] {
    const cells = [...section.matchAll(/^\| (`[^|]*) \| (?:True|False|Unknown) \|/gm)].map(
      ([, cell]) => cell!,
    );
    return cells.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, reason]) => reason!));
  }

  test('has a table for each condition, in the order of the registry', () => {
    expect(documented.filter(({ reasons }) => reasons.length > 0).map(({ type }) => type)).toEqual(
      conditions.map(({ type }) => type),
    );
  });

  test('says what each reason means, and no reason that nothing gives', () => {
    const known = new Set(documented.flatMap(({ reasons }) => reasons));
    const sources = globSync('{operator,fileserver,pair}/**/*.ts', {
      cwd: root,
      exclude: (name) => /\.(test|fixture)\.ts$/.test(name),
    }).map((file) => readFileSync(new URL(file, root), 'utf8'));
    const given = sources.flatMap((text) =>
      [...text.matchAll(/\bis(?:True|False|Unknown)\(\s*'(\w+)'/g)].map(([, reason]) => reason!),
    );
    expect([...new Set(given)].filter((reason) => !known.has(reason))).toEqual([]);
    const everything = sources.join('\n');
    expect(
      [...known].filter((reason) => !new RegExp(`['"\`]${reason}['"\`]|\\b${reason}: `).test(everything)),
    ).toEqual([]);
  });
});
