// The status of a FilerPair: computed whole each time, with the times of what has not changed kept. null if it is
// already there, so that nothing is written in the steady state.

import type {
  FilerPairCondition,
  FilerPairStatus,
  FilerPairTransition,
} from '../../crds/filerpair-status.ts';
import type { LastTransitionAnnotation } from '../../kubernetes/labels-and-annotations.ts';
import type { Assessment } from '../assess/assessment.ts';
import { conditions } from '../assess/conditions.ts';
import { diskSetPhase } from '../assess/disk-set-phase.ts';
import { isClaimOffered } from '../assess/offered.ts';
import { rollout } from '../assess/rollout.ts';
import type { PairEvent } from '../model/action.ts';
import { type ConditionResult, isFalse, isUnknown } from '../model/condition-result.ts';
import { matches } from '../model/matches.ts';
import type { ServerView } from '../model/view.ts';
import { maintenanceOf } from './lease-upkeep.ts';

const HISTORY_SIZE_MAX = 10;

export type LastRequest = NonNullable<FilerPairStatus['lastRequest']>;

export function computeStatus(view: Assessment, lastRequest: LastRequest | undefined): FilerPairStatus {
  const before = view.pair.status ?? {};
  const { generation = 0 } = view.pair.metadata;
  const history = mergedHistory(view, before.history ?? []);
  return {
    observedGeneration: generation,
    conditions: conditions.flatMap(({ type, result }) => {
      const found = result(view);
      return found === null ? [] : [condition(before, type, found, generation, view.now)];
    }),
    owners: ownersLine(view),
    servers: view.servers.map((server) => serverStatus(view, server)),
    diskSets: view.servers.map((home) => diskSetStatus(view, home)),
    ...(history[0] === undefined ? {} : { lastTransition: history[0] }),
    ...(history.length === 0 ? {} : { history }),
    ...(lastRequest === undefined ? {} : { lastRequest }),
    ...maintenanceStatus(view),
    ...rolloutStatus(view),
  };
}

/** Kept until the last Lease has lost it: it says which of them are ours to take off. */
function maintenanceStatus(view: Assessment): Pick<FilerPairStatus, 'maintenance'> {
  const wanted = maintenanceOf(view);
  if (wanted !== null) return { maintenance: wanted };
  const before = view.pair.status?.maintenance;
  return before !== undefined && view.servers.some(({ lease }) => lease?.maintenance === before)
    ? { maintenance: before }
    : {};
}

function rolloutStatus(view: Assessment): Pick<FilerPairStatus, 'rollout'> {
  const problem = view.observed.problems.find(({ concerns }) => concerns === 'rollout');
  const found = rollout(view);
  if (found === null) return {};
  const now = {
    state: problem === undefined ? found.state : 'Blocked',
    ...(found.server === null ? {} : { server: found.server }),
    message: problem?.message ?? found.message,
    ...(found.begun ? { begun: true } : {}),
  };
  const before = view.pair.status?.rollout;
  const unchanged = before?.state === now.state && before.server === now.server;
  return { rollout: { ...now, since: unchanged ? before.since : timeText(view.now) } };
}

/** The status of a pair whose spec cannot be understood: nothing else is known to be true. */
export function invalidSpecStatus(
  before: FilerPairStatus | undefined,
  generation: number,
  message: string,
  now: number,
): FilerPairStatus {
  const invalid = isFalse('InvalidSpec', message);
  const unknown = isUnknown('InvalidSpec', 'See Ready.');
  return {
    ...before,
    observedGeneration: generation,
    conditions: conditions
      .filter(({ optional }) => optional !== true)
      .map(({ type }) => condition(before, type, type === 'Ready' ? invalid : unknown, generation, now)),
  };
}

/** Same content, whatever the order of members. */
export const sameStatus = (a: FilerPairStatus | undefined, b: FilerPairStatus): boolean =>
  a !== undefined && matches(a, b) && matches(b, a);

/** Events for what changed, with the words of the conditions. */
export function statusEvents(before: FilerPairStatus | undefined, after: FilerPairStatus): PairEvent[] {
  const changed = conditions.flatMap((kind): PairEvent[] => {
    const now = after.conditions?.find(({ type }) => type === kind.type);
    const old = before?.conditions?.find(({ type }) => type === kind.type);
    if (now === undefined || (old?.status === now.status && old.reason === now.reason)) return [];
    const { type, status, reason, message, lastTransitionTime } = now;
    const bad = status !== kind.good;
    // What merely starts as not yet known is no news.
    if (old === undefined && bad && kind.newsFromStart?.includes(reason) !== true) return [];
    if (kind.events === 'none' || (kind.events !== 'all' && kind.events.passing.includes(reason))) return [];
    const key = `${type}/${status}/${reason}/${lastTransitionTime}`;
    return [{ key, type: bad ? 'Warning' : 'Normal', reason, note: message }];
  });
  return [...changed, ...rolloutEvents(before, after), ...newTransitions(before, after).map(transitionEvent)];
}

/** What the new status tells that the old one did not, the oldest first. */
export function newTransitions(
  before: FilerPairStatus | undefined,
  after: FilerPairStatus,
): FilerPairTransition[] {
  const known = new Set(before?.history?.map(keyOf));
  return (after.history?.toReversed() ?? []).filter((transition) => !known.has(keyOf(transition)));
}

