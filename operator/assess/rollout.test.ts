/**
 * Changes of the spec, rolled out: step by step, held up by everything that can be wrong, and in a small living cluster in
 * which everybody moves in any order and anything is interrupted.
 */

import { describe, expect, test } from 'vitest';
import { labels, leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import { serverPod } from '../desired/pod.ts';
import type { Action } from '../model/action.ts';
import { TEMPLATE_ANNOTATION } from '../model/names.ts';
import { noOtherPairs } from '../model/observed.ts';
import { ClusterModel, partnerOf, servers } from '../plan/cluster-model.fixture.ts';
import { asksFor } from '../plan/operations.fixture.ts';
import { spec, World } from '../plan/world.fixture.ts';
import { rollout } from './rollout.ts';
import { fitTogether } from './unsafe-change.ts';

const NEW_IMAGE = 'filerpair/fileserver:0.2.0';

/** One line an action of the rollout. */
const lines = (actions: readonly Action[]): string[] =>
  actions
    .filter(({ resource }) => resource === 'pods' || resource === 'leases')
    .map((action) => {
      const name = 'object' in action ? action.object.metadata.name : action.name;
      return `${action.kind} ${action.resource} ${name}: ${action.why}`;
    });

/** The server that was asked hands over, and the other one answers. */
function servedBy(world: World, server: string, home: string): void {
  const request = JSON.parse(world.lease(home).metadata.annotations?.[leaseAnnotations.request] ?? '{}') as {
    id: string;
  };
  const epoch = (world.lease(home).spec?.leaseTransitions ?? 0) + 1;
  world.claims(server, home, epoch);
  const answer = { id: request.id, result: 'done', message: `${server} owns ${home}` };
  world.changeLease(home, {}, { [leaseAnnotations.requestResult]: JSON.stringify(answer) });
}

const ended = (world: World, name: string): void => world.remove('pods', name);

const changed = (): World => {
  const world = World.running();
  world.observed.others = { ...noOtherPairs, count: 1, imagesStarted: [NEW_IMAGE] };
  world.changeImage(NEW_IMAGE);
  return world;
};

describe('a new image', () => {
  test('comes to one server after the other, each through takeover, replacement and giveback', async () => {
    const world = changed();
    const story: string[] = [];
    const settle = (title: string) => {
      story.push(`${title}:`, ...lines(world.settle()).map((line) => `  ${line}`));
      const { rollout: found, conditions } = world.observed.pair!.status!;
      const progressing = conditions?.find(({ type }) => type === 'Progressing');
      story.push(`  = ${progressing?.reason} ${found?.step ?? ''}: ${progressing?.message}`);
    };
    settle('the spec has changed');
    for (const server of servers) {
      const partner = partnerOf(server);
      const old = world.pod(server).metadata.name!;
      servedBy(world, partner, server);
      settle(`${partner} has taken over`);
      ended(world, old);
      settle('the old pod has ended');
      world.runs(server);
      settle('the new pod runs');
      // The acknowledger that the Leases name is the pod that has gone.
      world.changeLease(partner, {}, { [leaseAnnotations.acknowledger]: world.incarnation(server) });
      world.changeLease(server, {}, { [leaseAnnotations.acknowledger]: world.incarnation(server) });
      settle('both are paired again');
      servedBy(world, server, server);
      settle(`${server} has its disk set back`);
    }
    await expect(
      `${story.join('\n').replaceAll(/(home-[ab])-[0-9a-v]{5}\b/g, '$1-*')}\n`,
    ).toMatchFileSnapshot('golden/rollout.txt');
    expect(world.observed.pair!.status?.rollout).toBeUndefined();
  });

  test('is told to have arrived', () => {
    const world = World.running();
    world.writeStatus({
      ...world.observed.pair!.status!,
      rollout: { step: 'GivingBack', message: '', sinceTime: '' },
    });
    expect(world.plan().events.map(({ reason }) => reason)).toEqual(['RolledOut']);
  });
});

describe('a rollout holds', () => {
  const held = (world: World) => {
    const found = rollout(world.view());
    expect(found?.step).toBeNull();
    return `${found?.state}: ${found?.message}`;
  };

  test('while it is paused', () => {
    const world = World.running();
    world.changeSpec({ rollout: { paused: true } });
    world.changeImage(NEW_IMAGE);
    expect(held(world)).toBe('Paused: spec.rollout.paused is true. a and b still run as before the change.');
  });

  test('while an administrator has asked for something', () => {
    const world = changed();
    asksFor(world, 'takeover', 'b');
    expect(held(world)).toContain('Waiting: Waits for the takeover of the disk set of b');
  });

  test('while a takeover would not work, also where it is not known', () => {
    const world = changed();
    world.changeLease('b', {}, { [leaseAnnotations.acknowledger]: null });
    expect(held(world)).toContain('Waiting: No server is touched now: b renews the Lease of b by itself');
  });

  test('for a moment before it gives back to a server that has just started', () => {
    const world = changed();
    world.settle();
    const old = world.pod('a').metadata.name!;
    servedBy(world, 'b', 'a');
    world.settle();
    ended(world, old);
    world.settle();
    world.runs('a');
    for (const home of servers)
      world.changeLease(home, {}, { [leaseAnnotations.acknowledger]: world.incarnation('a') });
    const pod = world.pod('a');
    const readyAt = (at: number) =>
      world.changePod(world.pod('a'), {
        status: {
          ...pod.status,
          conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: new Date(at).toISOString() }],
        },
      });
    readyAt(world.now - 1000);
    expect(rollout(world.view())).toMatchObject({
      state: 'GivingBack',
      step: null,
      wakeAt: world.now + 3000,
    });
    readyAt(world.now - 4000);
    expect(rollout(world.view())?.step).toMatchObject({ kind: 'move', request: { kind: 'giveback' } });
    // A kubelet whose clock is ahead holds up nothing.
    readyAt(world.now + 3_600_000);
    expect(rollout(world.view())?.step).toMatchObject({ kind: 'move', request: { kind: 'giveback' } });
  });

  test('while a server does not run', () => {
    const world = changed();
    world.runs('b', false);
    expect(held(world)).toContain('Replacing: Waits until b runs again');
  });

  test('while the other disk set is away', () => {
    const world = World.running();
    world.claims('a', 'b', 2);
    // b is up to date, so only a, which owns everything, is left.
    world.changeSpec({
      servers: [
        { ...spec.servers[0]!, podTemplate: { spec: { priorityClassName: 'high' } } },
        spec.servers[1]!,
      ],
    });
    expect(held(world)).toContain(
      'Waiting: Waits until the disk set of b is on its home server again: a serves it',
    );
  });

  test('before it replaces the pod of a server that owns nothing, until its partner serves everything', () => {
    const world = changed();
    const partner = world.incarnation('a');
    // Released and claimed, but not open yet.
    world.changeLease('b', { holderIdentity: '' }, { [leaseAnnotations.releasedTo]: 'a' });
    expect(held(world)).toBe(
      'Waiting: Waits until a serves both disk sets, before the pod of b is replaced.',
    );
    world.changeLease('b', { holderIdentity: partner, leaseTransitions: 2 });
    world.runs('a', false);
    expect(held(world)).toContain('Waiting: Waits until a serves both disk sets');
  });

  test('but goes on with a server that owns nothing while its partner serves everything', () => {
    const world = changed();
    world.claims('a', 'b', 2);
    expect(rollout(world.view())).toMatchObject({
      state: 'Replacing',
      server: 'b',
      step: { kind: 'replace' },
    });
  });

  test('and asks again after a refusal, not at once, and under another name', () => {
    const world = changed();
    world.settle();
    const result = { id: 'rollout-takeover-1-1', result: 'refused', message: 'no steady connection.' };
    world.changeLease('a', {}, { [leaseAnnotations.requestResult]: JSON.stringify(result) });
    expect(held(world)).toBe(
      'Retrying: The takeover of the disk set of a was refused: no steady connection. It is asked for again.',
    );
    world.settle();
    world.now += 9000;
    expect(held(world)).toContain('Retrying');
    expect(world.plan().wakeAt).toBe(world.now + 1000);
    world.now += 1000;
    expect(rollout(world.view())?.step).toMatchObject({ request: { id: 'rollout-takeover-1-2' } });
  });

  test('where no node has the labels that the new pod asks for', () => {
    const world = World.running();
    const podTemplate = { spec: { nodeSelector: { disk: 'fast' } } };
    world.changeSpec({ servers: [{ name: 'a', podTemplate }, { name: 'b' }] });
    expect(held(world)).toContain('Blocked: No node that takes pods has the labels');
    const node = world.observed.nodes['node-2']!;
    world.observed.nodes = {
      ...world.observed.nodes,
      'node-2': { ...node, metadata: { ...node.metadata, labels: { disk: 'fast' } } },
    };
    expect(rollout(world.view())?.state).toBe('TakingOver');
  });

  test('where the API server would refuse the new pod; the servers serve, and Ready says so', () => {
    const world = changed();
    world.observed.problems = [{ reason: 'Forbidden', message: 'exceeded quota.', concerns: 'rollout' }];
    const { status } = world.plan();
    const reasonOf = (type: string) => status?.conditions?.find((one) => one.type === type)?.reason;
    expect([reasonOf('Ready'), reasonOf('Progressing')]).toEqual(['Serving', 'RolloutBlocked']);
    expect(status?.rollout).toMatchObject({ step: 'Blocked', message: 'exceeded quota.' });
    // It asks again: only the answer ends the problem.
    expect(lines(world.plan().actions)[0]).toContain('check pods');
  });

  test('where old and new lease times would let two servers write at once', () => {
    const world = World.running();
    world.changeSpec({ failover: { leaseDuration: '4s' } });
    expect(held(world)).toContain(
      'Blocked: failover.leaseDuration 4s and guardDuration 500ms do not fit pod',
    );
    world.changeSpec({ failover: { leaseDuration: '2100ms' } });
    expect(rollout(world.view())?.state).toBe('TakingOver');
  });

  test('not where both servers say on their Leases how long a claim has to wait', () => {
    const world = World.running();
    world.changeSpec({ failover: { leaseDuration: '20s', guardDuration: '2s' } });
    world.changeLease('a', {}, { [leaseAnnotations.claimAfter]: '2500' });
    expect(held(world)).toContain('Blocked: failover.leaseDuration 20s');
    world.changeLease('b', {}, { [leaseAnnotations.claimAfter]: '2500' });
    expect(rollout(world.view())?.state).toBe('TakingOver');
  });

  test('where it cannot find out with which lease times a pod runs', () => {
    const world = World.running();
    world.observed.configMaps = [];
    world.changeImage(NEW_IMAGE);
    expect(held(world)).toContain('Blocked: Cannot tell');
  });
});

