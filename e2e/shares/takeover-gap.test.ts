/**
 * What a client waits for in a takeover, and how long a server takes to start, with ten FilerShares and with thousands. Two pairs of
 * server processes are measured in turn; a real API server is their witness. SHARES=, ROUNDS=; figures into out/shares.json.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FilerPairClient } from '../../client/index.ts';
import { customResourceDefinition } from '../../crds/custom-resource-definition.ts';
import { apiVersion } from '../../crds/group.ts';
import { kinds } from '../../crds/kinds.ts';
import { Pair, partnerOf, type Running, type Server, servers } from '../../fileserver/agent/pair.fixture.ts';
import type { ShareObject } from '../../fileserver/shares/share-object.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import { resources } from '../../kubernetes/resource.ts';
import { eventually } from '../../testing/eventually.ts';
import { pause } from '../../testing/pause.ts';
import { ApiServer } from '../admission/api-server.ts';
import { makeNamespace } from '../admission/installed-chart.ts';
import { REPOSITORY } from '../environment.ts';
import { median } from '../harness/phase-times.ts';
import { writeJsonFile } from '../machine/json-file.ts';
import { say } from '../machine/stage.ts';

const FEW = 10;
const MANY = Number(process.env['SHARES'] ?? 10_000);
const ROUNDS = Number(process.env['ROUNDS'] ?? 5);
const NEW_SHARES = 100;
const CREATED_AT_ONCE = 16;
const MS_MAX = 300_000;
const [HOME, PARTNER] = servers;

/** A pair, its shares in a namespace of its own, and the client of the last of them. */
class SharedPair {
  readonly name: string;
  readonly count: number;
  readonly #api: KubernetesClient;
  readonly #pair: Pair;
  readonly #running = new Map<Server, Running>();
  readonly figures: Record<'planned' | 'killed' | 'giveback' | 'start', number[]> = {
    planned: [],
    killed: [],
    giveback: [],
    start: [],
  };

  private constructor(name: string, count: number, api: KubernetesClient, pair: Pair) {
    this.name = name;
    this.count = count;
    this.#api = api;
    this.#pair = pair;
  }

  static async start(count: number, api: KubernetesClient, kubeconfig: string): Promise<SharedPair> {
    const name = `shares-${count}`;
    await makeNamespace(api, name);
    const pair = await Pair.create((server, directory) => ({
      witness: {
        kind: 'kubernetes',
        namespace: name,
        leases: { [HOME]: `${name}.a`, [PARTNER]: `${name}.b` },
        kubeconfig,
      },
      shares: { pair: name },
      // No gap here waits for a lease; an API server beside it takes the processors at times.
      timing: { leaseMs: 10_000, guardMs: 2_500, heartbeatMs: 300 },
      diskSets: Object.fromEntries(
        servers.map((home) => {
          const path = join(directory, 'volumes', home, 'data');
          mkdirSync(path, { recursive: true });
          return [home, { volumes: [{ name: 'data', path }] }];
        }),
      ),
      log: { level: server === HOME ? 'info' : 'warn', format: 'text' },
    }));
    const one = new SharedPair(name, count, api, pair);
    for (const home of servers)
      await api.create(resources.leases, {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { namespace: name, name: `${name}.${home === HOME ? 'a' : 'b'}` },
      } as KubernetesObject);
    await one.#makeShares();
    for (const server of servers) {
      pair.startSentinel(server);
      one.#running.set(server, pair.startServer(server));
    }
    pairs.push(one);
    await one.#covered(HOME);
    await one.#covered(PARTNER, PARTNER);
    return one;
  }

  stop(): Promise<void> {
    return this.#pair.stop();
  }

