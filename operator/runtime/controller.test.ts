/**
 * The real Controller and Executor against a real HTTP server that refuses one request at a time: what does not depend on the
 * refused one has to happen all the same.
 */

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createLogger, transports } from 'winston';
import { failure, type HttpApi, json, type Seen, startHttpApi } from '../../kubernetes/http-api.fixture.ts';
import { leaseAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import { Executor } from '../apply/executor.ts';
import { operatorMetrics } from '../metrics/metrics.ts';
import type { FilerPairClassObject, FilerPairObject } from '../model/objects.ts';
import type { Problem } from '../model/observed.ts';
import { gone, running, takenOver } from '../plan/reattach-world.fixture.ts';
import { settings, startedAt, World } from '../plan/world.fixture.ts';
import type { Caches } from '../watch/caches.ts';
import { Controller } from './controller.ts';

/** `PATCH leases/home.a`, `POST pods/home-b-*`: names without their random ends. */
function lineOf({ method, path, query, body }: Seen): string {
  const parts = path.split('/').filter((part) => part !== '');
  const rest = parts[0] === 'api' ? parts.slice(2) : parts.slice(3);
  const inNamespace = rest[0] === 'namespaces' ? rest.slice(2) : rest;
  const named = method === 'POST' ? [...inNamespace, nameIn(body)] : inNamespace;
  const line = `${method} ${named.join('/')}`;
  return `${query.get('dryRun') === null ? '' : 'dry run of '}${line}`.replace(/-[0-9a-v]{5}$/, '-*');
}

const nameIn = (body: string): string => (JSON.parse(body) as { metadata: { name: string } }).metadata.name;

/** What is told is not what is done. */
const isTelling = (line: string): boolean => line.includes('/status') || line.includes(' events/');

let api: HttpApi | undefined;
// The worlds begin on a day of their own, and their certificates end some day.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: startedAt + 60_000 });
});
afterEach(async () => {
  vi.useRealTimers();
  await api?.close();
  api = undefined;
});

type Refuse = (
  line: string,
) => readonly [status: number, reason: string, message?: string] | 'no answer' | null;

interface Looked {
  /** Requests that were not refused. */
  readonly done: readonly string[];
  /** All of them. */
  readonly asked: readonly string[];
  readonly problems: readonly Problem[];
  /** Bodies of the statuses that were written. */
  readonly statuses: readonly string[];
}

/** A controller that sees this world in place of caches. */
function controllerOf(world: World, client: HttpApi['client']) {
  const caches = {
    observe: async (_namespace: string, _name: string, known: readonly Problem[]) => ({
      ...world.observed,
      problems: known,
    }),
    nodes: () => world.observed.nodes,
    ask: () => undefined,
    forgetSecrets: () => undefined,
    imageOfClass: () => (world.observed.pairClass as FilerPairClassObject).spec.images?.server ?? null,
    pairs: () => [],
    keys: () => new Set(['storage/home']),
  } as unknown as Caches;
  const metrics = operatorMetrics({ pairs: () => [], queueLength: () => 0, leading: () => true });
  const log = createLogger({ transports: [new transports.Console({ silent: true })] });
  const executor = new Executor(client, 'test');
  return { controller: new Controller(caches, executor, settings, log, metrics, () => true), metrics };
}

