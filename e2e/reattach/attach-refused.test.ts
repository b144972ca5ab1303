/** The node of the partner cannot have the disk: the partner gives the disk set back, and its home serves again. */
import { expect } from 'vitest';
import { readEnvironment } from '../environment.ts';
import { LINES_AFTERWARDS, PARTNER, SERVER, scenario } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { REQUEST_ANSWERED_MS_MAX, WRITER_FINISHED_MS_MAX } from '../harness/timeouts.ts';
import { allow, refuse } from './disk-faults.ts';
import { ReattachPair } from './reattach-pair.ts';

const PATIENCE_S = 8;
let refusing: string | undefined;

function recover(): void {
  if (refusing !== undefined) allow(readEnvironment().cluster, 'refuse-attach', refusing);
  refusing = undefined;
}

scenario(
  {
    name: 'reattach-attach-refused',
    fault: 'a takeover is asked for, and the disk cannot be attached to the node of the partner',
    // There, the partner's patience, and back.
    gapMsGoal: PATIENCE_S * 1000 + 5_000,
    replaces: [],
    makePair: (environment, namespace) =>
      new ReattachPair(environment, namespace, { reattach: { attachTimeout: `${PATIENCE_S}s` } }),
    cleanUp: async () => recover(),
  },
  'a disk that cannot be attached to the node of the partner comes back, and nothing is lost',
  async ({ pair, writer }) => {
    refusing = (await pair.pod(PARTNER)).spec.nodeName;
    refuse(pair.environment.cluster, 'refuse-attach', refusing, 'too many disks on this node');
    await writer.mark('failover');
    await step('a takeover is asked for', () => pair.request('takeover', SERVER));
    const sentence = await step('the status says what it waits for', () =>
      pair.conditionSays('Ready', 'DisksStuck', REQUEST_ANSWERED_MS_MAX),
    );
    expect(sentence).toContain(`cannot be attached to node ${refusing}`);
    expect(sentence).toContain('too many disks on this node');
    await step(`${PARTNER} gives up, and ${SERVER} serves its own disk set again`, () =>
      pair.servedBy(SERVER, SERVER, WRITER_FINISHED_MS_MAX),
    );
    await step('the writer is served again', () => writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
    await step('the partner stays away from it', () => pair.ready());
  },
);
