/** A drill as scenes of a timeline: what the new owner says of each move, beside what the probe went through. Pure. */
import type { DiskSetObject } from '../pairs/cluster.ts';
import { msText, type ProbeLine } from '../probe/probe-line.ts';
import { fitForLines, oneLine } from '../terminal.ts';
import { type Moment, timelineLines } from '../timeline/moment.ts';
import { clientMoments, phaseText } from '../timeline/phase-text.ts';
import type { Scene } from '../timeline/picture.ts';
import type { DrillPlan } from './plan.ts';

export type Transition = NonNullable<NonNullable<DiskSetObject['status']>['history']>[number];
type Words = Omit<DrillPlan, 'job'>;
type Answered = Extract<ProbeLine, { readonly kind: 'Answered' }>;

export interface DrillScene extends Scene {
  /** How long the probe waited for its next reply, ms; null: it was not seen to move. */
  readonly pauseMs: number | null;
  /** null: the record does not tell it. */
  readonly transition: Transition | null;
}

export interface DrillScenes {
  readonly takeover: DrillScene;
  readonly giveback: DrillScene;
}

/** Reports of servers and probe become parts of lines. */
export function drillScenes(
  given: DrillPlan,
  history: readonly Transition[],
  lines: readonly ProbeLine[],
): DrillScenes {
  const { job: _, ...rest } = given;
  const plan = fitForLines(rest);
  const since = fitForLines(history)
    .filter(({ epoch }) => epoch > plan.epoch)
    .toSorted((a, b) => a.epoch - b.epoch);
  const over = since.find(({ to }) => to === plan.partner) ?? null;
  const back = since.find(({ to, epoch }) => to === plan.server && epoch > (over?.epoch ?? 0)) ?? null;
  const there = stayAt('secondary', lines);
  const home = stayAt('primary', lines.slice(there.end));
  const { service, partnerService } = plan;
  return {
    takeover: scene(
      plan,
      `${partnerService} takes over the disks of ${service}, on request`,
      over,
      there.lines,
    ),
    giveback: scene(plan, `${service} gets its disks back`, back, home.lines),
  };
}

/** From the loss of a connection to the first reply at the port. `end`: how many lines lie before what comes next. */
function stayAt(port: 'primary' | 'secondary', lines: readonly ProbeLine[]) {
  const adopted = lines.findIndex((line) => line.kind === 'Adopted' && line.port === port);
  if (adopted === -1) return { lines: [], end: 0 };
  const lost = lines.slice(0, adopted).findLastIndex(({ kind }) => kind === 'Lost');
  const answered = lines.findIndex((line, index) => index > adopted && line.kind === 'Answered');
  const end = answered === -1 ? lines.length : answered + 1;
  return { lines: lines.slice(lost === -1 ? adopted : lost, end), end };
}

function scene(
  plan: Words,
  heading: string,
  transition: Transition | null,
  lines: readonly ProbeLine[],
): DrillScene {
  const startedMs = transition === null ? Number.POSITIVE_INFINITY : Date.parse(transition.time);
  const zeroMs = Math.min(startedMs, ...lines.map(({ atMs }) => atMs));
  const events = lines.filter((line) => line.kind === 'Lost' || line.kind === 'Adopted');
  const answered = lines.find((line): line is Answered => line.kind === 'Answered');
  const moments: Moment[] = [
    ...(transition === null ? [] : phases(plan, transition, startedMs - zeroMs)),
    ...clientMoments(events, zeroMs),
    ...(answered === undefined
      ? []
      : [{ atMs: answered.atMs - zeroMs, text: 'client: the next reply', kind: 'Good' as const }]),
  ];
  return {
    heading,
    moments,
    result:
      answered === undefined
        ? 'the probe was not seen to move'
        : `the probe waited ${msText(answered.pauseMs)} for its next reply${skewText(transition, answered)}`,
    pauseMs: answered?.pauseMs ?? null,
    transition,
  };
}

function phases(plan: Words, { to, epoch, cause, phases }: Transition, startedMs: number): Moment[] {
  const isHome = to === plan.server;
  const words = {
    owner: isHome ? plan.service : plan.partnerService,
    home: plan.service,
    epoch,
    cause,
    port: isHome ? plan.port : plan.failoverPort,
  };
  const ends = phases.map(({ name, offsetMilliseconds, durationMilliseconds }) => ({
    name,
    atMs: startedMs + offsetMilliseconds + durationMilliseconds,
  }));
  return [{ name: 'detected', atMs: startedMs }, ...ends].map(({ name, atMs }) => ({
    atMs,
    text: phaseText(name, words),
  }));
}

/** A reply before the port listened: the new owner's clock and the probe's are not the same. */
function skewText(transition: Transition | null, { atMs }: Answered): string {
  const listen = transition?.phases.find(({ name }) => name === 'listen');
  if (transition === null || listen === undefined) return '';
  const openMs = Date.parse(transition.time) + listen.offsetMilliseconds + listen.durationMilliseconds;
  const aheadMs = openMs - atMs;
  // The record has whole milliseconds.
  return aheadMs <= 2 ? '' : ` (the clocks of the nodes differ by ${msText(aheadMs)} at least)`;
}

export function drillText(plan: DrillPlan, scenes: DrillScenes, lines: readonly ProbeLine[]): string {
  const drawn = [scenes.takeover, scenes.giveback].map(({ heading, moments, result }) =>
    [
      heading,
      ...timelineLines(moments).map(({ time, bar, moment }) => `${time}  ${bar}  ${moment.text}`),
      `  ${result}`,
      '',
    ].join('\n'),
  );
  return `${drawn.join('\n')}\n${verdict(plan, lines)}\n`;
}

function verdict(plan: DrillPlan, lines: readonly ProbeLine[]): string {
  const ended = endOf(lines);
  const share = oneLine(plan.share);
  if (ended === undefined) return `the probe of share ${share} has not told its end`;
  const { replies, longestPauseMs, lines: written } = ended;
  const what =
    written === undefined
      ? `${replies} questions answered`
      : `${written.acknowledged} lines acknowledged, ${written.lost} of them lost`;
  return `share ${share}: ${what}; the longest pause between two replies was ${msText(longestPauseMs)}`;
}

export function endOf(lines: readonly ProbeLine[]) {
  return lines.find((line): line is Extract<ProbeLine, { readonly kind: 'Ended' }> => line.kind === 'Ended');
}