/** That a rollout is held up, and that it has ended; its steps are told by themselves. */
function rolloutEvents(before: FilerPairStatus | undefined, after: FilerPairStatus): PairEvent[] {
  const was = before?.rollout;
  const is = after.rollout;
  if (is !== undefined && is.state !== was?.state && (is.state === 'Blocked' || is.state === 'Paused')) {
    const type = is.state === 'Blocked' ? ('Warning' as const) : ('Normal' as const);
    return [{ key: `${is.state}/${is.since}`, type, reason: `Rollout${is.state}`, note: is.message }];
  }
  if (is !== undefined || was === undefined) return [];
  const note = 'Both servers run as the spec wants them.';
  return [{ key: `${after.observedGeneration}/${was.since}`, type: 'Normal', reason: 'RolledOut', note }];
}

function transitionEvent(transition: FilerPairTransition): PairEvent {
  const { home, kind, cause, reason, to, epoch, took, phases } = transition;
  const detail = phases.map(({ name, took: each }) => `${name} ${each}`).join(', ');
  return {
    key: keyOf(transition),
    type: kind === 'Takeover' ? 'Warning' : 'Normal',
    reason: kind,
    note: `${to} owns the disk set of ${home} at epoch ${epoch} (${reason === undefined ? cause : `${cause}: ${reason}`}), in ${took}${detail ? `: ${detail}` : ''}.`,
  };
}

function condition(
  before: FilerPairStatus | undefined,
  type: string,
  result: ConditionResult,
  observedGeneration: number,
  now: number,
): FilerPairCondition {
  const old = before?.conditions?.find((one) => one.type === type);
  const lastTransitionTime = old?.status === result.status ? old.lastTransitionTime : timeText(now);
  return { type, ...result, lastTransitionTime, observedGeneration };
}

function ownersLine(view: Assessment): string {
  return view.servers
    .map(({ name, lease }) => {
      const owner = lease?.holderServer ?? null;
      return owner === name ? name : `${name}>${owner ?? 'nobody'}`;
    })
    .join(' ');
}

function serverStatus(view: Assessment, server: ServerView): NonNullable<FilerPairStatus['servers']>[number] {
  const pod = server.current;
  const uid = pod?.pod.metadata.uid;
  const incarnation = view.servers
    .flatMap(({ lease }) => [lease?.holder ?? null, lease?.acknowledger ?? null])
    .find((one) => one !== null && uid !== undefined && one.startsWith(`${server.name}/${uid}/`));
  const now = {
    name: server.name,
    ...(pod?.pod.metadata.name === undefined ? {} : { pod: pod.pod.metadata.name }),
    ...(pod?.pod.spec?.nodeName === undefined ? {} : { node: pod.pod.spec.nodeName }),
    ...(incarnation == null ? {} : { incarnation }),
    state: pod?.state ?? 'Missing',
  };
  const before = view.pair.status?.servers?.find(({ name }) => name === server.name);
  const unchanged = before !== undefined && before.state === now.state && before.pod === now.pod;
  return { ...now, since: unchanged ? before.since : timeText(view.now) };
}

function diskSetStatus(view: Assessment, home: ServerView): NonNullable<FilerPairStatus['diskSets']>[number] {
  const { lease } = home;
  const before = view.pair.status?.diskSets?.find((one) => one.home === home.name);
  const now = {
    home: home.name,
    ...(lease?.holderServer == null ? {} : { owner: lease.holderServer }),
    ...(lease?.holder == null ? {} : { holder: lease.holder }),
    // An epoch is never forgotten, also when its Lease is.
    epoch: lease?.epoch ?? before?.epoch ?? 0,
    phase: diskSetPhase(view, home),
    ...claimsOf(view, home, before?.claims ?? []),
  };
  const unchanged =
    before !== undefined &&
    before.owner === now.owner &&
    before.epoch === now.epoch &&
    before.phase === now.phase;
  return { ...now, since: unchanged ? before.since : timeText(view.now) };
}

/** Claims that were seen bound: they hold data from then on, which is not forgotten when they vanish. */
function claimsOf(view: Assessment, home: ServerView, before: readonly string[]): { claims?: string[] } {
  const bound = home.claims
    .filter(
      ({ name, object }) =>
        before.includes(name) || (object?.status?.phase === 'Bound' && isClaimOffered(view, object)),
    )
    .map(({ name }) => name);
  return bound.length === 0 ? {} : { claims: bound };
}

const keyOf = ({ home, epoch }: FilerPairTransition): string => `${home}/${epoch}`;

/** The latest first. A Lease tells only its last transition; older ones are what the status remembers. */
function mergedHistory(view: Assessment, before: readonly FilerPairTransition[]): FilerPairTransition[] {
  const told = view.servers.flatMap(({ name, lease }) =>
    lease?.lastTransition == null ? [] : [transitionOf(name, lease.lastTransition)],
  );
  const fresh = new Set(told.map(keyOf));
  return [...told, ...before.filter((one) => !fresh.has(keyOf(one)))]
    .toSorted((a, b) => Date.parse(b.at) - Date.parse(a.at) || a.home.localeCompare(b.home))
    .slice(0, HISTORY_SIZE_MAX);
}

function transitionOf(home: string, told: LastTransitionAnnotation): FilerPairTransition {
  const end = Math.max(0, ...told.phases.map(({ atMs, tookMs }) => atMs + tookMs));
  return {
    home,
    kind: told.kind,
    cause: told.cause,
    ...(told.reason === undefined ? {} : { reason: told.reason }),
    to: told.to,
    epoch: told.epoch,
    at: told.at,
    took: msText(end),
    phases: told.phases.map(({ name, atMs, tookMs }) => ({ name, at: msText(atMs), took: msText(tookMs) })),
  };
}

const msText = (ms: number): string => `${Math.round(ms * 10) / 10}ms`;
/** RFC 3339 with whole seconds, as the API writes times. */
export const timeText = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