/** One look of a controller at a pair, and one at the nodes. */
async function look(world: World, refuse: Refuse = () => null): Promise<Looked> {
  const done: string[] = [];
  const asked: string[] = [];
  const statuses: string[] = [];
  let problems: readonly Problem[] = [];
  api = await startHttpApi((seen, response) => {
    const line = lineOf(seen);
    if (!isTelling(line)) asked.push(line);
    const refused = refuse(line);
    if (refused === 'no answer') {
      response.destroy();
      return;
    }
    if (refused !== null) {
      const [status, reason, message] = refused;
      json(response, status, failure(status, reason, message));
      return;
    }
    if (/filerpairs\/.*\/status$/.test(line)) statuses.push(seen.body);
    if (!isTelling(line)) done.push(line);
    const claim = world.observed.claims[/^GET persistentvolumeclaims\/(.+)$/.exec(line)?.[1] ?? ''];
    const lease = world.observed.leases.find(({ metadata }) => line === `GET leases/${metadata.name}`);
    const listed = {
      'GET pods': world.observed.pods,
      'GET volumeattachments': world.observed.volumeAttachments,
    }[line];
    if (lease !== undefined) json(response, 200, lease);
    else if (typeof claim === 'object') json(response, 200, claim);
    else if (listed !== undefined) json(response, 200, { metadata: {}, items: listed });
    else if (seen.method === 'GET') json(response, 404, failure(404, 'NotFound'));
    else json(response, 200, seen.body === '' ? {} : JSON.parse(seen.body));
  });
  const { controller, metrics } = controllerOf(world, api.client);
  controller.start();
  const looks = async (): Promise<number> =>
    (await metrics.reconciles.get()).values.reduce((sum, { value }) => sum + value, 0);
  await expect.poll(looks, { interval: 2 }).toBeGreaterThanOrEqual(2);
  problems = controller.problemsOf('storage/home');
  await controller.stop();
  await api.close();
  api = undefined;
  return { done, asked, problems, statuses };
}

/** b's pod is gone, and there is something to do of every kind. */
function muchToDo(): World {
  const world = World.running();
  world.remove('pods', world.pod('b').metadata.name ?? '');
  world.changeSpec({
    volumes: [{ name: 'data', claimTemplate: { spec: { resources: { requests: { storage: '2Gi' } } } } }],
    maintenance: { reason: 'new switches', automaticMoves: 'Paused' },
  });
  world.remove('services', 'home-a');
  world.observed.roles = [];
  world.observed.configMaps = [];
  world.observed.podDisruptionBudgets = [];
  const node = world.observed.nodes['node-1']!;
  const marked = {
    name: 'node-9',
    uid: 'uid-9',
    annotations: { 'filerpair.dev/out-of-service': 'of another pair' },
  };
  world.observed.nodes = { ...world.observed.nodes, 'node-9': { ...node, metadata: marked } };
  return world;
}

/** Both disk sets have to be mounted anew. */
function bothDetached(): World {
  const world = running();
  gone(world, 'a');
  gone(world, 'b');
  world.observed.volumeAttachments = [];
  return world;
}

/** The partner owns everything, and the pod of a is about to be replaced. */
function rollingOut(): World {
  const world = World.running();
  world.changeSpec({ podTemplate: { spec: { priorityClassName: 'high' } } });
  world.settle();
  const request = world.lease('a').metadata.annotations?.[leaseAnnotations.request] ?? '{}';
  const { id } = JSON.parse(request) as { id: string };
  world.claims('b', 'a', 2);
  const answer = JSON.stringify({ id, result: 'done', message: 'done' });
  world.changeLease('a', {}, { [leaseAnnotations.requestResult]: answer });
  world.observed.roles = [];
  return world;
}

/** A node came back, and a has two pods, of which one owns nothing. */
function twoPods(): World {
  const world = World.running();
  const pod = world.pod('a');
  const metadata = { ...pod.metadata, name: 'home-a-vvvvv', uid: 'uid-second' };
  world.observed.pods = [...world.observed.pods, { ...pod, metadata }];
  return world;
}

/** The servers have ended, and the epochs go onto the claims before the Leases go. */
function leaving(): World {
  const world = World.running();
  const deletionTimestamp = new Date(world.now).toISOString();
  const pair = world.observed.pair!;
  world.observed.pair = { ...pair, metadata: { ...pair.metadata, deletionTimestamp } };
  world.observed.pods = [];
  world.observed.leases = world.observed.leases.map((lease) => ({
    ...lease,
    metadata: { ...lease.metadata, deletionTimestamp },
  }));
  return world;
}

const disks = (home: string): Record<string, string[]> => ({
  [`PATCH leases/home.${home}`]: [`POST pods/home-${home}-disks-*`],
});