describe('lease times', () => {
  test.each([
    [2000, 500, 2000, 500, true],
    [2000, 500, 2140, 500, true],
    [2000, 500, 2150, 500, false],
    [2000, 500, 4000, 500, false],
    [2000, 500, 1700, 500, false],
    [2000, 800, 2000, 500, true],
    [2000, 810, 2000, 500, false],
    [2000, 2000, 2000, 500, false],
  ])('%i + %i and %i + %i ms: a mixture is safe: %s', (aLease, aGuard, bLease, bGuard, safe) => {
    const a = { leaseMs: aLease, guardMs: aGuard };
    const b = { leaseMs: bLease, guardMs: bGuard };
    expect(fitTogether(a, b)).toBe(safe);
    expect(fitTogether(b, a)).toBe(safe);
  });
});

describe('a spec that cannot work', () => {
  test('is replaced where no pod of it serves, although both servers are down', () => {
    const world = World.running();
    for (const server of servers) {
      const terminated = {
        exitCode: 2,
        message: `${world.incarnation(server)}\n`,
        containerID: 'containerd://1',
      };
      world.container(server, { waiting: { reason: 'CrashLoopBackOff' } }, { terminated });
    }
    world.changeImage(NEW_IMAGE);
    const replaced = lines(world.settle()).filter((line) => line.startsWith('delete pods'));
    expect(replaced).toHaveLength(2);
  });
});