  async makeShare(name: string): Promise<void> {
    await this.#api.create(resources.filerShares, {
      apiVersion,
      kind: 'FilerShare',
      metadata: { namespace: this.name, name },
      spec: { pairRef: { name: this.name }, server: HOME, clients: ['127.0.0.0/8'] },
    } as unknown as KubernetesObject);
  }

  async #makeShares(): Promise<void> {
    const names = Array.from({ length: this.count }, (_, i) => `share-${i}`);
    const make = async () => {
      for (let name = names.pop(); name !== undefined; name = names.pop()) await this.makeShare(name);
    };
    await Promise.all(Array.from({ length: CREATED_AT_ONCE }, make));
  }

  /** When the servers have said of all of them that they are served: resourceVersions by name. */
  async everyShareIsReady(): Promise<ReadonlyMap<string, string>> {
    let found: readonly ShareObject[] = [];
    await eventually(`the ${this.count} shares are Ready`, (this.count / 10) * 1000 + MS_MAX, async () => {
      await pause(1000, 'a list of all shares is work for the API server');
      found = (await this.#api.list<ShareObject>(resources.filerShares, { namespace: this.name })).items;
      return found.every(({ status }) =>
        status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True'),
      );
    });
    return new Map(found.map(({ metadata }) => [metadata.name ?? '', metadata.resourceVersion ?? '']));
  }

  async client(share: string): Promise<FilerPairClient> {
    const { primary } = this.#pair.ports[HOME];
    const { secondary } = this.#pair.ports[PARTNER];
    const client = new FilerPairClient(
      `nfs://127.0.0.1:${primary}:${secondary}/${share}?failover=127.0.0.1`,
      { identity: { uid: 0, gid: 0, gids: [] } },
    );
    await client.connect();
    return client;
  }

  /** A planned takeover, the way back, a crash, the start of the server that crashed, the way back. */
  async round(): Promise<void> {
    const client = await this.client(`share-${this.count - 1}`);
    const { handle } = await client.lookup('');
    const gap = async (kind: 'planned' | 'killed' | 'giveback', move: () => Promise<unknown>) => {
      let longest = 0;
      let moved = false;
      let last = performance.now();
      const looking = (async () => {
        for (let after = 0; after < 20; after += moved ? 1 : 0) {
          await client.nfs.getattr(handle);
          longest = Math.max(longest, performance.now() - last);
          last = performance.now();
          await pause(2, 'calls come one by one');
        }
      })();
      await pause(100, 'calls are under way');
      await move();
      moved = true;
      await looking;
      this.figures[kind].push(Math.round(longest));
    };
    await gap('planned', () => this.#asked(HOME, 'takeover', PARTNER));
    await this.#covered(PARTNER);
    await gap('giveback', () => this.#asked(PARTNER, 'giveback', HOME));
    await this.#covered(HOME);
    await gap('killed', async () => {
      const { child, ended } = this.#running.get(HOME)!;
      child.kill('SIGKILL');
      await ended;
      await this.#servedBy(PARTNER);
    });
    const from = performance.now();
    this.#running.set(HOME, this.#pair.startServer(HOME));
    await this.#covered(PARTNER);
    this.figures.start.push(Math.round(performance.now() - from));
    await gap('giveback', () => this.#asked(PARTNER, 'giveback', HOME));
    await this.#covered(HOME);
    client.close();
  }

  async #asked(server: Server, kind: 'takeover' | 'giveback', to: Server): Promise<void> {
    await eventually(`${kind} of ${this.name}`, MS_MAX, async () => {
      const body = JSON.stringify({ home: HOME, reason: 'measured' });
      const { status } = await this.#pair.control(server, 'POST', `/${kind}`, body);
      return status === 200;
    });
    await this.#servedBy(to);
  }

  #servedBy(owner: Server): Promise<unknown> {
    return eventually(`${owner} serves the disk set of ${HOME}`, MS_MAX, async () => {
      const set = (await this.#pair.status(owner))?.diskSets.find(({ home }) => home === HOME);
      return set?.phase === 'open' && set.owner === owner;
    });
  }

  /** The partner of the owner would take over: it confirms what the owner holds. */
  #covered(owner: Server, diskSet: Server = HOME): Promise<unknown> {
    return eventually(
      `the disk set of ${diskSet} is served and covered`,
      MS_MAX,
      async () => {
        const set = (await this.#pair.status(owner))?.diskSets.find(({ home }) => home === diskSet);
        return set?.phase === 'open' && set.owner === owner && set.acknowledger?.startsWith(partnerOf(owner));
      },
      () => [...this.#running.values()].map((each) => each.output().slice(-3000)).join('\n\n'),
    );
  }
}

let server: ApiServer;
let api: KubernetesClient;
/** Whose processes are to be ended. */
const pairs: SharedPair[] = [];

beforeAll(async () => {
  server = await ApiServer.start();
  api = server.client('admin');
  const definition = structuredClone(
    customResourceDefinition(kinds.find(({ kind }) => kind === 'FilerShare')!),
  );
  // The servers of this pair have longer names than those of a FilerPair.
  const { spec } = definition.spec.versions[0]!.schema.openAPIV3Schema.properties as unknown as {
    spec: { properties: { server: object } };
  };
  spec.properties.server = { type: 'string' };
  await api.create(resources.customResourceDefinitions, definition);
  await eventually('the API server knows FilerShares', 60_000, () =>
    api.list(resources.filerShares).then(
      () => true,
      () => false,
    ),
  );
}, MS_MAX);

afterAll(async () => {
  for (const pair of pairs) await pair.stop();
  await server?.stop();
});

test(`takeovers with ${MANY} shares beside takeovers with ${FEW}: how long they take, and none writes a share`, async () => {
  const few = await SharedPair.start(FEW, api, server.kubeconfig);
  const many = await SharedPair.start(MANY, api, server.kubeconfig);
  const before = await many.everyShareIsReady();
  await few.everyShareIsReady();
  for (let round = 0; round < ROUNDS; round++) for (const pair of [few, many]) await pair.round();
  expect(await many.everyShareIsReady(), 'statuses were written').toEqual(before);

  const mountable: number[] = [];
  for (let i = 0; i < NEW_SHARES; i++) {
    const from = performance.now();
    await many.makeShare(`more-${i}`);
    await eventually(`more-${i} can be mounted`, MS_MAX, async () => {
      const client = await many.client(`more-${i}`).catch(() => null);
      client?.close();
      return client !== null;
    });
    mountable.push(Math.round(performance.now() - from));
  }
  mountable.sort((a, b) => a - b);
  const figures = {
    shares: [FEW, MANY],
    rounds: ROUNDS,
    ms: Object.fromEntries(
      pairs.map(({ count, figures: each }) => [
        count,
        Object.fromEntries(
          Object.entries(each).map(([what, all]) => [
            what,
            { median: median(all), all: all.toSorted((a, b) => a - b) },
          ]),
        ),
      ]),
    ),
    createdToMountableMs: {
      p50: mountable[Math.floor(NEW_SHARES / 2)],
      p99: mountable[Math.floor(NEW_SHARES * 0.99)],
    },
  };
  writeJsonFile(join(REPOSITORY, 'out/shares.json'), figures);
  say(`out/shares.json:\n${JSON.stringify(figures, null, 1)}`);
}, 7_200_000);
