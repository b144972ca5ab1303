/**
 * A snapshot of everything at one point in time: the volumes of both disk sets as they were at one moment, without stopping a
 * server. What keeps them from changing meanwhile are the owners, who stand still; what copies them is the storage.
 */

import type { FreezeAnnotation } from '../../kubernetes/labels-and-annotations.ts';
import { labels, snapshotAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import type { FilerPairOperationObject, VolumeSnapshot } from '../model/objects.ts';
import type { ServerView } from '../model/view.ts';
import { type Assessment, question } from './assessment.ts';
import { diskSetPhase } from './disk-set-phase.ts';
import {
  alreadyCarriedOut,
  isOfAnother,
  rememberedOf,
  remembererOf,
  writableRecord,
} from './operations/carried-out.ts';
import { type OperationVerdict, unfinished } from './operations/unfinished.ts';

//   asked for ──> both are asked to stand still ──> both stand ──> VolumeSnapshots made ──> all cut ──> both are told that
//                 (on their Leases)                                                                    it is over
//   ──> both say that it was whole ──> done
//
// Every step is read from Leases and VolumeSnapshots: the successor of an operator that dies in the middle goes on. That it was
// one point in time is not the operator's word: each owner says of itself that nothing has changed from before the first
// VolumeSnapshot was made until after the last one was cut. If either cannot, there is no snapshot.

/** How long clients wait at most, ms: storage cuts within seconds, or somebody should look why it does not. */
export const FREEZE_MS_MAX = 10_000;
/** An owner that has not answered so long after the end of that is not there, ms. */
const ANSWER_MS_MAX = 5_000;
/** It becomes a label's value. */
const NAME_MAX = 63;

export type SnapshotStep =
  /** Cannot begin, with the reason. */
  | { readonly kind: 'refuse'; readonly message: string }
  /** It was taken before; its VolumeSnapshots may have been deleted since. */
  | { readonly kind: 'again'; readonly verdict: OperationVerdict }
  /** Ask those to stand still that have not been asked. */
  | { readonly kind: 'stand'; readonly homes: readonly ServerView[] }
  /** Wait, until this time at most, ms since the epoch. */
  | { readonly kind: 'wait'; readonly until: number }
  /** Take snapshots of these claims. */
  | { readonly kind: 'make'; readonly missing: readonly SnapshotOf[] }
  /** All are cut: tell them that it is over. */
  | { readonly kind: 'end'; readonly homes: readonly ServerView[] }
  | { readonly kind: 'done'; readonly made: readonly VolumeSnapshot[] }
  /** There is no snapshot. What was made goes. */
  | { readonly kind: 'fail'; readonly message: string; readonly made: readonly VolumeSnapshot[] };

export interface SnapshotOf {
  readonly name: string;
  readonly claim: string;
  readonly home: ServerView;
  readonly volume: string;
}

/** The operation that is in force; its name is the snapshot's. null: nobody asks for one. */
export const snapshotAsked = question(
  (view: Assessment): FilerPairOperationObject | null => unfinished(view.observed, 'Snapshot')[0] ?? null,
);

/** null: nobody asks. */
export const snapshotStep = question((view: Assessment): SnapshotStep | null => {
  const operation = snapshotAsked(view);
  if (operation === null) return null;
  const { name = '', uid = '' } = operation.metadata;
  const asked = view.servers.map((home) => freezeOf(home, uid));
  const named = view.observed.volumeSnapshots.filter(
    ({ metadata }) => metadata.labels?.[labels.snapshot] === name,
  );
  if (asked.every((one) => one === null)) return takenBefore(view, operation) ?? beginning(view, name, named);
  const made = named.filter((one) => isOfFreeze(view, one));
  // The cache did not have it when this began.
  const older = named.find((one) => !made.includes(one));
  if (older !== undefined)
    return { kind: 'fail', message: `there was a snapshot of that name: ${nameOf(older)}`, made };
  const begun = Math.min(...asked.flatMap((one) => (one === null ? [] : [begunAt(one)])));
  const broken = whyBroken(view, name, uid, begun);
  if (broken !== null) return { kind: 'fail', message: broken, made };
  const unasked = view.servers.filter((_, index) => asked[index] === null);
  if (unasked.length > 0) return { kind: 'stand', homes: unasked };
  const until = begun + FREEZE_MS_MAX + ANSWER_MS_MAX;
  const states = view.servers.map(({ lease }, index) =>
    lease?.freezeAnswer?.id === asked[index]!.id ? lease.freezeAnswer.state : null,
  );
  const wanted = snapshotsOf(view, name);
  const cut = wanted.every((one) => isCut(made.find(({ metadata }) => metadata.name === one.name)));
  if (states.every((state) => state === 'Whole'))
    return cut ? { kind: 'done', made } : { kind: 'fail', message: 'it was ended before all were cut', made };
  if (cut) {
    const untold = view.servers.filter((_, index) => asked[index]!.over !== true);
    return untold.length > 0 ? { kind: 'end', homes: untold } : { kind: 'wait', until };
  }
  if (!states.every((state) => state === 'Standing')) return { kind: 'wait', until };
  const missing = wanted.filter((one) => !made.some(({ metadata }) => metadata.name === one.name));
  return missing.length > 0 ? { kind: 'make', missing } : { kind: 'wait', until };
});

/** When time alone ends the waiting, ms since the epoch; null: it does not. */
export function snapshotDueAt(view: Assessment): number | null {
  const step = snapshotStep(view);
  return step?.kind === 'wait' ? step.until : null;
}

/** One for each volume of both. */
export const snapshotsOf = (view: Assessment, name: string): SnapshotOf[] =>
  view.servers.flatMap((home) =>
    home.claims.map(({ name: claim, volume }) => ({
      name: `${name}-${claim}`,
      claim,
      home,
      volume: volume.name,
    })),
  );

function takenBefore(view: Assessment, operation: FilerPairOperationObject): SnapshotStep | null {
  const record = writableRecord(view, remembererOf(view, operation)!);
  const known = rememberedOf(record?.spec.operations ?? [], operation);
  return known !== null && isOfAnother(known, operation)
    ? { kind: 'again', verdict: alreadyCarriedOut(known) }
    : null;
}

function beginning(view: Assessment, name: string, made: readonly VolumeSnapshot[]): SnapshotStep {
  const refuse = (message: string): SnapshotStep => ({ kind: 'refuse', message });
  if (name.length > NAME_MAX)
    return refuse(
      `the name of the operation becomes the snapshot's, and has more than ${NAME_MAX} characters`,
    );
  if (!view.observed.snapshotsServed)
    return refuse(
      'the cluster has no VolumeSnapshot (snapshot.storage.k8s.io/v1), or the operator may not use it: install the snapshot controller and a CSI driver that can make snapshots',
    );
  if (made.length > 0) return refuse(`there is a snapshot of that name: ${made.map(nameOf).join(', ')}`);
  const unserved = view.servers.find((home) => diskSetPhase(view, home) !== 'Serving');
  if (unserved !== undefined)
    return refuse(
      `the disk set of ${unserved.name} is not served at the moment: ask again when the pair is Ready`,
    );
  return { kind: 'stand', homes: view.servers };
}

/** The freeze for this very snapshot. */
function freezeOf({ lease }: ServerView, operation: string): FreezeAnnotation | null {
  const { freeze = null } = lease ?? {};
  return freeze !== null && operationIn(freeze.id) === operation ? freeze : null;
}

/** UID of the operation, and the moment. */
export const freezeId = (operation: string, now: number): string => `${operation}@${now}`;
const operationIn = (id: string): string => id.slice(0, id.lastIndexOf('@'));
const begunAt = ({ id }: FreezeAnnotation): number => Number(id.slice(id.lastIndexOf('@') + 1)) || 0;

/** null: it is not. */
function whyBroken(view: Assessment, name: string, uid: string, begun: number): string | null {
  for (const home of view.servers) {
    const { lease } = home;
    const freeze = freezeOf(home, uid);
    if (lease === null || freeze === null) continue;
    if (lease.epoch !== freeze.epoch) return `the disk set of ${home.name} has changed its owner meanwhile`;
    const answer = lease.freezeAnswer;
    if (answer?.id === freeze.id && answer.state === 'Broken')
      return `${lease.holderServer} could not keep the disk set of ${home.name} still: ${answer.message}`;
  }
  const failed = view.observed.volumeSnapshots.find(
    ({ metadata, status }) =>
      metadata.labels?.[labels.snapshot] === name && status?.error?.message !== undefined,
  );
  if (failed !== undefined) return `${nameOf(failed)}: ${failed.status?.error?.message}`;
  const waited = view.now - begun;
  if (waited > FREEZE_MS_MAX + ANSWER_MS_MAX)
    return `not everybody has answered within ${Math.round(waited / 1000)} s; servers of a version that knows no snapshots never do`;
  return null;
}

/** Made for what is asked for now, and not for an earlier wish of the same name. */
function isOfFreeze(view: Assessment, { metadata }: VolumeSnapshot): boolean {
  const home = view.servers.find(({ name }) => name === metadata.labels?.[labels.diskSet]);
  const asked = home?.lease?.freeze?.id;
  return asked !== undefined && metadata.annotations?.[snapshotAnnotations.freeze] === asked;
}

/** From then on its content cannot change any more. */
const isCut = (snapshot: VolumeSnapshot | undefined): boolean => snapshot?.status?.creationTime !== undefined;

const nameOf = ({ metadata }: VolumeSnapshot): string => metadata.name ?? '';
