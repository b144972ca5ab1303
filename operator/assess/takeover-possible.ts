/**
 * TakeoverPossible: if the owner of a disk set died now, would its partner serve it? Always current, so that nobody learns on
 * the day of the failure that the other half of the pair was not there.
 */

import { isTakeoverCheck, type Reason } from '../../crds/pair/reasons.ts';
import { silenceMs } from '../../pair/serving-lease.ts';
import {
  type ConditionResult,
  firstFinding,
  isFalse,
  isTrue,
  isUnknown,
  type Policy,
} from '../model/condition-result.ts';
import { nodesWithinReach, outOfReach } from '../model/disk-reach.ts';
import { podOfIncarnation, type ServerView, serverNamed } from '../model/view.ts';
import { type Assessment, question } from './assessment.ts';
import { disksHeld, isDisksHeld } from './disks-held.ts';
import { noRoom } from './node-room.ts';
import { noVolumeSlots } from './volume-slots.ts';

interface TakeoverCase {
  readonly view: Assessment;
  /** Whose disk set. */
  readonly home: ServerView;
  readonly owner: ServerView;
  /** The server that would have to take over. */
  readonly survivor: ServerView;
}

export const takeoverChain: readonly Policy<TakeoverCase>[] = [
  function survivorHasNoPod({ home, survivor }) {
    return survivor.current === null ? cannot('PartnerHasNoPod', survivor, home, `it has no pod.`) : null;
  },
  function survivorDoesNotRun({ home, survivor }) {
    if (survivor.pods.some(({ state }) => state === 'Running')) return null;
    const pod = survivor.usable.at(-1) ?? survivor.current!;
    return cannot('PartnerNotRunning', survivor, home, `pod ${pod.pod.metadata.name}: ${pod.because}.`);
  },
  function disksStay({ view, home, survivor }) {
    const held = disksHeld(view, home);
    if (held === null) return null;
    const so =
      held.reason === 'ClaimBeingDeleted'
        ? 'and no other pod may use it. See Degraded'
        : 'so the disks stay where they are. See Ready';
    return cannot(held.reason, survivor, home, `${held.why}, ${so}.`);
  },
  function disksOutOfReach({ view, home, survivor }) {
    const node = survivor.current?.pod.spec?.nodeName;
    const found = node === undefined ? null : outOfReach(view, home, node);
    return found === null
      ? null
      : cannot(
          'DisksOutOfReach',
          survivor,
          home,
          `volume ${found.volume} cannot be attached to node ${node}, where it runs (the nodeAffinity of that PersistentVolume). Both servers have to run where the disks of both can be had: ${wayOut(view)}.`,
        );
  },
  function noRoomForDisks({ view, home, survivor }) {
    const node = survivor.current?.pod.spec?.nodeName;
    const found = node === undefined ? null : noVolumeSlots(view, home, node);
    return found === null
      ? null
      : isFalse(
          'NoVolumeSlots',
          `${survivor.name} could not have the disks of ${home.name}: driver ${found.driver} can attach ${Math.max(0, found.free)} more volumes to node ${node}, where it runs, and ${found.needed} are needed. Move pods with volumes away from that node.`,
        );
  },
  function noRoomForPod({ view, home, survivor }) {
    const node = survivor.current?.pod.spec?.nodeName;
    const lacks = node === undefined ? null : noRoom(view, home, node);
    return lacks === null
      ? null
      : isFalse(
          'NoRoom',
          `${survivor.name} could not have the disks of ${home.name}: node ${node}, where it runs, has no room for the pod that mounts them: ${lacks}. Move pods away from that node, or set podTemplate.spec.priorityClassName, so that others make room.`,
        );
  },
  function heartbeatsNotAcknowledged({ view, home, owner, survivor }) {
    const { lease } = home;
    if (lease === null || podOfIncarnation(view, owner.name, lease.holderPodUid)?.state !== 'Running')
      return null;
    const consequence = `A takeover works as long as ${survivor.name} reaches the Kubernetes API; if this lasts, look at the network between the two (interconnect port ${view.effective.ports.interconnect}).`;
    if (lease.acknowledger === null)
      return isUnknown(
        'NotPaired',
        `${owner.name} renews the Lease of ${home.name} by itself since it does not hear ${survivor.name}. ${consequence}`,
      );
    // Just replaced: the owner has not noticed yet.
    const [server = null, podUid = null] = lease.acknowledger.split('/');
    return podOfIncarnation(view, server, podUid)?.state === 'Running'
      ? null
      : isUnknown(
          'NotPaired',
          `${owner.name} counts on ${lease.acknowledger} for ${home.name}, which does not run any more. ${consequence}`,
        );
  },
  function underMaintenance({ view, home, survivor }) {
    const why = home.lease?.maintenance ?? null;
    return why === null || isDisksHeld(view, why)
      ? null
      : isFalse(
          'Maintenance',
          `Maintenance (${why}): ${survivor.name} takes the disk set of ${home.name} over only when it is asked to. spec.maintenance.automaticMoves: Allowed ends it.`,
        );
  },
  function manualMode({ view, home, survivor }) {
    return view.effective.failover.mode === 'Manual'
      ? isFalse(
          'ManualMode',
          `spec.failover.mode is Manual: ${survivor.name} takes the disk set of ${home.name} over only when it is asked to.`,
        )
      : null;
  },
  function survivorSaysNo({ home, survivor }) {
    const check = home.lease?.takeoverCheck ?? null;
    // Said by the server that would have to do it; after a change of owner the old word may still stand.
    if (check === null || check.server !== survivor.name || check.possible) return null;
    const missing = check.missing.filter(({ name }) => !saidAlready.has(name));
    const [first] = missing;
    return first === undefined
      ? null
      : cannot(
          isTakeoverCheck(first.name) ? first.name : 'CannotServe',
          survivor,
          home,
          `${missing.map(({ message }) => message).join('; ')}.`,
        );
  },
];

