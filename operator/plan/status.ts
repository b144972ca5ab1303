/**
 * The status of a FilerPair. It is computed as a whole each time, and keeps the times of what has not changed. null if the pair has
 * it already, so that nothing is written in the steady state.
 */

import type { FilerPairStatus } from '../../crds/pair/status.ts';
import { durationText } from '../../crds/quantities.ts';
import { isPlanned } from '../../pair/types.ts';
import type { Assessment } from '../assess/assessment.ts';
import { conditions } from '../assess/conditions.ts';
import { upToDate } from '../assess/reconciling.ts';
import { rollout } from '../assess/rollout.ts';
import { serverImageOf, wantedImage } from '../desired/pod.ts';
import type { PairEvent, Transition } from '../model/action.ts';
import { type ConditionResult, isFalse, isTrue, isUnknown } from '../model/condition-result.ts';
import { openedAfterMs } from '../model/lease-view.ts';
import { matches } from '../model/matches.ts';
import type { ServerView } from '../model/view.ts';
import { addresses } from './addresses.ts';
import { condition, diskSetConditions, type Moment, timeText } from './told-conditions.ts';

export function computeStatus(view: Assessment): FilerPairStatus {
  const before = view.pair.status;
  const at: Moment = { generation: view.pair.metadata.generation ?? 0, now: view.now };
  return {
    observedGeneration: at.generation,
    conditions: conditions.flatMap(({ type, result }) => {
      const found = result(view);
      return found === null ? [] : [condition(before?.conditions, type, found, at)];
    }),
    summary: summary(view),
    addresses: addresses(view),
    servers: view.servers.map((server) => serverStatus(view, server, at)),
    diskSets: view.servers.map((home) => diskSetStatus(view, home, at)),
    ...lastTransition(view),
    ...rolloutStatus(view),
    effective: effectiveStatus(view),
  };
}

function effectiveStatus(view: Assessment): NonNullable<FilerPairStatus['effective']> {
  const { leaseMs, guardMs, heartbeatMs } = view.effective.failover;
  return {
    ...(view.className === null ? {} : { className: view.className }),
    storageType: view.effective.storageType,
    image: wantedImage(view),
    leaseDuration: durationText(leaseMs),
    guardDuration: durationText(guardMs),
    heartbeatPeriod: durationText(heartbeatMs),
  };
}

function rolloutStatus(view: Assessment): Pick<FilerPairStatus, 'rollout'> {
  const problem = view.observed.problems.find(({ concerns }) => concerns === 'rollout');
  const found = rollout(view);
  if (found === null) return {};
  const now = {
    step: problem === undefined ? found.state : 'Blocked',
    ...(found.server === null ? {} : { server: found.server }),
    message: problem?.message ?? found.message,
  };
  const before = view.pair.status?.rollout;
  const unchanged = before?.step === now.step && before.server === now.server;
  return { rollout: { ...now, sinceTime: unchanged ? before.sinceTime : timeText(view.now) } };
}

/** The status of a pair about which nothing can be said, since its spec cannot be carried out. */
export function unassessedStatus(
  before: FilerPairStatus | undefined,
  generation: number,
  why: ConditionResult,
  now: number,
): FilerPairStatus {
  const found: Readonly<Record<string, ConditionResult>> = {
    Ready: why,
    Accepted: why,
    Reconciling: isFalse('Stalled', 'See Stalled.'),
    Stalled: isTrue(why.reason, why.message),
  };
  const unknown = isUnknown(why.reason, 'See Accepted.');
  return {
    ...before,
    observedGeneration: generation,
    conditions: conditions
      .filter(({ optional }) => optional !== true)
      .map(({ type }) => condition(before?.conditions, type, found[type] ?? unknown, { generation, now })),
  };
}

/** Same content, whatever the order of members. */
export const sameStatus = (a: FilerPairStatus | undefined, b: FilerPairStatus): boolean =>
  a !== undefined && matches(a, b) && matches(b, a);

/** Events for what has changed, in the words of the conditions. */
export function statusEvents(
  before: FilerPairStatus | undefined,
  after: FilerPairStatus,
  transitions: readonly Transition[],
): PairEvent[] {
  const changed = conditions.flatMap((kind): PairEvent[] => {
    const now = after.conditions?.find(({ type }) => type === kind.type);
    const old = before?.conditions?.find(({ type, reason }) => type === kind.type && reason !== 'Pending');
    if (now === undefined || (old?.status === now.status && old.reason === now.reason)) return [];
    const { type, status, reason, message, lastTransitionTime } = now;
    const bad = status !== kind.good;
    // A condition that starts as Unknown is no event.
    if (old === undefined && bad && kind.newsFromStart?.includes(reason) !== true) return [];
    if (kind.events === 'none' || (kind.events !== 'all' && kind.events.passing.includes(reason))) return [];
    const key = `${type}/${status}/${reason}/${lastTransitionTime}`;
    return [{ key, type: bad ? 'Warning' : 'Normal', reason, note: message }];
  });
  return [...changed, ...rolloutEvents(before, after), ...transitions.map(transitionEvent)];
}

