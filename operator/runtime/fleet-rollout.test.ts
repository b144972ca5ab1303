/** A new image of the operator comes to many pairs: decide() for each of them, and one wave that they share. */

import { describe, expect, test } from 'vitest';
import { labels, leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import { renderingOf } from '../desired/rendering.ts';
import type { RolloutNote } from '../model/action.ts';
import type { FilerPairClassObject, Pod } from '../model/objects.ts';
import type { OperatorSettings } from '../model/observed.ts';
import { decide } from '../plan/decide.ts';
import { running } from '../plan/reattach-world.fixture.ts';
import { settings, World } from '../plan/world.fixture.ts';
import { FleetRollout } from './fleet-rollout.ts';

const next = { ...settings, fileserverImage: 'filerpair/fileserver:0.2.0' };

class Cluster {
  readonly worlds: readonly World[];
  readonly woken = new Set<string>();
  readonly wave: FleetRollout;
  /** What became of the new image where a pod was made from it. */
  starts: 'well' | 'cannot be pulled' | 'only in a trial' = 'well';
  /** That is to arrive, as it stands in the pods. */
  image = next.fileserverImage;
  readonly #settings: OperatorSettings;
  readonly #rollouts = new Map<World, RolloutNote | null>();

  constructor(pairs: number, upgraded: OperatorSettings = next) {
    this.#settings = upgraded;
    this.worlds = Array.from({ length: pairs }, () => World.running());
    this.wave = new FleetRollout(
      () => this.worlds.map((world, index) => [`storage/${index}`, world.observed.pair!] as const),
      (pair) => this.#imageOf(this.worlds.find(({ observed }) => observed.pair === pair)!),
      (key) => this.woken.add(key),
    );
  }

  #imageOf({ observed }: World): string {
    const { pairClass } = observed;
    return (pairClass as FilerPairClassObject).spec.images?.server ?? this.#settings.fileserverImage;
  }

  /** How far its rollout has come, as of the last look. */
  rolloutOf(world: World): RolloutNote | null {
    return this.#rollouts.get(world) ?? null;
  }

  /** One look at each pair. All that an operator does in it is done, and servers and kubelets answer. */
  round(): void {
    for (const [index, world] of this.worlds.entries()) {
      this.look(index, world);
      this.answer(world);
      world.now += 5_000;
    }
  }

  look(index: number, world: World): void {
    const key = `storage/${index}`;
    const image = this.#imageOf(world);
    world.observed.others = this.wave.others(key, image, world.now);
    const plan = decide(world.observed, this.#settings, world.now);
    const { pods } = world.observed;
    const servers = pods.filter(({ metadata }) => metadata.labels?.[labels.server] !== undefined);
    this.#rollouts.set(world, plan.rollout);
    this.wave.note(key, plan.rollout, servers, pods);
    for (const action of plan.actions) world.carryOut(action);
    if (plan.status !== null) world.writeStatus(plan.status);
  }

  answer(world: World): void {
    for (const pod of world.observed.pods) {
      const { name = '', deletionTimestamp } = pod.metadata;
      const server = pod.metadata.labels?.[labels.server];
      if (deletionTimestamp !== undefined) world.remove('pods', name);
      else if (server === undefined) this.#trial(world, pod);
      else if (pod.status?.phase === undefined && this.starts === 'well') world.runs(server);
    }
    for (const home of ['a', 'b']) {
      const annotations = world.lease(home).metadata.annotations ?? {};
      const asked = annotations[leaseAnnotations.request];
      if (asked === undefined) continue;
      const { id, kind } = JSON.parse(asked) as { id: string; kind: string };
      if (annotations[leaseAnnotations.requestResult]?.includes(id)) continue;
      const partner = home === 'a' ? 'b' : 'a';
      world.claims(
        kind === 'giveback' ? home : partner,
        home,
        (world.lease(home).spec?.leaseTransitions ?? 0) + 1,
      );
      const result = JSON.stringify({ id, result: 'done', message: 'done' });
      world.changeLease(home, {}, { [leaseAnnotations.requestResult]: result });
    }
    for (const home of ['a', 'b']) {
      const owner = world.lease(home).spec?.holderIdentity?.split('/')[0];
      const partner = owner === 'a' ? 'b' : 'a';
      const runs = world.observed.pods.some(({ metadata }) => metadata.labels?.[labels.server] === partner);
      const acknowledger = runs ? world.incarnation(partner) : null;
      world.changeLease(home, {}, { [leaseAnnotations.acknowledger]: acknowledger });
    }
  }

  #trial(world: World, pod: Pod): void {
    const waiting = { reason: 'ImagePullBackOff', message: 'not found' };
    world.changePod(
      pod,
      this.starts === 'cannot be pulled'
        ? { status: { phase: 'Pending', containerStatuses: [{ name: 'trial', state: { waiting } }] } }
        : { status: { phase: 'Succeeded' } },
    );
  }

  /** Pairs of which a server was touched. */
  get begun(): number {
    return this.worlds.filter((world) => this.rolloutOf(world)?.begun === true).length;
  }

  get arrived(): number {
    return this.worlds.filter(({ observed }) =>
      observed.pods.every(({ spec }) => JSON.stringify(spec).includes(this.image)),
    ).length;
  }
}

