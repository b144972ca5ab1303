/**
 * A pair as an administrator wants to see it during an outage: first whether clients are served, then what would happen next,
 * then which server serves what, and what happened last.
 */
import type { Condition } from '../../../crds/condition.ts';
import { table } from '../listing.ts';
import { fitForLines } from '../terminal.ts';
import type { Belongings, DiskSetObject, OperationObject, PairObject, ShareObject } from './cluster.ts';

type Status = NonNullable<PairObject['status']>;
type Conditions = readonly Condition[] | undefined;

/** @param now ms since the epoch. */
export function pairTable(
  pair: PairObject,
  belongings: Pick<Belongings, 'diskSets' | 'operations'>,
  now: number,
): string {
  const { status, metadata, spec } = fitForLines(pair);
  const { diskSets, operations } = fitForLines(belongings);
  const { namespace, name } = metadata;
  if (status?.observedGeneration === undefined)
    return `FilerPair ${namespace}/${name}: the operator has not seen it yet\n`;
  const parts = [
    `FilerPair ${namespace}/${name}\n\n`,
    answers(status),
    '\n',
    diskSetTable(status, now),
    '\n',
    serverTable(status, now),
    history(diskSets, now),
    operationTable(operations, now),
  ];
  const { maintenance } = spec ?? {};
  if (maintenance !== undefined) {
    const { reason, drain = [], automaticMoves } = maintenance;
    const what = [
      ...drain.map((server) => `${server} is out of service`),
      ...(automaticMoves === 'Paused' ? ['no disk set moves by itself'] : []),
    ];
    parts.push(`\nMaintenance (${reason}): ${what.join(', ') || 'nothing'}.\n`);
  }
  const { rollout } = status;
  if (rollout !== undefined)
    parts.push(`\nRollout: ${rollout.step}, ${age(rollout.sinceTime, now)}: ${rollout.message}\n`);
  return parts.join('');
}

/** All pairs, a line each. `wide`: with nodes and versions. */
export function pairList(pairs: readonly PairObject[], now: number, wide = false): string {
  const rows = pairs.map(({ metadata, status }) => {
    const last = status?.lastTransition;
    const servers = status?.servers ?? [];
    const more = [
      servers.map(({ name, node }) => `${name}@${node ?? '?'}`).join(' '),
      [...new Set(servers.map(({ image }) => versionOf(image)))].join(' '),
      conditionOf(status?.conditions, 'Degraded')?.message ?? '',
    ];
    return [
      metadata.namespace ?? '',
      metadata.name ?? '',
      status?.summary ?? '?',
      conditionOf(status?.conditions, 'Ready')?.reason ?? '?',
      conditionOf(status?.conditions, 'TakeoverPossible')?.status ?? '?',
      conditionOf(status?.conditions, 'Degraded')?.reason ?? '?',
      last === undefined ? '-' : `${last.kind} ${age(last.time, now)} ago, ${last.durationMilliseconds}ms`,
      ...(wide ? more : []),
    ];
  });
  const head = ['NAMESPACE', 'NAME', 'OWNERS', 'SERVES', 'COVERED', 'STATE', 'LAST'];
  return table([[...head, ...(wide ? ['NODES', 'VERSIONS', 'MESSAGE'] : [])], ...rows]);
}

/** The shares of a pair, a line each. */
export function shareTable(shares: readonly ShareObject[]): string {
  const rows = shares.map(({ metadata, spec, status }) => {
    const ready = conditionOf(status?.conditions, 'Ready');
    return [
      metadata.name ?? '',
      status?.server === undefined ? '-' : `${status.server}:${status.path ?? ''}`,
      `${spec.server}/${spec.volume}`,
      spec.access,
      spec.clients.join(','),
      ready?.status ?? '?',
      ready?.status === 'True' ? '' : (ready?.message ?? ''),
    ];
  });
  return table([['NAME', 'MOUNT', 'VOLUME', 'ACCESS', 'CLIENTS', 'READY', 'MESSAGE'], ...rows]);
}

/** Conditions that an administrator reads first, with the words of the question instead of the type's. */
const questions: readonly (readonly [type: string, question: string, good: Condition['status']])[] = [
  ['Accepted', 'Is the spec accepted?', 'True'],
  ['Ready', 'Are clients served?', 'True'],
  ['TakeoverPossible', 'Would the next failure be covered?', 'True'],
  ['AtHome', 'Does each server serve its own disk set?', 'True'],
  ['Degraded', 'Is anything less than it should be?', 'False'],
  ['Progressing', 'Is anything under way?', 'False'],
];

