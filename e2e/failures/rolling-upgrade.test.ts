// A change of the spec that needs new pods, and a new operator at the same time. Servers are replaced one after the
// other, each through a takeover and a giveback: clients see planned gaps and nothing else.
import { expect } from 'vitest';
import { restartOperator } from '../harness/faults/control-plane.ts';
import { PAIR, type Pair, SERVERS } from '../harness/pair.ts';
import { LINES_AFTERWARDS, SERVER, scenario } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { WRITER_FINISHED_MS_MAX } from '../harness/timeouts.ts';
import { eventually } from '../machine/eventually.ts';

const ROLLED_OUT_MS_MAX = 4 * 60_000;

async function podsOf(pair: Pair): Promise<string[]> {
  return Promise.all(SERVERS.map(async (server) => (await pair.pod(server)).metadata.name));
}

/** What a new image, other resources or other lease times come down to. */
async function changeResources(pair: Pair): Promise<void> {
  const patch = SERVERS.map((_, index) => ({
    op: 'replace',
    path: `/spec/servers/${index}/placement/resources/requests/memory`,
    value: '260Mi',
  }));
  await pair.kubectl.run('patch', 'filerpair', PAIR, '--type=json', `--patch=${JSON.stringify(patch)}`);
}

scenario(
  {
    name: 'rolling-upgrade',
    fault: 'both servers and the operator are replaced, one after the other',
    gapMsGoal: 300,
    replaces: SERVERS,
  },
  'a rolling upgrade under load: planned gaps, nothing is lost, nothing is executed twice',
  async ({ pair, writer, leases }) => {
    const before = await podsOf(pair);
    await writer.mark('failover');
    await step('the spec is changed', () => changeResources(pair));
    await step('the operator is replaced', () => restartOperator(pair));
    await step('both servers have new pods, and are at home', () =>
      eventually(
        'the rollout is complete',
        ROLLED_OUT_MS_MAX,
        async () => {
          const now = await podsOf(pair).catch(() => before);
          const moved = now.every((name, index) => name !== before[index]);
          return moved && SERVERS.every((server) => pair.ownerOf(server) === server);
        },
        () => JSON.stringify(pair.latest?.status ?? {}, null, 1),
      ),
    );
    await pair.takeoverPossible(WRITER_FINISHED_MS_MAX);
    await step('the writer is served', () => writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
    expect(leases.ownerChanges(SERVER), 'changes of owner').toBe(2);
  },
);
