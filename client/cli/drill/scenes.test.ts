/** What is drawn of a drill: the new owner's phases and the probe's events on one line of time. */
import { expect, it } from 'vitest';
import type { ProbeLine } from '../probe/probe-line.ts';
import type { DrillPlan } from './plan.ts';
import { drillScenes, drillText, type Transition } from './scenes.ts';

const plan = {
  pair: 'nas',
  server: 'a',
  partner: 'b',
  service: 'nas-a',
  partnerService: 'nas-b',
  share: 'home',
  epoch: 1,
  port: 2049,
  failoverPort: 2050,
} as DrillPlan;

const T = Date.parse('2026-11-30T12:00:00.000Z');
const phases = (...named: [string, number, number][]): Transition['phases'] =>
  named.map(([name, offsetMilliseconds, durationMilliseconds]) => ({
    name,
    offsetMilliseconds,
    durationMilliseconds,
  }));
const moved = (kind: string, epoch: number, to: string, atMs: number): Transition => ({
  kind,
  cause: 'Released',
  epoch,
  to,
  time: new Date(T + atMs).toISOString(),
  durationMilliseconds: 40,
  phases: phases(['claim', 0, 10], ['verify', 10, 20], ['listen', 30, 10], ['firstReply', 40, 20]),
});
const history = [
  moved('Giveback', 3, 'a', 9000),
  moved('Takeover', 2, 'b', 10),
  moved('Start', 1, 'a', -9e6),
];

const lost = (atMs: number): ProbeLine => ({
  kind: 'Lost',
  atMs: T + atMs,
  port: 'primary',
  target: 'nas-a:2049',
  reason: 'ECONNRESET',
});
const adopted = (atMs: number, port: 'primary' | 'secondary'): ProbeLine => ({
  kind: 'Adopted',
  atMs: T + atMs,
  port,
  target: 'nas-b:2050',
  afterMs: 60,
  attempts: 3,
  resent: 1,
});
const answered = (atMs: number, pauseMs: number): ProbeLine => ({
  kind: 'Answered',
  atMs: T + atMs,
  pauseMs,
});
const lines: ProbeLine[] = [
  { kind: 'Started', atMs: T - 2000 },
  // A connection that broke before, and came back.
  ...[lost(-500), adopted(-490, 'primary'), answered(-480, 12)],
  ...[lost(0), adopted(66, 'secondary'), answered(70, 74.2)],
  ...[lost(8995), adopted(9070, 'primary'), answered(9075, 81.6)],
  {
    kind: 'Ended',
    atMs: T + 10_000,
    replies: 900,
    longestPauseMs: 81.6,
    lines: { acknowledged: 900, lost: 0 },
  },
];

it('begins each scene with what came first, and ends it with the next reply', () => {
  const scenes = drillScenes(plan, history, lines);
  expect(drillText(plan, scenes, lines)).toBe(`nas-b takes over the disks of nas-a, on request
     0.0 ms  |o                       |  client: connection lost, tries both ports from now on
    10.0 ms  |---o                    |  nas-b knows: it was handed over
    20.0 ms  |-------o                |  nas-b owns nas-a's disks: lease at epoch 2
    40.0 ms  |-------------o          |  volumes verified, journals read
    50.0 ms  |----------------o       |  port 2050 is open
    66.0 ms  |----------------------o |  client: secondary port found (3 attempts), 1 unanswered call sent again
    70.0 ms  |-----------------------o|  first request answered there
    70.0 ms  |-----------------------o|  client: the next reply
  the probe waited 74 ms for its next reply

nas-a gets its disks back
     0.0 ms  |o                       |  client: connection lost, tries both ports from now on
     5.0 ms  |-o                      |  nas-a sees its disks released to it
    15.0 ms  |----o                   |  nas-a owns nas-a's disks: lease at epoch 3
    35.0 ms  |----------o             |  volumes verified, journals read
    45.0 ms  |-------------o          |  port 2049 is open
    65.0 ms  |-------------------o    |  first request answered there
    75.0 ms  |----------------------o |  client: primary port found (3 attempts), 1 unanswered call sent again
    80.0 ms  |-----------------------o|  client: the next reply
  the probe waited 82 ms for its next reply

share home: 900 lines acknowledged, 0 of them lost; the longest pause between two replies was 82 ms
`);
});

it('says that clocks differ where the probe was answered before the port was open', () => {
  const behind = drillScenes(plan, [moved('Takeover', 2, 'b', 60)], lines);
  expect(behind.takeover.result).toBe(
    'the probe waited 74 ms for its next reply (the clocks of the nodes differ by 30 ms at least)',
  );
});

it('draws what there is: no record, or a probe that did not move', () => {
  const { takeover, giveback } = drillScenes(plan, [], lines.slice(0, 7));
  expect(takeover.transition).toBeNull();
  expect(takeover.moments.map(({ text }) => text)).toEqual([
    'client: connection lost, tries both ports from now on',
    'client: secondary port found (3 attempts), 1 unanswered call sent again',
    'client: the next reply',
  ]);
  expect(giveback).toMatchObject({ moments: [], pauseMs: null, result: 'the probe was not seen to move' });
});
