/**
 * The storage does not let go of the disk: it is not served, the status says why in the storage's own words, and when it lets
 * go the move goes on by itself.
 */
import { expect } from 'vitest';
import { readEnvironment } from '../environment.ts';
import { step } from '../harness/step.ts';
import { REQUEST_ANSWERED_MS_MAX } from '../harness/timeouts.ts';
import { allow, refuse } from './disk-faults.ts';
import { movingScenario } from './moving-scenario.ts';

let stuck: string | undefined;

function letGo(): void {
  if (stuck !== undefined) allow(readEnvironment().cluster, 'refuse-detach', stuck);
  stuck = undefined;
}

movingScenario({
  name: 'reattach-detach-stuck',
  fault: 'a takeover is asked for, and the storage does not detach',
  gapMsGoal: 15_000,
  inject: async (pair, server) => {
    stuck = (await pair.attachmentPod(server)).spec.nodeName;
    refuse(pair.environment.cluster, 'refuse-detach', stuck, 'the array does not answer');
    await pair.request('takeover', server);
    const sentence = await step('the status says what it waits for', () =>
      pair.conditionSays('Ready', 'DisksStuck', REQUEST_ANSWERED_MS_MAX),
    );
    expect(sentence).toContain(`is detached from node ${stuck}, which does not succeed`);
    expect(sentence).toContain('the array does not answer');
    await step('the storage lets go', async () => letGo());
  },
  repair: async () => {},
  cleanUp: async () => letGo(),
});
