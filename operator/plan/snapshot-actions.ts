// The steps of a snapshot as actions. What is asked of owners is a compare-and-swap on their Leases.

import type { FilerPairStatus } from '../../crds/filerpair-status.ts';
import {
  labels,
  leaseAnnotations,
  type StandstillAnnotation,
  snapshotAnnotations,
} from '../../kubernetes/labels-and-annotations.ts';
import type { Assessment } from '../assess/assessment.ts';
import {
  type SnapshotOf,
  type SnapshotStep,
  STANDSTILL_MS_MAX,
  snapshotAsked,
  standstillId,
} from '../assess/snapshot.ts';
import { desired } from '../desired/owned.ts';
import { type Action, annotated, deletion, type PairEvent } from '../model/action.ts';
import type { ServerView } from '../model/view.ts';

/** `recorded`: the status says already what has come of it. Until then the question stays: it would be answered to nobody. */
export function snapshotActions(view: Assessment, step: SnapshotStep | null, recorded: boolean): Action[] {
  if (step === null) return standstillsRemoved(view);
  const name = snapshotAsked(view) ?? '';
  if (!recorded && (step.kind === 'refuse' || step.kind === 'done' || step.kind === 'fail')) return [];
  switch (step.kind) {
    case 'wait':
      return [];
    case 'stand':
      return step.homes.flatMap((home) => {
        const { epoch = 0 } = home.lease ?? {};
        const standstill = { id: standstillId(name, view.now), epoch, msMax: STANDSTILL_MS_MAX };
        return asked(home, standstill, `the disk set of ${home.name} is to stand still for snapshot ${name}`);
      });
    case 'make':
      return step.missing.map((one) => made(view, name, one));
    case 'end':
      return step.homes.flatMap((home) => {
        const standstill = { ...home.lease!.standstill!, over: true };
        return asked(home, standstill, `snapshot ${name} is cut`);
      });
    case 'refuse':
    case 'done':
      return [...answered(view), ...standstillsRemoved(view)];
    case 'fail':
      return [
        ...step.made.map((one) =>
          deletion('volumeSnapshots', one, `snapshot ${name} is not of one point in time: ${step.message}`),
        ),
        ...answered(view),
        ...standstillsRemoved(view),
      ];
  }
}

function asked({ lease }: ServerView, standstill: StandstillAnnotation, why: string): Action[] {
  if (lease === null) return [];
  const annotations = { [leaseAnnotations.standstill]: JSON.stringify(standstill) };
  return [annotated('leases', lease.object, annotations, why)];
}

/** Without an owner: a snapshot outlives its pair. */
function made(view: Assessment, name: string, one: SnapshotOf): Action {
  const { [snapshotAnnotations.snapshotClass]: className } = view.pair.metadata.annotations ?? {};
  const { object } = desired(view, 'volumeSnapshots', one.name, {
    owned: false,
    labels: {
      [labels.snapshot]: name,
      [labels.home]: one.home.name,
      [labels.volume]: one.volume,
      // A pair that is made on copies of these volumes goes on from here.
      [labels.epoch]: String(one.home.lease?.epoch ?? 0),
    },
    annotations: { [snapshotAnnotations.standstill]: one.home.lease?.standstill?.id ?? '' },
    body: {
      spec: {
        source: { persistentVolumeClaimName: one.claim },
        ...(className === undefined ? {} : { volumeSnapshotClassName: className.trim() }),
      },
    },
  });
  const why = `snapshot ${name}: both disk sets stand still`;
  return { kind: 'create', resource: 'volumeSnapshots', object, why };
}

/** Compare-and-swap, so that a new wish is not lost. */
function answered(view: Assessment): Action[] {
  const annotations = { [snapshotAnnotations.snapshot]: null, [snapshotAnnotations.snapshotClass]: null };
  return [annotated('filerPairs', view.pair, annotations, 'the snapshot is answered')];
}

/** After the answer, or where nobody asks any more: an owner that still stands goes on by itself soon. */
const standstillsRemoved = (view: Assessment): Action[] =>
  view.servers.flatMap(({ lease }) => {
    if (lease === null || (lease.standstill === null && lease.standstillAnswer === null)) return [];
    const annotations = { [leaseAnnotations.standstill]: null, [leaseAnnotations.standstillAnswer]: null };
    return [annotated('leases', lease.object, annotations, 'nobody waits for its standstill')];
  });

type LastSnapshot = NonNullable<FilerPairStatus['lastSnapshot']>;

export function snapshotToRemember(
  view: Assessment,
  step: SnapshotStep | null,
  at: string,
): LastSnapshot | undefined {
  const before = view.pair.status?.lastSnapshot;
  if (step === null) return before;
  const now = { name: snapshotAsked(view) ?? '', ...outcome(view, step) };
  const same = before?.name === now.name && before.result === now.result && before.message === now.message;
  return same ? before : { ...now, at };
}

function outcome(view: Assessment, step: SnapshotStep): Pick<LastSnapshot, 'result' | 'message'> {
  const none = `There is no snapshot ${snapshotAsked(view)}`;
  switch (step.kind) {
    case 'refuse':
      return { result: 'Refused', message: `${none}: ${step.message}.` };
    case 'fail':
      return { result: 'Failed', message: `${none}: ${step.message}.` };
    case 'done': {
      const all = step.made.map(({ metadata }) => metadata.name).toSorted();
      return {
        result: 'Done',
        message: `All volumes of both disk sets at one point in time: ${all.join(', ')}.`,
      };
    }
    default:
      return { result: 'Pending', message: 'Both disk sets are to stand still for a moment.' };
  }
}

export function snapshotEvents(before: FilerPairStatus | undefined, after: FilerPairStatus): PairEvent[] {
  const now = after.lastSnapshot;
  const was = before?.lastSnapshot;
  if (now === undefined || now.result === 'Pending') return [];
  if (was?.name === now.name && was.result === now.result && was.at === now.at) return [];
  const type = now.result === 'Done' ? 'Normal' : 'Warning';
  return [{ key: `${now.name}/${now.at}`, type, reason: `Snapshot${now.result}`, note: now.message }];
}
