/**
 * FilerDiskSets: what must not be forgotten of a disk set is written down before anything depends on it, and only grows. Two
 * facts keep data: an epoch below which no Lease begins, and the claims that were bound once, which are not made anew when they
 * vanish.
 */

import {
  type DiskSetTransition,
  diskSetName,
  type FilerDiskSetSpec,
  type FilerDiskSetStatus,
} from '../../crds/filer-disk-set.ts';
import {
  type LastTransitionAnnotation,
  labels,
  leaseAnnotations,
} from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import { apiVersionOf, resources } from '../../kubernetes/resource.ts';
import { accepted } from '../assess/accepted.ts';
import type { Assessment } from '../assess/assessment.ts';
import { isClaimOffered } from '../assess/offered.ts';
import { writableRecord } from '../assess/operations/carried-out.ts';
import type { RecreateFinding } from '../assess/operations/recreate-claim.ts';
import { knownEpoch } from '../desired/lease.ts';
import { pairLabels } from '../desired/owned.ts';
import {
  type Action,
  annotated,
  deletion,
  finalizersSet,
  inSequence,
  patchOf,
  sideBySide,
  statusApplied,
} from '../model/action.ts';
import { DISK_SET_FINALIZER, recordOf } from '../model/disk-set-record.ts';
import { openedAfterMs } from '../model/lease-view.ts';
import { matches } from '../model/matches.ts';
import type { FilerDiskSetObject } from '../model/objects.ts';
import type { Observed } from '../model/observed.ts';
import type { ServerView } from '../model/view.ts';
import { operationsRemembered, recordPart } from './operations-remembered.ts';
import { diskSetConditions } from './told-conditions.ts';

const HISTORY_SIZE_MAX = 10;

type RecordedClaim = NonNullable<FilerDiskSetSpec['claims']>[number];

export function recordsKept(view: Assessment): Action[] {
  return view.servers.flatMap((home) => {
    const record = recordOf(view.observed, home.name);
    // A disk set for which nothing was made has nothing to remember yet.
    if (record === null)
      return accepted(view).status === 'True' || home.lease !== null ? [recordMade(view, home)] : [];
    return writableRecord(view, home.name) === null ? [] : statusTold(view, home, record);
  });
}

/** Adds knowledge that has grown to the records. Before anything that depends on it. */
export const recordsChanged = (view: Assessment): Action[] =>
  view.servers.flatMap((home) => {
    // One that is being deleted takes no finalizers. It goes with its pair.
    const record = writableRecord(view, home.name);
    return record === null ? [] : sideBySide(recordPart(home.name), recordChanged(view, home, record));
  });

const held = ({ metadata }: FilerDiskSetObject): boolean =>
  metadata.finalizers?.includes(DISK_SET_FINALIZER) === true;

/** Never an apply: that would take out of a record what this process has not seen in it. */
function recordMade(view: Assessment, home: ServerView): Action {
  const operations = operationsRemembered(view, home.name, []);
  const object = {
    apiVersion: apiVersionOf(resources.filerDiskSets),
    kind: resources.filerDiskSets.kind,
    metadata: {
      name: diskSetName(view.observed.name, home.name),
      namespace: view.observed.namespace,
      labels: recordLabels(view, home),
      // No owner: a backup that brings both back gives the FilerPair another UID, and the garbage collector would take the record.
      finalizers: [DISK_SET_FINALIZER],
    },
    spec: {
      pairRef: { name: view.observed.name },
      server: home.name,
      storageType: view.effective.storageType,
      epochFloor: knownEpoch(view, home),
      claims: boundClaims(view, home, []),
      ...(operations.length === 0 ? {} : { operations }),
    } satisfies FilerDiskSetSpec,
  } as KubernetesObject;
  return { kind: 'create', resource: 'filerDiskSets', object, why: 'it is missing' };
}

const recordLabels = (view: Assessment, home: ServerView) => ({
  ...pairLabels(view),
  [labels.diskSet]: home.name,
});

/** Compare-and-swap: the lists are written whole. */
function recordChanged(view: Assessment, home: ServerView, record: FilerDiskSetObject): Action[] {
  const { metadata, spec } = record;
  const epochFloor = Math.max(spec.epochFloor, knownEpoch(view, home), home.lease?.epoch ?? 0);
  const claims = boundClaims(view, home, spec.claims ?? []);
  const operations = operationsRemembered(view, home.name, spec.operations ?? []);
  const wantedLabels = recordLabels(view, home);
  const specChange = {
    ...(epochFloor === spec.epochFloor ? {} : { epochFloor }),
    ...(matches(claims, spec.claims ?? []) ? {} : { claims }),
    ...(matches(operations, spec.operations ?? []) ? {} : { operations }),
    ...(spec.storageType === undefined ? { storageType: view.effective.storageType } : {}),
  };
  const metadataChange = {
    ...(matches(wantedLabels, metadata.labels ?? {}) ? {} : { labels: wantedLabels }),
    ...(held(record) || metadata.deletionTimestamp !== undefined
      ? {}
      : { finalizers: [...(metadata.finalizers ?? []), DISK_SET_FINALIZER] }),
  };
  if (Object.keys(specChange).length + Object.keys(metadataChange).length === 0) return [];
  const patch = {
    metadata: { resourceVersion: metadata.resourceVersion, ...metadataChange },
    ...(Object.keys(specChange).length === 0 ? {} : { spec: specChange }),
  };
  const why =
    epochFloor > spec.epochFloor ? `its disk set is at epoch ${epochFloor}` : 'what is known has changed';
  return [patchOf('filerDiskSets', record, patch, why)];
}