const isTrial = ({ metadata }: Pod): boolean => metadata.labels?.[labels.imageTrial] !== undefined;

describe('a new image of the operator', () => {
  test('comes to one pair first, then to a bounded number at once, then to all', () => {
    const cluster = new Cluster(8);
    let most = 0;
    for (let round = 0; round < 200 && cluster.arrived < 8; round++) {
      cluster.round();
      if (cluster.arrived === 0) expect(cluster.begun).toBeLessThanOrEqual(1);
      most = Math.max(most, cluster.begun);
    }
    expect(cluster.arrived).toBe(8);
    expect(most).toBe(5);
    for (let round = 0; round < 3; round++) cluster.round();
    for (const { observed } of cluster.worlds) {
      expect(observed.pair!.status?.rollout).toBeUndefined();
      expect(observed.pods).toHaveLength(2);
    }
  });

  test('that cannot be pulled costs no pair a server', () => {
    const cluster = new Cluster(8);
    cluster.starts = 'cannot be pulled';
    for (let round = 0; round < 8; round++) cluster.round();
    // It is tried in one pair, for all.
    expect(cluster.begun).toBe(1);
    const trials = cluster.worlds.flatMap(({ observed }) => observed.pods.filter(isTrial));
    expect(trials).toHaveLength(1);
    for (const { observed } of cluster.worlds)
      expect(observed.pods.filter(({ status }) => status?.phase === 'Running')).toHaveLength(2);
    const [first] = cluster.worlds;
    expect(first!.observed.pair!.status?.rollout).toMatchObject({
      step: 'Blocked',
      message: expect.stringMatching(
        /^Image filerpair\/fileserver:0.2.0 is tried .* ImagePullBackOff: not found\.$/,
      ),
    });
  });

  test('with which the first server does not come back goes no further, and says where it stopped', () => {
    const cluster = new Cluster(8);
    cluster.starts = 'only in a trial';
    for (let round = 0; round < 12; round++) cluster.round();
    for (const world of cluster.worlds) world.now += 3_600_000;
    for (let round = 0; round < 3; round++) cluster.round();
    expect(cluster.begun).toBe(1);
    const queued = cluster.worlds.filter(({ observed }) => observed.pair!.status?.rollout?.step === 'Queued');
    expect(queued).toHaveLength(7);
    expect(queued[0]!.observed.pair!.status!.rollout!.message).toMatch(
      /goes to no further pair while one does not come back: storage\/\d+: Waits until a runs again/,
    );
  });

  test('wakes the next pair when one has come to its end', () => {
    const cluster = new Cluster(2);
    cluster.round();
    cluster.woken.clear();
    const [first] = cluster.worlds;
    for (let round = 0; round < 60 && first!.observed.pair!.status?.rollout !== undefined; round++) {
      expect([...cluster.woken]).toEqual([]);
      cluster.answer(first!);
      first!.now += 5_000;
      cluster.look(0, first!);
    }
    expect(cluster.worlds[1]!.observed.pair!.status?.rollout?.step).toBe('Queued');
    expect([...cluster.woken]).toContain('storage/1');
  });
});

