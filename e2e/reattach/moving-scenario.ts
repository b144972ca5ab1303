/** Scenarios in which a disk set changes its owner and its disks follow it from node to node, there and back. */
import { expect } from 'vitest';
import { failoverScenario } from '../harness/failover-scenario.ts';
import { type Pair, partnerOf, type Server } from '../harness/pair.ts';
import { step } from '../harness/step.ts';
import { say } from '../machine/stage.ts';
import { DiskMoves } from './disk-moves.ts';
import { type DiskSettings, ReattachPair } from './reattach-pair.ts';

/** Goals: dominated by what Kubernetes takes to detach and attach. */
export const PLANNED_MS_GOAL = 5_000;
export const CRASH_MS_GOAL = 6_000;

export interface MovingScenario {
  readonly name: string;
  readonly fault: string;
  readonly gapMsGoal: number;
  /** What has to be so before the fault. */
  readonly before?: (pair: ReattachPair, server: Server) => Promise<void>;
  readonly inject: (pair: ReattachPair, server: Server) => Promise<void>;
  readonly repair: (pair: ReattachPair, server: Server) => Promise<void>;
  readonly replacesPod?: boolean;
  readonly cleanUp?: (pair: ReattachPair) => Promise<void>;
  /** How long until the partner serves, at most. ms */
  readonly servedMsMax?: number;
  readonly disks?: DiskSettings;
  readonly survivorsClient?: boolean;
  /** Before the pair is made. */
  readonly prepare?: (pair: Pair) => Promise<void>;
}

export function movingScenario(moving: MovingScenario): void {
  let moves: DiskMoves | undefined;
  let nodeBefore = '';
  let survivorBefore = '';
  const { before, inject, repair, cleanUp, disks, replacesPod = false, ...frame } = moving;
  failoverScenario({
    ...frame,
    replacesPod,
    makePair: (environment, namespace) => new ReattachPair(environment, namespace, disks),
    inject: async (pair, server) => {
      nodeBefore = (await (pair as ReattachPair).attachmentPod(server)).spec.nodeName;
      survivorBefore = await containersOf(pair, partnerOf(server));
      moves = await DiskMoves.watch(pair, server);
      await before?.(pair as ReattachPair, server);
      moves.begin();
      await inject(pair as ReattachPair, server);
    },
    repair: async (pair, server) => {
      await diskHasMoved(pair as ReattachPair, server, nodeBefore);
      expect(await containersOf(pair, partnerOf(server)), 'the survivor').toBe(survivorBefore);
      say(`  steps of the move, ms: ${JSON.stringify(moves!.phasesMs())}`);
      await repair(pair as ReattachPair, server);
      moves!.begin();
    },
    cleanUp: async (pair: Pair) => {
      if (moves) say(`  steps of the move back, ms: ${JSON.stringify(moves.phasesMs())}`);
      moves?.stop();
      await cleanUp?.(pair as ReattachPair);
    },
  });
}

/** Changes when the pod is replaced, or one of its containers restarted. */
async function containersOf(pair: Pair, server: Server): Promise<string> {
  const { metadata, status } = await pair.pod(server);
  return [metadata.uid, ...(status.containerStatuses ?? []).map(({ containerID }) => containerID)].join(' ');
}

async function diskHasMoved(pair: ReattachPair, server: Server, from: string): Promise<void> {
  await step('the disk is on another node', async () => {
    const { nodeName } = (await pair.attachmentPod(server)).spec;
    expect(nodeName, 'node of the disk').not.toBe(from);
  });
}