const plans: readonly {
  readonly title: string;
  readonly world: () => World;
  /** By what is refused: what must not happen then. Everything else must. */
  readonly dependent: Readonly<Record<string, readonly string[]>>;
}[] = [
  { title: 'a dead server, with much else to do', world: muchToDo, dependent: {} },
  {
    title: 'two disk sets to be mounted',
    world: bothDetached,
    dependent: { ...disks('a'), ...disks('b') },
  },
  {
    title: 'disks that leave their node',
    world: takenOver,
    dependent: {
      'PATCH leases/home.a': ['GET persistentvolumeclaims/home.a.data', 'DELETE pods/home-a-disks-*'],
      'GET persistentvolumeclaims/home.a.data': ['DELETE pods/home-a-disks-*'],
    },
  },
  {
    title: 'a rollout',
    world: rollingOut,
    dependent: Object.fromEntries(
      [
        'PATCH roles/home-a',
        'PATCH roles/home-b',
        'dry run of POST pods/home-a-*',
        'GET leases/home.a',
        'GET leases/home.b',
      ].map((refused, index) => [
        refused,
        // The checks themselves are left out too where one before them failed.
        [
          ...(index < 2 ? ['dry run of POST pods/home-a-*'] : []),
          ...(index < 3 ? ['GET leases/home.a'] : []),
          ...(index < 4 ? ['GET leases/home.b'] : []),
          'DELETE pods/home-a-*',
        ],
      ]),
    ),
  },
  {
    title: 'a pod too many',
    world: twoPods,
    dependent: {
      'GET leases/home.a': ['GET leases/home.b', 'DELETE pods/home-a-*'],
      'GET leases/home.b': ['DELETE pods/home-a-*'],
    },
  },
  {
    title: 'the end of a pair',
    world: leaving,
    dependent: {
      'PATCH persistentvolumeclaims/home.a.data': [
        'PATCH persistentvolumeclaims/home.b.data',
        'PATCH leases/home.a',
        'PATCH leases/home.b',
      ],
      'PATCH persistentvolumeclaims/home.b.data': ['PATCH leases/home.a', 'PATCH leases/home.b'],
      'PATCH leases/home.a': ['PATCH leases/home.b'],
    },
  },
];

const refusals = [
  [403, 'Forbidden', 'exceeded quota'],
  [409, 'Conflict'],
  [422, 'Invalid'],
  [500, 'InternalError', 'failed calling webhook "policy.example.org": context deadline exceeded'],
  'no answer',
] as const;

const lists: ReadonlySet<string> = new Set(['GET pods', 'GET volumeattachments']);

test.each([...lists])('no disk is mounted while %s is refused: it may be mounted elsewhere', async (list) => {
  const { done: all } = await look(bothDetached());
  const { done } = await look(bothDetached(), (line) => (line === list ? [403, 'Forbidden'] : null));
  expect(all.filter((line) => line.startsWith('POST pods/'))).toHaveLength(2);
  expect(done.filter((line) => line.startsWith('POST pods/'))).toEqual([]);
});

describe.each(plans)('$title', ({ world, dependent }) => {
  test.each(refusals.map((refusal) => ({ refusal, name: String(refusal) })))(
    'each request refused in turn with $name: what does not depend on it happens',
    async ({ refusal }) => {
      const { done: all } = await look(world());
      expect(all.length).toBeGreaterThan(1);
      const unknown = Object.keys(dependent).filter((line) => !all.includes(line));
      expect(unknown, 'lines of the table above that no request has').toEqual([]);
      for (const refused of new Set(all)) {
        // Whether an object of somebody else is in the way: 404 is the answer that lets the plan go on.
        if (/^GET (?!leases|persistentvolumeclaims)/.test(refused)) continue;
        const { done, asked } = await look(world(), (line) => (line === refused ? refusal : null));
        const without = new Set([refused, ...(dependent[refused] ?? [])]);
        expect(asked, `${refused} is asked for`).toContain(refused);
        // Lists have no name that says for which disk set they are.
        const named = (line: string): boolean => !lists.has(line);
        expect(done.filter(named), `${refused} is refused`).toEqual(
          all.filter((line) => named(line) && !without.has(line)),
        );
      }
    },
  );
});

