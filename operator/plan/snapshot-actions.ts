/** The steps of a snapshot as actions. What is asked of owners is a compare-and-swap on their Leases. */

import {
  type FreezeAnnotation,
  labels,
  leaseAnnotations,
  snapshotAnnotations,
} from '../../kubernetes/labels-and-annotations.ts';
import type { Assessment } from '../assess/assessment.ts';
import { complete, failed, type OperationVerdict, waits } from '../assess/operations/unfinished.ts';
import {
  FREEZE_MS_MAX,
  freezeId,
  type SnapshotOf,
  type SnapshotStep,
  snapshotAsked,
  snapshotStep,
} from '../assess/snapshot.ts';
import { desired } from '../desired/owned.ts';
import { type Action, annotated, deletion } from '../model/action.ts';
import type { FilerPairOperationObject } from '../model/objects.ts';
import type { ServerView } from '../model/view.ts';

/** The status of the operation comes after these: what has ended is not looked at again. */
export function snapshotActions(view: Assessment): Action[] {
  const operation = snapshotAsked(view);
  const step = snapshotStep(view);
  if (operation === null || step === null) return freezesRemoved(view);
  const { name = '', uid = '' } = operation.metadata;
  switch (step.kind) {
    case 'wait':
    case 'refuse':
    case 'again':
    case 'done':
      return [];
    case 'stand':
      return step.homes.flatMap((home) => {
        const { epoch = 0 } = home.lease ?? {};
        const freeze = { id: freezeId(uid, view.now), epoch, msMax: FREEZE_MS_MAX };
        return asked(home, freeze, `the disk set of ${home.name} is to stand still for snapshot ${name}`);
      });
    case 'make':
      return step.missing.map((one) => made(view, operation, one));
    case 'end':
      return step.homes.flatMap((home) => {
        const freeze = { ...home.lease!.freeze!, over: true };
        return asked(home, freeze, `snapshot ${name} is cut`);
      });
    case 'fail':
      return step.made.map((one) =>
        deletion('volumeSnapshots', one, `snapshot ${name} is not of one point in time: ${step.message}`),
      );
  }
}

export function snapshotVerdict(step: SnapshotStep): OperationVerdict {
  switch (step.kind) {
    case 'refuse':
      return failed('SnapshotRefused', `There is no snapshot: ${step.message}.`);
    case 'again':
      return step.verdict;
    case 'fail':
      return failed('SnapshotFailed', `There is no snapshot: ${step.message}.`);
    case 'done': {
      const snapshots = step.made
        .map(({ metadata }) => ({
          name: metadata.name ?? '',
          server: metadata.labels?.[labels.diskSet] ?? '',
          volume: metadata.labels?.[labels.volume] ?? '',
        }))
        .toSorted((a, b) => (a.name < b.name ? -1 : 1));
      const all = snapshots.map(({ name }) => name).join(', ');
      return complete('SnapshotTaken', `All volumes of both disk sets at one point in time: ${all}.`, {
        snapshots,
      });
    }
    default:
      return waits('Quiescing', 'Both disk sets are to stand still for a moment.');
  }
}

function asked({ lease }: ServerView, freeze: FreezeAnnotation, why: string): Action[] {
  if (lease === null) return [];
  const annotations = { [leaseAnnotations.freeze]: JSON.stringify(freeze) };
  return [annotated('leases', lease.object, annotations, why)];
}

/** Without an owner: a snapshot outlives its pair. */
function made(view: Assessment, operation: FilerPairOperationObject, one: SnapshotOf): Action {
  const { name = '' } = operation.metadata;
  const className = operation.spec.snapshot?.volumeSnapshotClassName;
  const { object } = desired(view, 'volumeSnapshots', one.name, {
    owned: false,
    labels: {
      [labels.snapshot]: name,
      [labels.diskSet]: one.home.name,
      [labels.volume]: one.volume,
      // A pair that is made on copies of these volumes goes on from here.
      [labels.epoch]: String(one.home.lease?.epoch ?? 0),
    },
    annotations: { [snapshotAnnotations.freeze]: one.home.lease?.freeze?.id ?? '' },
    body: {
      spec: {
        source: { persistentVolumeClaimName: one.claim },
        ...(className === undefined ? {} : { volumeSnapshotClassName: className }),
      },
    },
  });
  const why = `snapshot ${name}: both disk sets stand still`;
  return { kind: 'create', resource: 'volumeSnapshots', object, why };
}

/** Removes requests that are no longer made: an owner that is still frozen goes on by itself soon. */
const freezesRemoved = (view: Assessment): Action[] =>
  view.servers.flatMap(({ lease }) => {
    if (lease === null || (lease.freeze === null && lease.freezeAnswer === null)) return [];
    const annotations = { [leaseAnnotations.freeze]: null, [leaseAnnotations.freezeAnswer]: null };
    return [annotated('leases', lease.object, annotations, 'no snapshot waits for its freeze')];
  });
