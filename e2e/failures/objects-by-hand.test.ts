// Whatever the operator made of a pair and somebody deletes or edits comes back as it was, under a client that writes;
// no disk set moves for it.
import { expect } from 'vitest';
import type { Thing } from '../harness/kubectl.ts';
import { PAIR, type Pair, SUFFIX } from '../harness/pair.ts';
import { LINES_AFTERWARDS, SERVER, scenario } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { WRITER_FINISHED_MS_MAX } from '../harness/timeouts.ts';
import { eventually } from '../machine/eventually.ts';

/** How long the operator may take to see it and put it right; it takes a second. ms */
const PUT_RIGHT_MS_MAX = 20_000;
/** What clients do not need to reach a server that serves: everything but its Service. */
const DELETED = ['configmaps', 'secrets', 'endpointslices', 'poddisruptionbudgets', 'roles', 'rolebindings'];
const OF_THE_PAIR = `filerpair.dev/pair=${PAIR}`;

interface ServiceThing extends Thing {
  readonly spec: {
    readonly ports: readonly { readonly name: string; readonly port: number }[];
    readonly selector?: object;
  };
}

/** Deletes each object of this kind that the operator has made, and waits until there is another one of that name. */
async function deleteEach(pair: Pair, kind: string): Promise<number> {
  const all = await pair.kubectl.list<Thing>(kind, OF_THE_PAIR);
  // The endpoints of the servers' own Services are Kubernetes' work, not the operator's.
  const made = all.filter(({ metadata }) => kind !== 'endpointslices' || metadata.name.endsWith(SUFFIX));
  for (const { metadata } of made) {
    await pair.kubectl.run('delete', kind, metadata.name, '--wait=false');
    await eventually(`${kind} ${metadata.name} is back`, PUT_RIGHT_MS_MAX, async () => {
      const found = (await pair.kubectl.list<Thing>(kind, OF_THE_PAIR)).find(
        (one) => one.metadata.name === metadata.name,
      );
      return (
        found !== undefined &&
        found.metadata.uid !== metadata.uid &&
        found.metadata.deletionTimestamp === undefined
      );
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
    for (const kind of DELETED) {
      const count = await step(`${kind} are deleted, and come back`, () => deleteEach(pair, kind));
      expect(count, kind).toBeGreaterThan(0);
    }
    const failover = `${SERVER}${SUFFIX}`;
    const { spec } = await pair.kubectl.get<ServiceThing>('service', failover);
    const ports = spec.ports.map((one) => ({ ...one, port: one.port + 1000 }));
    await step('a port of a Service is edited', () => edit(pair, 'service', failover, { spec: { ports } }));
    const labels = { 'filerpair.dev/server': 'somebody-else' };
    await step('a label of a Service is edited', () =>
      edit(pair, 'service', failover, { metadata: { labels } }),
    );
    await step('the writer is served', () => writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
    await step('a takeover is possible', () => pair.takeoverPossible(WRITER_FINISHED_MS_MAX));
    expect(leases.ownerChanges(SERVER) - before, 'changes of owner').toBe(0);
  },
);