const cannot = (reason: Reason, survivor: ServerView, home: ServerView, why: string): ConditionResult =>
  isFalse(reason, `${survivor.name} could not take over the disk set of ${home.name}: ${why}`);

/** Volumes of two places that no node shares can only be made anew. */
const wayOut = (view: Assessment): string =>
  nodesWithinReach(view) === null
    ? 'use storage that reaches the nodes of both, or keep both in one zone (podTemplate.spec.affinity) from before their disks are made'
    : 'hand over what it owns and delete its pod; the new one is put onto such a node';

/** Reasons that the policies above judge by the Lease itself, which is younger than what a server has said about it. */
const saidAlready: ReadonlySet<string> = new Set([
  'OwnedHere',
  'NotAcknowledger',
  'Maintenance',
  'ManualMode',
]);

export const takeoverPossible = question((view: Assessment): ConditionResult => {
  const findings = view.servers.map((home): ConditionResult => {
    const owner = serverNamed(view, home.lease?.holderServer ?? null);
    if (owner === null)
      return isUnknown(
        'NobodyServes',
        `Nobody owns the disk set of ${home.name}, so there is nothing to take over.`,
      );
    const survivor = serverNamed(view, owner.partner)!;
    return firstFinding(
      takeoverChain,
      { view, home, owner, survivor },
      possible(view, home, owner, survivor),
    );
  });
  return (
    findings.find(({ status }) => status === 'False') ??
    findings.find(({ status }) => status === 'Unknown') ??
    isTrue('PartnersReady', [...findings.map(({ message }) => message), ...reliesOnTheClock(view)].join(' '))
  );
});

const possible = (
  view: Assessment,
  home: ServerView,
  owner: ServerView,
  survivor: ServerView,
): ConditionResult =>
  isTrue(
    'PartnersReady',
    `If ${owner.name} died, ${survivor.name} would take over the disk set of ${home.name}: at once if the death is reported, after ${silenceOf(view) / 1000} s of silence otherwise.`,
  );

const silenceOf = ({ effective: { failover } }: Assessment): number => silenceMs(failover);

/** A machine that is paused as a whole does not see the time go by (docs/safety.md). */
const reliesOnTheClock = ({ effective: { storageType } }: Assessment): string[] =>
  storageType === 'SharedCoherent' || storageType === 'SharedWriteThrough'
    ? [
        "What keeps a server from writing after that is its clock: don't pause its machine (live migration, snapshot with memory), or use storage type Reattach.",
      ]
    : [];
