// The frame of every scenario in which a disk set changes its owner and comes back: a pair of its own, a client
// that writes throughout, the fault, the failover, the giveback, and the books checked afterwards.
import { expect, test } from 'vitest';
import { readEnvironment } from '../environment.ts';
import { say } from '../machine/stage.ts';
import { createClientPod, Writer } from './client-pod.ts';
import { LeaseHistory } from './lease-history.ts';
import { collectLogs } from './logs.ts';
import { identityChanges, networkIdentity } from './network-identity.ts';
import { Pair, partnerOf, type Server, type Transition } from './pair.ts';
import { recordResult, type ScenarioResult } from './results.ts';
import { step } from './step.ts';
import { SCENARIO_MS_MAX, WRITER_FINISHED_MS_MAX } from './timeouts.ts';

export interface FailoverScenario {
  /** File name of the scenario: its key in out/e2e.json. */
  readonly name: string;
  /** What happens to the server, as a sentence. */
  readonly fault: string;
  readonly inject: (pair: Pair, server: Server) => Promise<void>;
  /** Longest wait for an acknowledgement that is within the goal, ms; reported, since the machine may be busy. */
  readonly gapMsGoal: number;
  /** Makes the server whole again, and waits until it is, if the cluster does not do it by itself. */
  readonly repair: (pair: Pair, server: Server) => Promise<void>;
  /** Whether the fault replaces the server's pod: only then may its own address change. */
  readonly replacesPod: boolean;
  /** Undoes the fault when the scenario fails half way. */
  readonly cleanUp?: (pair: Pair) => Promise<void>;
}

/** The server that suffers; its partner covers. */
const SERVER: Server = 'filer-a';
/** Lines acknowledged after a change of owner that show that the writer is served again. */
const LINES_AFTERWARDS = 50;
export function failoverScenario(scenario: FailoverScenario): void {
  test(
    `${scenario.fault}: its partner serves, nothing is lost, nothing is executed twice, and home takes back`,
    async () => {
      const from = performance.now();
      let measured: Partial<ScenarioResult> = {};
      let passed = false;
      const pair = new Pair(readEnvironment(), `e2e-${scenario.name}`);
      try {
        measured = await runScenario(scenario, pair);
        judge(measured);
        passed = true;
      } finally {
        recordResult(scenario.name, {
          ...measured,
          passed,
          gapMsGoal: scenario.gapMsGoal,
          tookMs: Math.round(performance.now() - from),
        });
        await scenario.cleanUp?.(pair);
        const logs = await collectLogs(pair, scenario.name);
        if (!passed) console.error(`logs and objects are in ${logs}`);
        await step('the pair is removed', () => pair.remove());
      }
    },
    SCENARIO_MS_MAX,
  );
}

async function runScenario(scenario: FailoverScenario, pair: Pair): Promise<Partial<ScenarioResult>> {
  const partner = partnerOf(SERVER);
  await step('a FilerPair is applied', () => pair.create('nas.example.org'));
  await step('it becomes Ready', () => pair.ready());
  await step('a takeover is possible', () => pair.takeoverPossible(WRITER_FINISHED_MS_MAX));
  const leases = new LeaseHistory(pair);
  let writer: Writer | undefined;
  try {
    const survivor = await pair.pod(partner);
    await step(`a client pod runs on ${survivor.spec.nodeName}`, () =>
      createClientPod(pair, survivor.spec.nodeName),
    );
    writer = await step(`it writes to ${SERVER}`, () => Writer.start(pair, SERVER, 'run'));
    await step('the writer is served', () => writer!.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
    const identity = await networkIdentity(pair);

    await writer.mark('failover');
    await step(scenario.fault, () => scenario.inject(pair, SERVER));
    await step(`${partner} serves the disk set of ${SERVER}`, () =>
      pair.servedBy(SERVER, partner, WRITER_FINISHED_MS_MAX),
    );
    await step('the writer is served again', () => writer!.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
    const during = await networkIdentity(pair);
    const failover = describeTransition(pair.latest?.status?.lastTransition);

    await step(`${SERVER} is whole again`, () => scenario.repair(pair, SERVER));
    if (pair.ownerOf(SERVER) !== partner)
      await step('it has gone home by itself: back for the giveback', () => moveAgain(pair, partner));
    await writer.mark('giveback');
    await step('giveback is asked for', () => pair.request('giveback', SERVER));
    await step(`${SERVER} serves its own disk set`, () =>
      pair.servedBy(SERVER, SERVER, WRITER_FINISHED_MS_MAX),
    );
    await step('the writer is served again', () => writer!.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
    const afterwards = await networkIdentity(pair);

    const verdict = await step('the writer ends, and its history is compared with the disk', () =>
      writer!.finish(),
    );
    const replaced = scenario.replacesPod ? [SERVER] : [];
    const moved = [
      ...identityChanges(identity, during, replaced),
      ...identityChanges(identity, afterwards, replaced),
    ];
    const violations = leases.violations();
    for (const problem of [...verdict.lost, ...verdict.duplicated, ...moved, ...violations])
      console.error(problem);
    say(
      `  ${failover}\n${writer
        .noticed()
        .map((line) => `          ${line}`)
        .join('\n')}`,
    );
    return {
      gapMs: rounded(verdict.gapMs.get('failover')),
      givebackGapMs: rounded(verdict.gapMs.get('giveback')),
      ownerChanges: leases.ownerChanges(SERVER),
      acknowledged: verdict.acknowledged,
      lost: verdict.lost.length,
      duplicated: verdict.duplicated.length,
      ownersViolated: violations.length,
      identityChanges: moved.length,
    };
  } catch (error) {
    if (writer) console.error(`what the writer noticed:\n${writer.noticed().join('\n')}`);
    throw error;
  } finally {
    writer?.kill();
    leases.stop();
  }
}

function judge(result: Partial<ScenarioResult>): void {
  expect(result).toMatchObject({ lost: 0, duplicated: 0, ownersViolated: 0, identityChanges: 0 });
  expect(result.acknowledged).toBeGreaterThan(3 * LINES_AFTERWARDS);
  // A gap of zero would mean that nothing happened to the writer, so nothing was tested.
  expect(result.gapMs, 'longest gap at the failover').toBeGreaterThan(5);
}

/**
 * On a machine that is too busy the survivor may get no processor for longer than its lease; then it is rightly taken
 * over in turn. The books stay right, and are checked; the giveback gets its turn all the same.
 */
async function moveAgain(pair: Pair, partner: Server): Promise<void> {
  await pair.takeoverPossible(WRITER_FINISHED_MS_MAX);
  await pair.request('takeover', SERVER);
  await pair.servedBy(SERVER, partner, WRITER_FINISHED_MS_MAX);
}

function describeTransition(transition: Transition | undefined): string {
  if (!transition) return 'the status names no transition';
  const phases = transition.phases.map(({ name, at, took }) => `${name} at ${at} for ${took}`).join(', ');
  return `${transition.kind} because ${transition.cause} to ${transition.to}, epoch ${transition.epoch}: ${phases}`;
}

function rounded(value: number | undefined): number {
  if (value === undefined) throw new Error('the writer set no such mark');
  return Math.round(value * 10) / 10;
}