describe('an upgrade that changes pods and no image', () => {
  const pulled = { ...settings, imagePullPolicy: 'Always' } as const;
  const upgraded = (): Cluster => {
    const cluster = new Cluster(8, pulled);
    cluster.image = '"imagePullPolicy":"Always"';
    return cluster;
  };

  test('comes to one pair first too, then to a bounded number at once, then to all', () => {
    const cluster = upgraded();
    let most = 0;
    for (let round = 0; round < 200 && cluster.arrived < 8; round++) {
      cluster.round();
      if (cluster.arrived === 0) expect(cluster.begun).toBeLessThanOrEqual(1);
      most = Math.max(most, cluster.begun);
    }
    expect(cluster.arrived).toBe(8);
    expect(most).toBe(5);
  });

  test('stops at the first pair that does not come back, and the others say so', () => {
    const cluster = upgraded();
    cluster.starts = 'only in a trial';
    for (let round = 0; round < 12; round++) cluster.round();
    for (const world of cluster.worlds) world.now += 3_600_000;
    for (let round = 0; round < 3; round++) cluster.round();
    expect(cluster.begun).toBe(1);
    const waiting = cluster.worlds.flatMap(({ observed }) => {
      const { rollout } = observed.pair!.status!;
      return rollout?.step === 'Queued' ? [rollout.message] : [];
    });
    expect(waiting).toHaveLength(7);
    expect(waiting[0]).toContain('What the operator now makes otherwise of pods goes to no further pair');
  });

  test('holds up nobody whose own spec has changed, and has nothing to do with that', () => {
    const cluster = new Cluster(8, settings);
    const priorityClassName = 'high';
    for (const world of cluster.worlds)
      world.changeSpec({
        podTemplate: { spec: { priorityClassName } },
      });
    for (let round = 0; round < 3; round++) cluster.round();
    expect(cluster.begun).toBe(8);
  });

  test('is one and the same for all pairs, and another with other settings', () => {
    const [home, disks] = [World.running().view(), running().view()];
    expect(renderingOf(disks)).toBe(renderingOf(home));
    expect(renderingOf({ ...home, settings: { ...settings } })).toBe(renderingOf(home));
    expect(renderingOf({ ...home, settings: pulled })).not.toBe(renderingOf(home));
    expect(renderingOf({ ...home, settings: next }), 'an image is another matter').toBe(renderingOf(home));
  });
});

describe('an image of a class', () => {
  const mine = (cluster: Cluster, pairs: readonly World[] = cluster.worlds): void => {
    cluster.image = 'mine:1';
    for (const world of pairs) world.changeImage('mine:1');
  };

  test('comes to one pair first too, then to a bounded number at once, then to all', () => {
    const cluster = new Cluster(8);
    mine(cluster);
    let most = 0;
    for (let round = 0; round < 200 && cluster.arrived < 8; round++) {
      cluster.round();
      if (cluster.arrived === 0) expect(cluster.begun).toBeLessThanOrEqual(1);
      most = Math.max(most, cluster.begun);
    }
    expect(cluster.arrived).toBe(8);
    expect(most).toBe(5);
  });

  test('goes no further than to the first that does not come back', () => {
    const cluster = new Cluster(8);
    mine(cluster);
    cluster.starts = 'only in a trial';
    for (let round = 0; round < 12; round++) cluster.round();
    expect(cluster.begun).toBe(1);
  });

  test('is not held up by pairs that want another image', () => {
    const cluster = new Cluster(8);
    cluster.starts = 'only in a trial';
    for (let round = 0; round < 12; round++) cluster.round();
    for (const world of cluster.worlds) world.now += 3_600_000;
    expect(cluster.begun).toBe(1);
    const last = cluster.worlds[7]!;
    mine(cluster, [last]);
    cluster.starts = 'well';
    for (let round = 0; round < 3; round++) {
      cluster.look(7, last);
      cluster.answer(last);
    }
    expect(cluster.rolloutOf(last)).toMatchObject({ begun: true });
  });
});