function answers({ conditions }: Status): string {
  return questions
    .map(([type, question, good]) => {
      const found = conditionOf(conditions, type);
      if (found === undefined) return `${question} Not known.\n`;
      const answer = { True: 'Yes', False: 'No', Unknown: 'Not known' }[found.status];
      // A condition that is as it should be needs no explanation.
      return found.status === good ? `${question} ${answer}.\n` : `${question} ${answer}: ${found.message}\n`;
    })
    .join('');
}

const conditionOf = (conditions: Conditions, type: string): Condition | undefined =>
  conditions?.find((one) => one.type === type);

/** A condition in two columns: its reason, and since when it is as it is. */
const stateOf = (conditions: Conditions, type: string, now: number): [string, string] => {
  const found = conditionOf(conditions, type);
  return [found?.reason ?? '?', found === undefined ? '?' : age(found.lastTransitionTime, now)];
};

function diskSetTable({ diskSets = [] }: Status, now: number): string {
  const rows = diskSets.map(({ name, owner, epoch, conditions }) => [
    name,
    owner === undefined ? 'nobody' : owner === name ? owner : `${owner} (away)`,
    String(epoch),
    ...stateOf(conditions, 'Served', now),
  ]);
  return table([['DISK SET', 'SERVED BY', 'EPOCH', 'STATE', 'SINCE'], ...rows]);
}

function serverTable({ servers = [] }: Status, now: number): string {
  const rows = servers.map(({ name, pod, node, image, conditions }) => [
    name,
    ...stateOf(conditions, 'Running', now),
    pod ?? '-',
    node ?? '-',
    versionOf(image),
  ]);
  return table([['SERVER', 'STATE', 'SINCE', 'POD', 'NODE', 'VERSION'], ...rows]);
}

/** Tag of an image; of one that has none the beginning of its digest. */
export function versionOf(image: string | undefined): string {
  if (image === undefined) return '-';
  const [name = '', digest] = image.split('@');
  const tag = /:([^:/]+)$/.exec(name)?.[1];
  return tag ?? digest?.slice(0, 'sha256:'.length + 12) ?? 'latest';
}

/** History of both disk sets, the latest first. */
function history(diskSets: readonly DiskSetObject[], now: number): string {
  const all = diskSets.flatMap(({ spec, status }) =>
    (status?.history ?? []).map((one) => ({ diskSet: spec.server, ...one })),
  );
  if (all.length === 0) return '';
  const rows = all
    .toSorted((a, b) => Date.parse(b.time) - Date.parse(a.time))
    .slice(0, HISTORY_SHOWN)
    .map(({ time, diskSet, kind, cause, to, epoch, durationMilliseconds: took, phases }) => [
      `${age(time, now)} ago`,
      diskSet,
      `${kind} to ${to}`,
      cause,
      String(epoch),
      `${took}ms`,
      phases.map(({ name, durationMilliseconds: each }) => `${name} ${each}ms`).join(', '),
    ]);
  return `\n${table([['WHEN', 'DISK SET', 'WHAT', 'CAUSE', 'EPOCH', 'TOOK', 'PHASES'], ...rows])}`;
}

const HISTORY_SHOWN = 10;

/** Those that have not ended, and the one that ended last. */
function operationTable(operations: readonly OperationObject[], now: number): string {
  const ended = operations
    .filter(({ status }) => status?.completionTime !== undefined)
    .toSorted((a, b) => Date.parse(b.status!.completionTime!) - Date.parse(a.status!.completionTime!));
  const shown = [...operations.filter((one) => !ended.includes(one)), ...ended.slice(0, 1)];
  if (shown.length === 0) return '';
  const rows = shown.map(({ metadata, spec, status }) => {
    const failed = conditionOf(status?.conditions, 'Failed');
    const complete = conditionOf(status?.conditions, 'Complete');
    const [state, said] =
      failed?.status === 'True'
        ? ['failed', failed]
        : complete?.status === 'True'
          ? ['complete', complete]
          : ['waiting', complete];
    const since = status?.completionTime ?? metadata.creationTimestamp ?? '';
    return [metadata.name ?? '', spec.type, state, `${age(since, now)} ago`, said?.message ?? ''];
  });
  return `\n${table([['OPERATION', 'TYPE', 'STATE', 'WHEN', 'MESSAGE'], ...rows])}`;
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