describe('refusals that stay', () => {
  test('of a trial of a new image hold up the rollout alone', async () => {
    const world = World.running();
    world.changeImage('filerpair/fileserver:0.2.0');
    const { done: all } = await look(world);
    expect(all).toContainEqual(expect.stringMatching(/^POST pods\/home-trial-/));
    const { done, problems } = await look(world, (line) =>
      line.startsWith('dry run of POST pods/home-trial-') ? [403, 'Forbidden', 'exceeded quota'] : null,
    );
    expect(done.filter((line) => line.includes('trial'))).toEqual([]);
    expect(problems).toMatchObject([{ reason: 'Forbidden', concerns: 'rollout' }]);
  });

  test('are all told, the first as the reason, and the status is written', async () => {
    const { problems, statuses } = await look(muchToDo(), (line) =>
      line.includes('persistentvolumeclaims') || line.includes('poddisruptionbudgets')
        ? [403, 'Forbidden']
        : null,
    );
    expect(problems.map(({ message }) => message)).toEqual([
      expect.stringContaining('home.a.data'),
      expect.stringContaining('home.b.data'),
      expect.stringContaining('PodDisruptionBudget'),
    ]);
    const { conditions } = (JSON.parse(statuses.at(-1)!) as { status: { conditions: { message: string }[] } })
      .status;
    expect(conditions[0]!.message).toMatch(/home.a.data.*home.b.data.*PodDisruptionBudget/);
  });

  test('of events stop nothing', async () => {
    const { done: all } = await look(muchToDo());
    const { done } = await look(muchToDo(), (line) =>
      line.includes(' events/') ? [403, 'Forbidden'] : null,
    );
    expect(done).toEqual(all);
  });
});

const isContested = (controller: Controller): boolean =>
  controller.problemsOf('storage/home').some(({ reason }) => reason === 'Contested');

/** Stores each status that is written, lets somebody else act, and looks again, so many times. */
async function toldAgain(
  count: number,
  then: (world: World, look: number) => void,
): Promise<{ statuses: string[]; contested: string[] }> {
  const world = World.running();
  const statuses: string[] = [];
  const contested: string[] = [];
  const woken: { wake?: () => void } = {};
  const next = (): void => {
    then(world, statuses.length);
    woken.wake?.();
  };
  api = await startHttpApi((seen, response) => {
    if (!/filerpairs\/.*\/status$/.test(lineOf(seen))) {
      // Of all else there is what was written: the caches of this world are late.
      json(response, 200, { metadata: { resourceVersion: '7' } });
      return;
    }
    statuses.push(seen.body);
    const { status } = JSON.parse(seen.body) as Required<FilerPairObject>;
    const pair = world.observed.pair!;
    const metadata = { ...pair.metadata, resourceVersion: String(100 + statuses.length) };
    world.observed.pair = { ...pair, metadata, status };
    json(response, 200, world.observed.pair);
    next();
  });
  const { controller } = controllerOf(world, api.client);
  woken.wake = () => controller.wake('storage/home');
  next();
  controller.start();
  const done = (): boolean => {
    if (isContested(controller))
      contested.push(...controller.problemsOf('storage/home').map(({ message }) => message));
    return statuses.length >= count || contested.length > 0;
  };
  await expect.poll(done, { interval: 5, timeout: 20_000 }).toBe(true);
  await controller.stop();
  return { statuses, contested };
}

describe('the status', () => {
  test('is written as often as it changes in a slow start, and nobody is blamed', async () => {
    const { statuses, contested } = await toldAgain(40, (world, look) => {
      const waiting = { reason: 'PodInitializing', message: `step ${look}` };
      const containerStatuses = [{ name: 'server', ready: false, state: { waiting } }];
      world.changePod(world.pod('b'), { status: { phase: 'Pending', containerStatuses } });
    });
    expect(contested).toEqual([]);
    expect(new Set(statuses).size).toBeGreaterThanOrEqual(40);
  });

  test('in which the same field is changed back each time is contested, and the message names the field', async () => {
    const { contested } = await toldAgain(60, ({ observed }) => {
      const { pair } = observed;
      observed.pair = { ...pair!, status: { ...pair!.status!, summary: 'of another version' } };
    });
    expect(contested[0]).toContain('the status of FilerPair storage/home (summary)');
  });
});

