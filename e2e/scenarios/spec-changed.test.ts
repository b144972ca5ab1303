// A change of the spec while a client writes: both servers get new pods, one after the other, and the client sees no
// more than the planned gaps of four hand-overs.
import { expect } from 'vitest';

import { PAIR } from '../harness/pair.ts';
import { LINES_AFTERWARDS, PARTNER, SERVER, scenario } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { WRITER_FINISHED_MS_MAX } from '../harness/timeouts.ts';
import { eventually } from '../machine/eventually.ts';

/** Two pods, one after the other, each with two hand-overs. */
const ROLLED_OUT_MS_MAX = 4 * 60_000;

scenario(
  {
    name: 'spec-changed',
    fault: 'resources and heartbeat of the FilerPair are changed',
    gapMsGoal: 300,
    replaces: [SERVER, PARTNER],
  },
  'a changed spec reaches both servers, one after the other: nothing is lost, nothing is executed twice, home has it all',
  async ({ pair, writer, leases }) => {
    const pods = { [SERVER]: await pair.pod(SERVER), [PARTNER]: await pair.pod(PARTNER) };
    const rollingOut = () => pair.latest?.status?.rollout?.state;
    await writer.mark('failover');
    await step('resources and heartbeat are changed', () =>
      pair.kubectl.run(
        'patch',
        'filerpair',
        PAIR,
        '--type=json',
        '--patch',
        JSON.stringify([
          { op: 'add', path: '/spec/failover/heartbeat', value: '150ms' },
          ...[0, 1].map((index) => ({
            op: 'add',
            path: `/spec/servers/${index}/placement/resources/requests/memory`,
            value: '300Mi',
          })),
        ]),
      ),
    );
    await step('the operator begins', () =>
      eventually('a rollout is under way', ROLLED_OUT_MS_MAX, () => rollingOut() !== undefined),
    );
    const states = new Set<string>();
    await step('both servers have new pods, and their disk sets', () =>
      eventually(
        'the rollout has ended',
        ROLLED_OUT_MS_MAX,
        () => {
          const state = rollingOut();
          if (state !== undefined) states.add(state);
          return state === undefined;
        },
        () => `status is ${JSON.stringify(pair.latest?.status ?? {}, null, 1)}`,
      ),
    );
    await step('the writer is served', () => writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
    await step('a takeover is possible', () => pair.takeoverPossible(WRITER_FINISHED_MS_MAX));
    for (const server of [SERVER, PARTNER] as const) {
      expect((await pair.pod(server)).metadata.uid).not.toBe(pods[server]?.metadata.uid);
      expect(pair.ownerOf(server)).toBe(server);
    }
    expect([...states]).not.toContain('Blocked');
    expect(leases.ownerChanges(SERVER)).toBeGreaterThanOrEqual(2);
  },
);