/**
 * Claims that were seen bound: they hold data from then on. One that has vanished stays in the list. One that somebody has put in the
 * place of another takes its entry: whether it holds the data is found out by the server that opens it.
 */
function boundClaims(view: Assessment, home: ServerView, known: readonly RecordedClaim[]): RecordedClaim[] {
  const seen = home.claims.flatMap(({ name, volume, object }): RecordedClaim[] => {
    const { uid } = object?.metadata ?? {};
    const bound = object?.status?.phase === 'Bound' && uid !== undefined && isClaimOffered(view, object);
    return bound ? [{ volume: volume.name, name, uid }] : [];
  });
  const gone = known.filter(({ volume }) => seen.every((one) => one.volume !== volume));
  return [...gone, ...seen].toSorted((a, b) => (a.volume < b.volume ? -1 : 1));
}

/** An operation gives a claim up: the record forgets it, and so does the Lease, by which a server would refuse an empty volume. */
export function claimForgotten(
  view: Assessment,
  { home, claim }: NonNullable<RecreateFinding['forget']>,
): Action[] {
  const record = recordOf(view.observed, home.name);
  if (record === null) return [];
  const claims = (record.spec.claims ?? []).filter(({ volume }) => volume !== claim.volume.name);
  const patch = { metadata: { resourceVersion: record.metadata.resourceVersion }, spec: { claims } };
  const why = `claim ${claim.name} is given up`;
  const { lease } = home;
  const { [claim.volume.name]: known, ...others } = lease?.written?.volumes ?? {};
  const written = { [leaseAnnotations.written]: JSON.stringify({ ...lease?.written, volumes: others }) };
  return inSequence('recreation of a claim', [
    ...(lease === null || known === undefined ? [] : [annotated('leases', lease.object, written, why)]),
    patchOf('filerDiskSets', record, patch, why),
  ]);
}

/** The last thing that a pair which is deleted lets go of, but its Leases: its claims know the epoch by then. */
export const recordsLetGo = ({ filerDiskSets }: Observed): Action[] =>
  filerDiskSets.flatMap((record) => {
    const { metadata } = record;
    const finalizers = (metadata.finalizers ?? []).filter((one) => one !== DISK_SET_FINALIZER);
    const why = 'the pair is gone, and its claims know the epoch';
    return [
      ...(held(record) ? [finalizersSet('filerDiskSets', record, finalizers, why)] : []),
      ...(metadata.deletionTimestamp === undefined ? [deletion('filerDiskSets', record, why)] : []),
    ];
  });

function statusTold(view: Assessment, home: ServerView, record: FilerDiskSetObject): Action[] {
  const { status: before } = record;
  const status = statusOf(view, home, before ?? { conditions: [] });
  if (before !== undefined && matches(status, before) && matches(before, status)) return [];
  return [statusApplied('filerDiskSets', record, status, 'its disk set has changed')];
}

function statusOf(view: Assessment, home: ServerView, before: FilerDiskSetStatus): FilerDiskSetStatus {
  const { lease } = home;
  const history = historyOf(lease?.lastTransition ?? null, before.history ?? []);
  return {
    conditions: diskSetConditions(view, home, before.conditions, {
      generation: recordOf(view.observed, home.name)?.metadata.generation ?? 0,
      now: view.now,
    }),
    ...(lease?.holderServer == null ? {} : { owner: lease.holderServer }),
    ...(lease?.holder == null ? {} : { holder: lease.holder }),
    epoch: lease?.epoch ?? before.epoch ?? 0,
    ...(history.length === 0 ? {} : { history }),
  };
}

/** The latest first. A Lease tells only its last transition; older ones are what the record remembers. */
function historyOf(
  told: LastTransitionAnnotation | null,
  before: readonly DiskSetTransition[],
): DiskSetTransition[] {
  if (told === null) return [...before];
  const older = before.filter(({ epoch }) => epoch !== told.epoch);
  return [transitionOf(told), ...older].toSorted((a, b) => b.epoch - a.epoch).slice(0, HISTORY_SIZE_MAX);
}

export function transitionOf(told: LastTransitionAnnotation): DiskSetTransition {
  return {
    epoch: told.epoch,
    kind: told.kind,
    cause: told.cause,
    ...(told.reason === undefined ? {} : { reason: told.reason }),
    to: told.to,
    time: told.at,
    durationMilliseconds: openedAfterMs(told),
    phases: told.phases.slice(0, 32).map(({ name, atMs, tookMs }) => ({
      name,
      offsetMilliseconds: Math.round(atMs),
      durationMilliseconds: Math.round(tookMs),
    })),
  };
}