describe('a controller that changes back what is written', () => {
  type Done = (writes: ReadonlyMap<string, number>) => boolean;

  /** Everything that is written is changed back at once, and the watch says so; until people are told, or `done`. */
  async function fought(
    world: World,
    done?: Done,
  ): Promise<{ writes: Map<string, number>; statuses: string[] }> {
    const writes = new Map<string, number>();
    const statuses: string[] = [];
    const woken: { wake?: () => void } = {};
    api = await startHttpApi((seen, response) => {
      const line = lineOf(seen);
      if (/filerpairs\/.*\/status$/.test(line)) statuses.push(seen.body);
      if (seen.method !== 'GET' && seen.query.get('dryRun') === null && !line.includes(' events/'))
        writes.set(line, (writes.get(line) ?? 0) + 1);
      if (seen.method === 'GET') json(response, 404, failure(404, 'NotFound'));
      else json(response, 200, seen.body === '' ? {} : JSON.parse(seen.body));
      woken.wake?.();
    });
    const { controller } = controllerOf(world, api.client);
    woken.wake = () => controller.wake('storage/home');
    controller.start();
    const held = (): boolean => isContested(controller) && statuses.at(-1)?.includes('Contested') === true;
    await expect.poll(() => done?.(writes) ?? held(), { interval: 5, timeout: 20_000 }).toBe(true);
    await controller.stop();
    return { writes, statuses };
  }

  test('is not fought with in a loop: no write is repeated more than 20 times at once, and people are told', async () => {
    const world = World.running();
    world.observed.podDisruptionBudgets = [];
    world.remove('services', 'home-a');
    const from = performance.now();
    const { writes, statuses } = await fought(world);
    expect(writes.get('PATCH poddisruptionbudgets/home')).toBeGreaterThanOrEqual(20);
    const most = 21 + Math.floor((performance.now() - from) / 10_000);
    // The status says once more that the object is contested.
    for (const [line, times] of writes)
      expect(times, line).toBeLessThanOrEqual(most + (line.includes('/status') ? 21 : 0));
    const { conditions } = (JSON.parse(statuses.at(-1)!) as { status: { conditions: { type: string }[] } })
      .status;
    expect(conditions.find(({ type }) => type === 'Degraded')).toMatchObject({
      status: 'True',
      reason: 'Contested',
      message: expect.stringContaining('PodDisruptionBudget storage/home'),
    });
    expect(conditions.find(({ type }) => type === 'Ready')).toMatchObject({ status: 'True' });
  });

  test('leaves what does not need the object to be done', async () => {
    const world = World.running();
    world.observed.podDisruptionBudgets = [];
    world.remove('pods', world.pod('b').metadata.name ?? '');
    await fought(world, (writes) => [...writes.keys()].some((line) => /^POST pods\/home-b/.test(line)));
  });
});

test('a throttling API server is left alone at once', async () => {
  const { asked } = await look(muchToDo(), (line) =>
    line.startsWith('PATCH persistentvolumeclaims') ? [429, 'TooManyRequests'] : null,
  );
  expect(asked.filter((line) => line.includes('persistentvolumeclaims'))).toHaveLength(1);
  expect(asked.some((line) => line.startsWith('POST pods'))).toBe(false);
});

test('marks come off nodes without any pair having to do it', async () => {
  const { done, problems } = await look(muchToDo(), (line) =>
    line === 'PATCH nodes/node-9' ? [403, 'Forbidden'] : null,
  );
  expect(done).not.toContain('PATCH nodes/node-9');
  expect(problems).toEqual([]);
  expect((await look(muchToDo())).done).toContain('PATCH nodes/node-9');
});
