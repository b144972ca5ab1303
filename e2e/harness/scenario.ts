/**
 * The frame of every scenario that breaks a pair: a pair of its own, a client that writes throughout, and the books checked
 * afterwards. What happens in between is the scenario's own.
 */
import { expect, test } from 'vitest';
import { readEnvironment, type TestEnvironment } from '../environment.ts';
import { say } from '../machine/stage.ts';
import { BEFORE, type Verdict } from './check-history.ts';
import { type Client, createClientPod, Writer } from './client-pod.ts';
import { LeaseHistory } from './lease-history.ts';
import { collectLogs } from './logs.ts';
import { identityChanges, networkIdentity } from './network-identity.ts';
import { Pair, type Server } from './pair.ts';
import { median } from './phase-times.ts';
import { readyIsTrue } from './ready-is-true.ts';
import { recordResult, type ScenarioResult } from './results.ts';
import { step } from './step.ts';
import { LEASE_MS, SCENARIO_MS_MAX, WRITER_FINISHED_MS_MAX } from './timeouts.ts';

/** The server that suffers; its partner covers. */
export const SERVER: Server = 'a';
export const PARTNER: Server = 'b';
/** So that it takes little of the processors from what it watches. */
const SURVIVORS_CLIENT_PAUSE_MS = 20;
/** Lines acknowledged that show that the writer is served. */
export const LINES_AFTERWARDS = 50;

export interface ScenarioFrame {
  /** File name of the scenario: its key in out/e2e.json. */
  readonly name: string;
  /** What happens, as a sentence. */
  readonly fault: string;
  /** Longest wait for an acknowledgement that is within the goal, ms; reported, since the machine may be busy. */
  readonly gapMsGoal: number;
  /** Servers whose pod the scenario replaces: only their own addresses may change. */
  readonly replaces: readonly Server[];
  /** Changes the volumes' directories before the pair is made. */
  readonly prepare?: ((pair: Pair) => Promise<void>) | undefined;
  /** Undoes the fault when the scenario fails half way. */
  readonly cleanUp?: ((pair: Pair) => Promise<void>) | undefined;
  /** A pair with other volumes than those of the directory that the workers share. */
  readonly makePair?: ((environment: TestEnvironment, namespace: string) => Pair) | undefined;
  /** A client that is not a pod, or is another pod; `node`: one that the scenario will not break. */
  readonly makeClient?: ((pair: Pair, node: string) => Promise<Client>) | undefined;
  /** Another client uses the partner's own disk set meanwhile; its longest wait is recorded. */
  readonly survivorsClient?: boolean | undefined;
  /** The API server forgets what it has acknowledged: Leases are seen as they were before. */
  readonly goesBack?: boolean | undefined;
  /** Domain of the names outside the cluster; null: none, and nobody asks the DNS. */
  readonly domain?: string | null | undefined;
  /** ms; for long scenarios. */
  readonly msMax?: number | undefined;
}

/** What a scenario works with. */
export interface Stage {
  readonly pair: Pair;
  readonly writer: Writer;
  readonly leases: LeaseHistory;
  /** The client of the partner's own disk set, where the frame has asked for one. */
  readonly survivorsClient: Writer | undefined;
  /** Notes what clients know the pair by: it must be the same at every note. */
  readonly noteIdentity: () => Promise<void>;
}

/**
 * Plays until the fault is over; marks "failover" (and "giveback") where the gaps are to be measured. What happens often has
 * marks with numbers, "failover 1".
 */
export type Play = (stage: Stage) => Promise<void>;

export function scenario(frame: ScenarioFrame, title: string, play: Play): void {
  test(
    title,
    async () => {
      const from = performance.now();
      let measured: Partial<ScenarioResult> = {};
      let passed = false;
      const makePair = frame.makePair ?? ((environment, namespace) => new Pair(environment, namespace));
      const pair = makePair(readEnvironment(), `e2e-${frame.name}`);
      try {
        measured = await runScenario(frame, pair, play);
        judge(measured);
        passed = true;
      } finally {
        recordResult(frame.name, {
          fault: frame.fault,
          ...measured,
          passed,
          gapMsGoal: frame.gapMsGoal,
          leaseMs: LEASE_MS,
          tookMs: Math.round(performance.now() - from),
        });
        await frame.cleanUp?.(pair);
        const logs = await collectLogs(pair, frame.name);
        if (!passed) console.error(`logs and objects are in ${logs}`);
        await step('the pair is removed', () => pair.remove());
      }
    },
    frame.msMax ?? SCENARIO_MS_MAX,
  );
}

