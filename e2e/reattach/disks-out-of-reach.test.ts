/**
 * Disks that are made where their first pod is and cannot be attached anywhere else: the pair serves, and says that nobody
 * could take over, and why.
 */
import { expect, test } from 'vitest';
import { STORAGE_CLASS_LOCAL } from '../csi/install.ts';
import { readEnvironment } from '../environment.ts';
import { collectLogs } from '../harness/logs.ts';
import { recordResult } from '../harness/results.ts';
import { PARTNER, SERVER } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { REQUEST_ANSWERED_MS_MAX, SCENARIO_MS_MAX } from '../harness/timeouts.ts';
import { ReattachPair } from './reattach-pair.ts';

const NAME = 'reattach-disks-out-of-reach';

test(
  'a pair whose disks cannot be attached to the node of the partner says so',
  async () => {
    const from = performance.now();
    const claim = { storageClassName: STORAGE_CLASS_LOCAL };
    const pair = new ReattachPair(readEnvironment(), `e2e-${NAME}`, { claim });
    let passed = false;
    try {
      await step('a FilerPair is applied', () => pair.create());
      await step('it becomes Ready: nothing waits for anything', () => pair.ready());
      const sentence = await step('the status says that nobody could take over', () =>
        pair.conditionSays('TakeoverPossible', 'DisksOutOfReach', REQUEST_ANSWERED_MS_MAX),
      );
      const { nodeName } = (await pair.pod(PARTNER)).spec;
      expect(sentence).toContain(`${PARTNER} could not take over the disk set of ${SERVER}`);
      expect(sentence).toContain(`cannot be attached to node ${nodeName}`);
      passed = true;
    } finally {
      const fault = 'none: disks that only one node can have';
      recordResult(NAME, { fault, passed, tookMs: Math.round(performance.now() - from) });
      await collectLogs(pair, NAME);
      await pair.remove();
    }
  },
  SCENARIO_MS_MAX,
);
