/**
 * The control plane stands still in the middle of a move, when the pod that holds the disk has been told to go. Who has disks
 * serves on; the disk set on its way is served when the API server answers again, and the move ends by itself.
 */
import { expect, inject } from 'vitest';
import { eventually } from '../../testing/eventually.ts';
import { pauseControlPlane, unpauseControlPlane } from '../harness/faults/control-plane.ts';
import type { Pair, PodThing } from '../harness/pair.ts';
import { LINES_AFTERWARDS, PARTNER, SERVER, scenario } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { NODE_BACK_MS_MAX, REQUEST_ANSWERED_MS_MAX, WRITER_FINISHED_MS_MAX } from '../harness/timeouts.ts';
import { ReattachPair } from './reattach-pair.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    apiAwaySeconds: number;
  }
}

const AWAY_MS = inject('apiAwaySeconds') * 1000;
/** What comes before and after. */
const AROUND_MS = 15 * 60_000;

async function toldToGo(pair: Pair, uid: string): Promise<void> {
  await eventually('its pod is told to go', REQUEST_ANSWERED_MS_MAX, async () => {
    const pods = await pair.kubectl.list<PodThing>('pods', `filerpair.dev/attachment=${SERVER}`);
    const old = pods.find(({ metadata }) => metadata.uid === uid);
    return old === undefined || old.metadata.deletionTimestamp !== undefined;
  });
}

scenario(
  {
    name: 'reattach-api-away-while-moving',
    fault: `the control plane stands still for ${AWAY_MS / 1000} s in the middle of a move`,
    gapMsGoal: AWAY_MS + 15_000,
    replaces: [],
    makePair: (environment, namespace) =>
      new ReattachPair(environment, namespace, { reattach: { attachTimeout: '300s' } }),
    survivorsClient: true,
    cleanUp: unpauseControlPlane,
    msMax: AWAY_MS + AROUND_MS,
  },
  'a move in whose middle the API server goes away ends when it is back, and the other disk set is served meanwhile',
  async ({ pair, writer, survivorsClient }) => {
    const before = await (pair as ReattachPair).attachmentPod(SERVER);
    await writer.mark('failover');
    await pair.ask('takeover', SERVER);
    await step('the disk is on its way', () => toldToGo(pair, before.metadata.uid));
    await step('the control plane stands still', () => pauseControlPlane(pair));
    const from = performance.now();
    await step(`for ${AWAY_MS / 1000} s, while the other disk set is served`, async () => {
      while (performance.now() - from < AWAY_MS)
        await survivorsClient!.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX);
    });
    await step('it goes on', () => unpauseControlPlane(pair));
    await step('the writer is served again', () => writer.writes(LINES_AFTERWARDS, NODE_BACK_MS_MAX));
    await step('both disk sets are served', () => pair.ready(NODE_BACK_MS_MAX));
    await step('a takeover is possible', () => pair.takeoverPossible(NODE_BACK_MS_MAX));
    expect(pair.ownerOf(PARTNER), `who serves the disk set of ${PARTNER}`).toBe(PARTNER);
    if (pair.ownerOf(SERVER) !== SERVER) {
      await writer.mark('giveback');
      await step('giveback is asked for', () => pair.request('giveback', SERVER));
    } else await step('a takeover is asked for', () => pair.request('takeover', SERVER));
    await step('the writer is served again', () => writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
  },
);
