// The operator's part of FilerShares; servers do the rest. A share that no server can serve, since there is no such pair, server or
// volume, is told so. One whose directory goes with it is held until a server has deleted the directory. Of any other share nothing
// is written.

import type { Condition } from '../../crds/condition.ts';
import { SHARE_FINALIZER } from '../../kubernetes/share-conditions.ts';
import { type Action, finalizersSet, statusApplied } from '../model/action.ts';
import { namedVolumes } from '../model/effective-pair.ts';
import type { FilerShareObject } from '../model/objects.ts';
import type { Observed } from '../model/observed.ts';
import { timeText } from './told-conditions.ts';

interface Misplaced {
  readonly reason: 'PairNotFound' | 'ServerNotFound' | 'VolumeNotFound';
  readonly message: string;
}

const reasons: ReadonlySet<string> = new Set<Misplaced['reason']>([
  'PairNotFound',
  'ServerNotFound',
  'VolumeNotFound',
]);

export const shareActions = (observed: Observed, now: number): Action[] =>
  observed.filerShares.flatMap((share) => {
    const found = misplaced(observed, share);
    return [...told(share, found, now), ...held(share, found)];
  });

/** null: there is a server that has this volume. */
function misplaced(
  { name, namespace, pair }: Observed,
  { spec: { server: wanted, volume } }: FilerShareObject,
): Misplaced | null {
  if (pair === null)
    return {
      reason: 'PairNotFound',
      message: `There is no FilerPair ${name} in namespace ${namespace}. Create it, or delete this FilerShare.`,
    };
  const servers = pair.spec?.servers ?? [];
  const server = servers.find((one) => one.name === wanted);
  if (server === undefined)
    return {
      reason: 'ServerNotFound',
      message: `FilerPair ${name} has no server ${wanted}: it has ${servers.map((one) => one.name).join(' and ')}. Create another FilerShare.`,
    };
  const volumes = namedVolumes(name, { ...pair.spec, servers: [server] }).map((one) => one.name);
  if (volumes.includes(volume)) return null;
  return {
    reason: 'VolumeNotFound',
    message: `Server ${wanted} of FilerPair ${name} has no volume ${volume}: it has ${volumes.join(', ')}. Add the volume, or create another FilerShare.`,
  };
}

/** As a field manager of its own: what is taken back leaves what the servers say. */
function told(share: FilerShareObject, found: Misplaced | null, now: number): Action[] {
  const { generation = 0 } = share.metadata;
  const before = share.status?.conditions?.find(({ type }) => type === 'Accepted');
  const ours = before?.status === 'False' && reasons.has(before.reason);
  const told = found === null ? !ours : ours && before.reason === found.reason;
  if (told && (found === null || before?.observedGeneration === generation)) return [];
  const condition = (type: string): Condition => ({
    type,
    status: 'False',
    observedGeneration: generation,
    lastTransitionTime: before?.status === 'False' ? before.lastTransitionTime : timeText(now),
    reason: found!.reason,
    message: found!.message,
  });
  const status = found === null ? {} : { conditions: [condition('Accepted'), condition('Ready')] };
  const why = found === null ? 'its pair has such a volume now' : found.message;
  return [statusApplied('filerShares', share, status, why)];
}

function held(share: FilerShareObject, found: Misplaced | null): Action[] {
  const { metadata, spec, status } = share;
  const { finalizers = [], deletionTimestamp } = metadata;
  const isHeld = finalizers.includes(SHARE_FINALIZER);
  const goes = spec.deletionPolicy === 'Delete';
  const finalizersAre = (left: readonly string[], why: string): Action =>
    finalizersSet('filerShares', share, left, why);
  if (deletionTimestamp === undefined) {
    if (isHeld === goes || (goes && found !== null)) return [];
    return [
      isHeld
        ? finalizersAre(without(finalizers), 'its directory stays')
        : finalizersAre([...finalizers, SHARE_FINALIZER], 'its directory is deleted with it'),
    ];
  }
  if (!isHeld) return [];
  const deleted = status?.conditions?.some((one) => one.type === 'DirectoryDeleted' && one.status === 'True');
  if (deleted === true) return [finalizersAre(without(finalizers), 'its directory is deleted')];
  if (!goes) return [finalizersAre(without(finalizers), 'its directory stays')];
  if (found === null) return [];
  const note = `The directory of the FilerShare is not deleted, if there is one. ${found.message}`;
  const event = {
    key: `${metadata.uid}/DirectoryKept`,
    type: 'Warning',
    reason: 'DirectoryKept',
    note,
    about: { resource: 'filerShares', object: share },
  } as const;
  return [{ ...finalizersAre(without(finalizers), 'no server could delete its directory'), event }];
}

const without = (finalizers: readonly string[]): string[] =>
  finalizers.filter((one) => one !== SHARE_FINALIZER);