/** What the spec is changed to, and what it may be changed to while that is under way. */
const changes: readonly ((model: ClusterModel) => void)[] = [
  ({ world }) => world.changeImage(NEW_IMAGE),
  ({ world }) => world.changeImage('filerpair/fileserver:0.3.0'),
  ({ world }) =>
    world.changeSpec({
      listeners: [{ name: 'nfs', port: 3049, failoverPort: 3050 }],
      interconnect: { port: 7421 },
      monitoring: { port: 9091 },
    }),
  ({ world }) => world.changeSpec({ failover: { leaseDuration: '2100ms', heartbeatPeriod: '100ms' } }),
  ({ world }) =>
    world.changeSpec({
      podTemplate: { spec: { containers: [{ name: 'server', resources: { requests: { cpu: '1' } } }] } },
    }),
];

const faults: readonly ((model: ClusterModel) => void)[] = [
  (model) => model.crash(model.pick(servers)),
  (model) => model.operatorRestarts(),
  (model) => model.pick(changes)(model),
  ({ world }) => world.changeSpec({ rollout: { paused: true } }),
  ({ world }) => world.changeSpec({ rollout: { paused: false } }),
  (model) => {
    model.trace.push('an administrator asks');
    const kind = model.pick(['takeover', 'giveback'] as const);
    asksFor(model.world, kind, model.pick(servers), `asked-${model.trace.length}`);
  },
  (model) => {
    const pod = model.alive(model.pick(servers));
    model.trace.push(`an administrator deletes ${pod?.metadata.name}`);
    if (pod !== undefined) model.world.markDeleted(pod.metadata.uid!);
  },
];