async function runScenario(frame: ScenarioFrame, pair: Pair, play: Play): Promise<Partial<ScenarioResult>> {
  const { domain = 'nas.example.org' } = frame;
  await step('a FilerPair is applied', () => pair.create(domain ?? undefined, frame.prepare));
  await step('it becomes Ready', () => pair.ready());
  await step('a takeover is possible', () => pair.takeoverPossible(WRITER_FINISHED_MS_MAX));
  // A machine that is too busy takes the processor from a server for longer than its lease already now.
  if (pair.ownerOf(SERVER) !== SERVER)
    await step('its disk set fails back', async () => {
      await pair.request('giveback', SERVER);
      await pair.takeoverPossible(WRITER_FINISHED_MS_MAX);
    });
  const leases = new LeaseHistory(pair);
  let writer: Writer | undefined;
  let other: Writer | undefined;
  try {
    const survivor = await pair.pod(PARTNER);
    const makeClient = frame.makeClient ?? createClientPod;
    const client = await step('a client runs', () => makeClient(pair, survivor.spec.nodeName));
    writer = await step(`it writes to ${pair.urlOf(SERVER)}`, () =>
      Writer.start(client, pair, SERVER, 'run'),
    );
    await step('the writer is served', () => writer!.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
    if (frame.survivorsClient)
      other = await step(`another one writes to ${pair.urlOf(PARTNER)}`, () =>
        Writer.start(client, pair, PARTNER, 'own', SURVIVORS_CLIENT_PAUSE_MS),
      );
    const identity = await networkIdentity(pair);
    const moved: string[] = [];
    const noteIdentity = async () => {
      moved.push(...identityChanges(identity, await networkIdentity(pair), frame.replaces));
    };

    await play({ pair, writer, leases, survivorsClient: other, noteIdentity });
    await noteIdentity();
    await step('what Ready says is true', () => readyIsTrue(pair));

    const verdict = await step('the writer ends, and its history is compared with the disk', () =>
      writer!.finish(),
    );
    const othersVerdict = await other?.finish();
    const lost = [...verdict.lost, ...(othersVerdict?.lost ?? [])];
    const duplicated = [...verdict.duplicated, ...(othersVerdict?.duplicated ?? [])];
    const survivorsClientMs = other && othersVerdict && waitsOf(other, othersVerdict);
    if (survivorsClientMs)
      say(`  ${PARTNER}'s own client waited at most, ms: ${JSON.stringify(survivorsClientMs)}`);
    const violations = leases.violations(frame.goesBack);
    for (const problem of [...lost, ...duplicated, ...moved, ...violations]) console.error(problem);
    say(
      writer
        .noticed()
        .map((line) => `          ${line}`)
        .join('\n')
        .trimStart(),
    );
    const gaps = gapsOf(verdict, 'failover');
    const givebackGaps = gapsOf(verdict, 'giveback');
    return {
      gapMs: rounded(gaps.at(-1)),
      ...(givebackGaps.length > 0 && { givebackGapMs: rounded(givebackGaps.at(-1)) }),
      ...(gaps.length > 1 && { medianGapMs: rounded(median(gaps)) }),
      ...(givebackGaps.length > 1 && { medianGivebackGapMs: rounded(median(givebackGaps)) }),
      ...(survivorsClientMs && { survivorsClientMs }),
      ownerChanges: leases.ownerChanges(SERVER),
      acknowledged: verdict.acknowledged,
      lost: lost.length,
      duplicated: duplicated.length,
      ownersViolated: violations.length,
      identityChanges: moved.length,
    };
  } catch (error) {
    if (writer) console.error(`what the writer noticed:\n${writer.noticed().join('\n')}`);
    throw error;
  } finally {
    writer?.kill();
    other?.kill();
    leases.stop();
  }
}

/** Of all marks "KIND" and "KIND NUMBER", the longest last. ms */
function gapsOf({ gapMs }: Verdict, kind: 'failover' | 'giveback'): number[] {
  const marks = [...gapMs].filter(([name]) => name.split(' ')[0] === kind);
  return marks.map(([, ms]) => ms).sort((a, b) => a - b);
}

function waitsOf(client: Writer, { gapMs }: Verdict): ScenarioResult['survivorsClientMs'] {
  const { attributesMs, clockLateMs } = client.bystandersWaits();
  return {
    durable: rounded(gapMs.get(BEFORE)),
    attributes: rounded(attributesMs),
    ownClockLate: rounded(clockLateMs),
  };
}

function judge(result: Partial<ScenarioResult>): void {
  expect(result).toMatchObject({ lost: 0, duplicated: 0, ownersViolated: 0, identityChanges: 0 });
  expect(result.acknowledged).toBeGreaterThan(3 * LINES_AFTERWARDS);
}

function rounded(value: number | undefined): number {
  if (value === undefined) throw new Error('the writer set no such mark');
  return Math.round(value * 10) / 10;
}
