/**
 * Whatever the operator made of a pair and somebody deletes or edits comes back as it was, under a client that writes; no disk
 * set moves for it.
 */
import { expect } from 'vitest';
import { eventually } from '../../testing/eventually.ts';
import type { Thing } from '../harness/kubectl.ts';
import { PAIR, type Pair, SUFFIX, serviceOf } from '../harness/pair.ts';
import { LINES_AFTERWARDS, SERVER, scenario } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { WRITER_FINISHED_MS_MAX } from '../harness/timeouts.ts';

/** How long the operator may take to see it and put it right; it takes a second. ms */
const PUT_RIGHT_MS_MAX = 20_000;
/** What clients do not need to reach a server that serves: everything but its Service. */
const DELETED = ['configmaps', 'endpointslices', 'poddisruptionbudgets', 'roles', 'rolebindings'];
const OF_THE_PAIR = `filerpair.dev/pair=${PAIR}`;

interface ServiceThing extends Thing {
  readonly spec: {
    readonly ports: readonly { readonly name: string; readonly port: number }[];
    readonly selector?: object;
  };
}

/**
 * The operator has no right to watch Secrets, which would be everybody's: it asks for a pair's own when it looks at the pair
 * for another reason, once a minute at most (operator/watch/caches.ts). Servers that run have read theirs. ms
 */
const SECRETS_LOOKED_FOR_MS = 60_000;

/** A pair's objects of a kind, by name. */
async function objects(pair: Pair, kind: string): Promise<Map<string, string>> {
  const all = await pair.kubectl.list<Thing>(kind, OF_THE_PAIR);
  const there = all.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  return new Map(there.map(({ metadata }) => [metadata.name, metadata.uid]));
}

/** Deletes each object of this kind that the operator has made, and waits until there is another one of that name. */
async function deleteEach(pair: Pair, kind: string): Promise<number> {
  const all = await pair.kubectl.list<Thing>(kind, OF_THE_PAIR);
  // The endpoints of the servers' own Services are Kubernetes' work, not the operator's.
  const made = all.filter(({ metadata }) => kind !== 'endpointslices' || metadata.name.endsWith(SUFFIX));
  for (const { metadata } of made) {
    await pair.kubectl.run('delete', kind, metadata.name, '--wait=false');
    await eventually(`${kind} ${metadata.name} is back`, PUT_RIGHT_MS_MAX, async () => {
      const uid = (await objects(pair, kind)).get(metadata.name);
      return uid !== undefined && uid !== metadata.uid;
    });
  }
  return made.length;
}

/** Changes an object, and waits until it is as before. */
async function edit(pair: Pair, kind: string, name: string, patch: object): Promise<void> {
  const essence = async (): Promise<unknown> => {
    const { spec, metadata } = await pair.kubectl.get<ServiceThing>(kind, name);
    return { ports: spec.ports, selector: spec.selector, labels: metadata.labels };
  };
  const before = await essence();
  await pair.kubectl.run('patch', kind, name, '--type=merge', '--patch', JSON.stringify(patch));
  await eventually(
    `${kind} ${name} is as before`,
    PUT_RIGHT_MS_MAX,
    async () => JSON.stringify(await essence()) === JSON.stringify(before),
  );
}

scenario(
  {
    name: 'objects-by-hand',
    fault: "the pair's objects are deleted and edited by hand, one after the other",
    gapMsGoal: 300,
    replaces: [],
  },
  'what somebody deletes or edits by hand comes back, and no disk set moves',
  async ({ pair, writer, leases }) => {
    const before = leases.ownerChanges(SERVER);
    await writer.mark('failover');
    const secrets = await objects(pair, 'secrets');
    expect(secrets.size).toBeGreaterThan(0);
    await step('secrets are deleted', () =>
      pair.kubectl.run('delete', 'secrets', '--selector', OF_THE_PAIR, '--wait=false'),
    );
    const deletedAt = performance.now();
    for (const kind of DELETED) {
      const count = await step(`${kind} are deleted, and come back`, () => deleteEach(pair, kind));
      expect(count, kind).toBeGreaterThan(0);
    }
    const failover = `${serviceOf(SERVER)}${SUFFIX}`;
    const { spec } = await pair.kubectl.get<ServiceThing>('service', failover);
    const ports = spec.ports.map((one) => ({ ...one, port: one.port + 1000 }));
    await step('a port of a Service is edited', () => edit(pair, 'service', failover, { spec: { ports } }));
    const labels = { 'filerpair.dev/server': 'somebody-else' };
    await step('a label of a Service is edited', () =>
      edit(pair, 'service', failover, { metadata: { labels } }),
    );
    await step('a minute later something else is edited, and the secrets come back', async () => {
      await eventually(
        'a minute has passed',
        2 * SECRETS_LOOKED_FOR_MS,
        () => performance.now() - deletedAt > SECRETS_LOOKED_FOR_MS,
      );
      await edit(pair, 'service', failover, { metadata: { labels } });
      await eventually('the secrets are back', PUT_RIGHT_MS_MAX, async () => {
        const now = await objects(pair, 'secrets');
        return [...secrets].every(([name, uid]) => now.has(name) && now.get(name) !== uid);
      });
    });
    await step('the writer is served', () => writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
    await step('a takeover is possible', () => pair.takeoverPossible(WRITER_FINISHED_MS_MAX));
    expect(leases.ownerChanges(SERVER) - before, 'changes of owner').toBe(0);
  },
);
