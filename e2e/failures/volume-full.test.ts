/**
 * The volume runs full under the writer. It is told so; a takeover and a giveback work all the same, for the journal and the
 * ownership record have their space; and with room again everything goes on.
 */
import {
  fill,
  makeRoom,
  mountSmallVolume,
  PairOnSmallVolume,
  unmountSmallVolume,
} from '../harness/faults/small-volume.ts';
import { LINES_AFTERWARDS, PARTNER, SERVER, scenario } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { WRITER_FINISHED_MS_MAX } from '../harness/timeouts.ts';

const SIZE_MIB = 64;
const MS_MAX = WRITER_FINISHED_MS_MAX;

scenario(
  {
    name: 'volume-full',
    fault: 'the volume is full, and its disk set moves there and back',
    gapMsGoal: 10_000,
    replaces: [],
    makePair: (environment, namespace) => new PairOnSmallVolume(environment, namespace),
    prepare: (pair) => mountSmallVolume(pair, SERVER, SIZE_MIB),
    cleanUp: (pair) => unmountSmallVolume(pair, SERVER),
  },
  'a full volume is an error for its clients, and no obstacle for a takeover',
  async ({ pair, writer }) => {
    await writer.mark('failover');
    await step('the volume is filled', () => fill(pair, SERVER));
    await step('the writer is told', () => writer.finds('noSpace', MS_MAX));
    await step('a takeover is asked for', () => pair.request('takeover', SERVER));
    await step(`${PARTNER} serves it`, () => pair.servedBy(SERVER, PARTNER, MS_MAX));
    await step('the writer is told', () => writer.finds('noSpace', MS_MAX));
    await pair.takeoverPossible(MS_MAX);
    await step('giveback is asked for', () => pair.request('giveback', SERVER));
    await step(`${SERVER} serves it`, () => pair.servedBy(SERVER, SERVER, MS_MAX));
    await step('there is room again', () => makeRoom(pair, SERVER));
    await step('the writer is served', () => writer.writes(LINES_AFTERWARDS, MS_MAX));
  },
);