/** Events for a rollout that is held up, and for its end; its steps have events of their own. */
function rolloutEvents(before: FilerPairStatus | undefined, after: FilerPairStatus): PairEvent[] {
  const was = before?.rollout;
  const is = after.rollout;
  if (is !== undefined && is.step !== was?.step && (is.step === 'Blocked' || is.step === 'Paused')) {
    const type = is.step === 'Blocked' ? ('Warning' as const) : ('Normal' as const);
    return [{ key: `${is.step}/${is.sinceTime}`, type, reason: `Rollout${is.step}`, note: is.message }];
  }
  if (is !== undefined || was === undefined) return [];
  const note = 'Both servers run as the spec wants them.';
  return [{ key: `${after.observedGeneration}/${was.sinceTime}`, type: 'Normal', reason: 'RolledOut', note }];
}

function transitionEvent(transition: Transition): PairEvent {
  const { diskSet, kind, cause, reason, to, epoch, phases, durationMilliseconds } = transition;
  const detail = phases.map(({ name, tookMs }) => `${name} ${msText(tookMs)}`).join(', ');
  return {
    key: `${diskSet}/${epoch}`,
    transition: `${diskSet}/${epoch}`,
    type: kind === 'Takeover' && !isPlanned(cause) ? 'Warning' : 'Normal',
    reason: kind,
    note: `${to} owns the disk set of ${diskSet} at epoch ${epoch} (${reason === undefined ? cause : `${cause}: ${reason}`}), in ${durationMilliseconds}ms${detail ? `: ${detail}` : ''}.`,
  };
}

function summary(view: Assessment): string {
  return view.servers
    .map(({ name, lease }) => {
      const owner = lease?.holderServer ?? null;
      return owner === name ? name : `${name}>${owner ?? 'nobody'}`;
    })
    .join(' ');
}

function serverStatus(
  view: Assessment,
  server: ServerView,
  at: Moment,
): NonNullable<FilerPairStatus['servers']>[number] {
  const pod = server.current;
  const uid = pod?.pod.metadata.uid;
  const incarnation = view.servers
    .flatMap(({ lease }) => [lease?.holder ?? null, lease?.acknowledger ?? null])
    .find((one) => one !== null && uid !== undefined && one.startsWith(`${server.name}/${uid}/`));
  const before = view.pair.status?.servers?.find(({ name }) => name === server.name)?.conditions;
  const image = pod === null ? undefined : serverImageOf(pod.pod);
  return {
    name: server.name,
    ...(pod?.pod.metadata.name === undefined ? {} : { pod: pod.pod.metadata.name }),
    ...(pod?.pod.spec?.nodeName === undefined ? {} : { node: pod.pod.spec.nodeName }),
    ...(image === undefined ? {} : { image }),
    ...(incarnation == null ? {} : { incarnation }),
    conditions: [
      condition(before, 'Running', running(server), at),
      condition(before, 'UpToDate', upToDate(view, server), at),
    ],
  };
}

function running({ name, current }: ServerView): ConditionResult {
  if (current === null) return isFalse('Missing', `${name} has no pod.`);
  const { state, because, pod } = current;
  const message = `Pod ${pod.metadata.name}: ${because}.`;
  if (state === 'Running') return isTrue(state, message);
  return state === 'NodeLost' ? isUnknown(state, message) : isFalse(state, message);
}

function diskSetStatus(
  view: Assessment,
  home: ServerView,
  at: Moment,
): NonNullable<FilerPairStatus['diskSets']>[number] {
  const { name, lease } = home;
  const before = view.pair.status?.diskSets?.find((one) => one.name === name);
  return {
    name,
    ...(lease?.holderServer == null ? {} : { owner: lease.holderServer }),
    // The epoch stays known when its Lease is lost.
    epoch: lease?.epoch ?? before?.epoch ?? 0,
    conditions: diskSetConditions(view, home, before?.conditions, at),
  };
}

/** Transitions that the Leases tell of, the oldest first. */
function toldTransitions(view: Assessment): Transition[] {
  return view.servers
    .flatMap(({ name, lease }) => {
      const told = lease?.lastTransition ?? null;
      if (told === null) return [];
      return [{ ...told, diskSet: name, durationMilliseconds: openedAfterMs(told) }];
    })
    .toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at) || a.diskSet.localeCompare(b.diskSet));
}

function lastTransition(view: Assessment): Pick<FilerPairStatus, 'lastTransition'> {
  const before = view.pair.status?.lastTransition;
  const told = toldTransitions(view).at(-1);
  if (told === undefined || (before !== undefined && Date.parse(before.time) > Date.parse(told.at)))
    return before === undefined ? {} : { lastTransition: before };
  const { diskSet, kind, cause, at, durationMilliseconds } = told;
  return { lastTransition: { diskSet, kind, cause, time: at, durationMilliseconds } };
}

/** Those that the status does not tell of: later than its last one, or of an epoch that it does not know. */
export function newTransitions(view: Assessment): Transition[] {
  const { lastTransition: last, diskSets } = view.pair.status ?? {};
  return toldTransitions(view).filter(({ diskSet, epoch, at }) => {
    const known = diskSets?.find(({ name }) => name === diskSet)?.epoch ?? 0;
    return known < epoch || last === undefined || Date.parse(last.time) < Date.parse(at);
  });
}

const msText = (ms: number): string => `${Math.round(ms * 10) / 10}ms`;