function play(seed: number, faultRate: number): ClusterModel {
  const model = new ClusterModel(seed);
  model.pick(changes)(model);
  let faultsLeft = faultRate === 0 ? 0 : 12;
  model.onAction = (action) => {
    if (action.kind === 'delete' && action.resource === 'pods' && faultRate === 0) judgeDelete(model, action);
  };
  for (let steps = 0; steps < 3000; steps++) {
    if (faultsLeft > 0 && model.chance(faultRate)) {
      faultsLeft--;
      model.pick(faults)(model);
    }
    if (!model.step()) {
      if (faultsLeft === 0) return model;
      faultsLeft = 0;
    }
    if (faultRate === 0) judgeWorld(model);
  }
  throw new Error(`seed ${seed} does not come to rest:\n${model.trace.slice(-60).join('\n')}`);
}

/** The pod owns nothing, and its partner's process has both disk sets. */
function judgeDelete(model: ClusterModel, action: Action & { kind: 'delete' }): void {
  const doomed = model.world.observed.pods.find(({ metadata }) => metadata.uid === action.uid);
  if (doomed?.metadata.labels?.[labels.imageTrial] !== undefined) return;
  const server = doomed?.metadata.labels?.['filerpair.dev/server'] ?? '';
  const partner = model.alive(partnerOf(server));
  const owners = servers.map((home) => model.holder(home)?.split('/')[1]);
  const fine = partner !== undefined && owners.every((uid) => uid === partner.metadata.uid);
  if (!fine)
    throw new Error(`pod ${action.name} was deleted while it was needed:\n${model.trace.join('\n')}`);
}

/** Never both servers down; a disk set without an owner is on its way to a server that is there. */
function judgeWorld(model: ClusterModel): void {
  const alive = servers.filter((server) => model.alive(server) !== undefined);
  const lost = servers.filter((home) => {
    const to = model.world.lease(home).metadata.annotations?.[leaseAnnotations.releasedTo];
    return model.holder(home) === null && (to === undefined || model.alive(to) === undefined);
  });
  if (alive.length === 0 || lost.length > 0)
    throw new Error(`${alive.length} servers run, ${lost.join()} unserved:\n${model.trace.join('\n')}`);
}

/** Everything is as the spec wants it, each disk set on its home server unless an administrator wanted otherwise, and nothing is left to do. */
function expectRolledOut(model: ClusterModel): void {
  const view = model.world.view();
  const trace = () => model.trace.slice(-80).join('\n');
  for (const server of view.servers) {
    const [pod, ...more] = server.pods;
    expect(more, trace()).toEqual([]);
    expect(pod?.pod.metadata.annotations?.[TEMPLATE_ANNOTATION], trace()).toBe(
      serverPod(view, server).template,
    );
  }
  expect(model.world.plan(), trace()).toMatchObject({ actions: [], status: null });
}

describe('in a cluster in which everybody moves in any order', () => {
  test('both servers come to run as the spec wants, never both are down, no disk set is left alone', () => {
    for (let seed = 1; seed <= 15; seed++) {
      const model = play(seed, 0);
      expectRolledOut(model);
      for (const home of servers)
        expect(model.holder(home)?.split('/')[0], model.trace.join('\n')).toBe(home);
    }
  }, 120_000);

  test('whatever interrupts it, it comes to its end once people leave it alone', () => {
    for (let seed = 1; seed <= 15; seed++) {
      const model = play(seed, 0.1);
      model.world.changeSpec({ rollout: { paused: false } });
      for (let round = 0; round < 40; round++) {
        for (let steps = 0; steps < 3000 && model.step(); steps++);
        const away = servers.find((home) => !model.holder(home)?.startsWith(`${home}/`));
        if (away === undefined) break;
        // What an administrator would do, and what the message says.
        asksFor(model.world, 'giveback', away, `asked-${model.trace.length}`);
      }
      expectRolledOut(model);
    }
  }, 120_000);
});
