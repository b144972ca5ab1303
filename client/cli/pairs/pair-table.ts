/**
 * A pair as an administrator wants to see it during an outage: first whether clients are served, then what would happen next,
 * then who is where, and what happened last.
 */
import type { FilerPairCondition, FilerPairStatus } from '../../../crds/filerpair-status.ts';
import { table } from '../listing.ts';
import { fitForLines } from '../terminal.ts';
import type { PairObject } from './cluster.ts';

/** @param now ms since the epoch. */
export function pairTable(pair: PairObject, now: number): string {
  const { status, metadata } = fitForLines(pair);
  const { namespace, name } = metadata;
  if (status === undefined) return `FilerPair ${namespace}/${name}: the operator has not looked at it yet\n`;
  const parts = [
    `FilerPair ${namespace}/${name}\n\n`,
    conditions(status),
    '\n',
    diskSets(status, now),
    '\n',
    servers(status, now),
    lastTransition(status, now),
  ];
  if (status.maintenance !== undefined)
    parts.push(`\nMaintenance: nothing moves by itself (${status.maintenance}).\n`);
  if (status.rollout !== undefined)
    parts.push(
      `\nRollout: ${status.rollout.state}, ${age(status.rollout.since, now)}: ${status.rollout.message}\n`,
    );
  const { lastRequest } = status;
  if (lastRequest !== undefined)
    parts.push(
      `\nLast request: ${lastRequest.kind} of ${lastRequest.home}, ${age(lastRequest.at, now)} ago: ${lastRequest.result}. ${lastRequest.message}\n`,
    );
  return parts.join('');
}

/** All pairs, a line each. */
export function pairList(pairs: readonly PairObject[], now: number): string {
  const rows = pairs.map(({ metadata, status }) => {
    const last = status?.lastTransition;
    return [
      metadata.namespace ?? '',
      metadata.name ?? '',
      status?.owners ?? '?',
      conditionOf(status, 'Ready')?.reason ?? '?',
      conditionOf(status, 'TakeoverPossible')?.status ?? '?',
      conditionOf(status, 'Degraded')?.reason ?? '?',
      last === undefined ? '-' : `${last.kind} ${age(last.at, now)} ago, ${last.took}`,
    ];
  });
  return table([['NAMESPACE', 'NAME', 'OWNERS', 'SERVES', 'COVERED', 'STATE', 'LAST'], ...rows]);
}

/** What an administrator reads first, with the words of the question instead of the type's. */
const questions: readonly (readonly [type: string, question: string, good: FilerPairCondition['status']])[] =
  [
    ['Ready', 'Are clients served?', 'True'],
    ['TakeoverPossible', 'Would the next failure be covered?', 'True'],
    ['Degraded', 'Is anything less than it should be?', 'False'],
    ['Progressing', 'Is anything under way?', 'False'],
  ];

function conditions(status: FilerPairStatus): string {
  return questions
    .map(([type, question, good]) => {
      const found = conditionOf(status, type);
      if (found === undefined) return `${question} Not known.\n`;
      const answer = { True: 'Yes', False: 'No', Unknown: 'Not known' }[found.status];
      // What is as it should be needs no explanation.
      return found.status === good ? `${question} ${answer}.\n` : `${question} ${answer}: ${found.message}\n`;
    })
    .join('');
}

const conditionOf = (status: FilerPairStatus | undefined, type: string): FilerPairCondition | undefined =>
  status?.conditions?.find((one) => one.type === type);

function diskSets(status: FilerPairStatus, now: number): string {
  const rows = (status.diskSets ?? []).map(({ home, owner, epoch, phase, since }) => [
    home,
    owner === undefined ? 'nobody' : owner === home ? owner : `${owner} (away)`,
    String(epoch),
    phase,
    age(since, now),
  ]);
  return table([['DISK SET', 'SERVED BY', 'EPOCH', 'PHASE', 'SINCE'], ...rows]);
}

function servers(status: FilerPairStatus, now: number): string {
  const rows = (status.servers ?? []).map(({ name, state, pod, node, since }) => [
    name,
    state,
    pod ?? '-',
    node ?? '-',
    age(since, now),
  ]);
  return table([['SERVER', 'STATE', 'POD', 'NODE', 'SINCE'], ...rows]);
}

function lastTransition({ history = [] }: FilerPairStatus, now: number): string {
  if (history.length === 0) return '';
  const rows = history.map(({ at, home, kind, cause, to, epoch, took, phases }) => [
    `${age(at, now)} ago`,
    home,
    `${kind} to ${to}`,
    cause,
    String(epoch),
    took,
    phases.map(({ name, took: each }) => `${name} ${each}`).join(', '),
  ]);
  return `\n${table([['WHEN', 'DISK SET', 'WHAT', 'CAUSE', 'EPOCH', 'TOOK', 'PHASES'], ...rows])}`;
}

/** `17s`, `5m`, `3h20m`, `4d`: as kubectl says it. */
export function age(since: string, now: number): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(since)) / 1000));
  if (Number.isNaN(seconds)) return '?';
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours}h${minutes % 60}m` : `${Math.floor(hours / 24)}d`;
}
