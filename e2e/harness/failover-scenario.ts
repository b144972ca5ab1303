/** Scenarios in which a disk set changes its owner and comes back: the fault, the failover, the giveback. */
import { expect } from 'vitest';
import type { TestEnvironment } from '../environment.ts';
import { say } from '../machine/stage.ts';
import type { Client } from './client-pod.ts';
import type { Pair, Server, Transition } from './pair.ts';
import { LINES_AFTERWARDS, PARTNER, SERVER, type Stage, scenario } from './scenario.ts';
import { step } from './step.ts';
import { WRITER_FINISHED_MS_MAX } from './timeouts.ts';

export interface FailoverScenario {
  readonly name: string;
  /** What happens to the server, as a sentence. */
  readonly fault: string;
  readonly inject: (pair: Pair, server: Server) => Promise<void>;
  readonly gapMsGoal: number;
  /** Makes the server whole again, and waits until it is, if the cluster does not do it by itself. */
  readonly repair: (pair: Pair, server: Server) => Promise<void>;
  /** Gives the disk set back; by a FilerPairOperation, unless said otherwise. */
  readonly giveBack?: (pair: Pair, server: Server) => Promise<void>;
  /** Whether the fault replaces the server's pod: only then may its own address change. */
  readonly replacesPod: boolean;
  readonly cleanUp?: (pair: Pair) => Promise<void>;
  /** How long until the partner serves, at most. ms */
  readonly servedMsMax?: number;
  readonly makePair?: (environment: TestEnvironment, namespace: string) => Pair;
  readonly makeClient?: (pair: Pair, node: string) => Promise<Client>;
  readonly survivorsClient?: boolean;
  /** Before the pair is made. */
  readonly prepare?: (pair: Pair) => Promise<void>;
}

export function failoverScenario(failover: FailoverScenario): void {
  const { replacesPod, ...frame } = failover;
  scenario(
    { ...frame, replaces: replacesPod ? [SERVER] : [] },
    `${failover.fault}: its partner serves, nothing is lost, nothing is executed twice, and home takes back`,
    (stage) => play(failover, stage),
  );
}

async function play(
  failover: FailoverScenario,
  { pair, writer, leases, noteIdentity }: Stage,
): Promise<void> {
  const changesBefore = leases.ownerChanges(SERVER);
  await writer.mark('failover');
  await step(failover.fault, () => failover.inject(pair, SERVER));
  await step(`${PARTNER} serves the disk set of ${SERVER}`, () =>
    pair.servedBy(SERVER, PARTNER, failover.servedMsMax ?? WRITER_FINISHED_MS_MAX),
  );
  await step('the writer is served again', () => writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
  await noteIdentity();
  say(`  ${describeTransition(await pair.lastTransition(SERVER))}`);

  await step(`${SERVER} is whole again`, () => failover.repair(pair, SERVER));
  if (pair.ownerOf(SERVER) !== PARTNER)
    await step('it has failed back by itself: back for the giveback', () => moveAgain(pair));
  await writer.mark('giveback');
  await step('giveback is asked for', () =>
    askForGiveback(pair, failover.giveBack ?? ((it, server) => it.request('giveback', server))),
  );
  await step(`${SERVER} serves its own disk set`, () =>
    pair.servedBy(SERVER, SERVER, WRITER_FINISHED_MS_MAX),
  );
  await step('the writer is served again', () => writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
  say(`  ${describeTransition(await pair.lastTransition(SERVER))}`);
  // Fewer would mean that nothing happened, so nothing was tested.
  expect(leases.ownerChanges(SERVER) - changesBefore, 'changes of owner').toBeGreaterThanOrEqual(2);
}

/**
 * On a machine that is too busy the survivor may get no processor for longer than its lease; then it is rightly taken
 * over in turn. The books stay right, and are checked; the giveback gets its turn all the same.
 */
async function moveAgain(pair: Pair): Promise<void> {
  await pair.takeoverPossible(WRITER_FINISHED_MS_MAX);
  await pair.request('takeover', SERVER);
  await pair.servedBy(SERVER, PARTNER, WRITER_FINISHED_MS_MAX);
}

/** A server that got no processor for a moment is rightly not given anything; it is asked again when it is steady. */
async function askForGiveback(
  pair: Pair,
  giveBack: (pair: Pair, server: Server) => Promise<void>,
): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await giveBack(pair, SERVER);
      return;
    } catch (error) {
      if (tries === 4 || !(error as Error).message.includes('PartnerNotSteady')) throw error;
      await pair.takeoverPossible(WRITER_FINISHED_MS_MAX);
    }
  }
}

function describeTransition(transition: Transition | undefined): string {
  if (!transition) return 'the record names no transition';
  const phases = transition.phases
    .map(
      ({ name, offsetMilliseconds: at, durationMilliseconds: took }) => `${name} at ${at} ms for ${took} ms`,
    )
    .join(', ');
  return `${transition.kind} because ${transition.cause} to ${transition.to}, epoch ${transition.epoch}: ${phases}`;
}
