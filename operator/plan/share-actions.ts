/**
 * The operator's part of FilerShares; servers do the rest. A share that no server can serve, since there is no such pair,
 * server or volume, is told so, and one whose disk set has not been served for a while. One whose directory goes with it is
 * held until a server has deleted the directory. Of any other share nothing is written.
 */

import type { Condition } from '../../crds/condition.ts';
import {
  isToldByOperator,
  NOT_SERVED,
  SHARE_FINALIZER,
  type unplacedShareReasons,
} from '../../kubernetes/share-conditions.ts';
import { type Action, finalizersSet, statusApplied } from '../model/action.ts';
import { namedVolumes } from '../model/effective-pair.ts';
import type { FilerPairObject, FilerShareObject } from '../model/objects.ts';
import type { Observed } from '../model/observed.ts';
import { condition } from './told-conditions.ts';

/** A disk set that is not served for less than this, as in a failover, is none of its shares' news. ms */
export const UNSERVED_MS = 60_000;
/** Of 10,000 shares so many are written in one plan: what else a pair needs waits for no more. */
const AT_ONCE = 20;

interface Misplaced {
  readonly reason: (typeof unplacedShareReasons)[number];
  readonly message: string;
}

/** isServed: which disk sets are, at this moment; absent: as the status of the pair says. */
export function shareActions(
  observed: Observed,
  now: number,
  isServed: (server: string) => boolean = () => false,
): Action[] {
  const found: Action[] = [];
  for (const share of observed.filerShares) {
    if (found.length >= AT_ONCE) break;
    const where = misplaced(observed, share);
    const { server } = share.spec;
    const unserved = where === null && !isServed(server) && unservedAt(observed.pair, server) <= now;
    found.push(...told(share, where, unserved, now), ...held(share, where));
  }
  return found;
}

/** When shares have to be told that their disk set is not served, ms since the epoch; null: never. */
export function unservedSharesDueAt({ pair, filerShares }: Observed, now: number): number | null {
  const due = [...new Set(filerShares.map(({ spec }) => spec.server))]
    .map((server) => unservedAt(pair, server))
    .filter((at) => at > now && at !== Number.POSITIVE_INFINITY);
  return due.length === 0 ? null : Math.min(...due);
}

/** Infinity: its disk set is served, or nothing is known. Of a pair that was never looked into its own condition tells. */
function unservedAt(pair: FilerPairObject | null, server: string): number {
  const { status } = pair ?? {};
  const of = status?.diskSets?.find(({ name }) => name === server)?.conditions ?? status?.conditions;
  const told = of?.find(({ type }) => type === 'Served' || type === 'Ready');
  if (told === undefined || told.status === 'True' || told.reason === 'Pending')
    return Number.POSITIVE_INFINITY;
  return Date.parse(told.lastTransitionTime) + UNSERVED_MS;
}

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

/** As a field manager of its own: what is taken back leaves what the servers say. They replace it by themselves when they serve. */
function told(share: FilerShareObject, where: Misplaced | null, unserved: boolean, now: number): Action[] {
  const { generation = 0 } = share.metadata;
  const before = share.status?.conditions ?? [];
  const ours = before.filter(({ reason }) => isToldByOperator(reason));
  const accepted = before.find(({ type }) => type === 'Accepted');
  const saidByServer = accepted !== undefined && !isToldByOperator(accepted.reason);
  const say = (type: string, status: Condition['status'], about: Pick<Condition, 'reason' | 'message'>) =>
    condition(before, type, { status, ...about }, { generation, now });
  const wanted =
    where !== null
      ? (['Accepted', 'Ready'] as const).map((type) => say(type, 'False', where))
      : unserved
        ? (saidByServer ? ['Ready'] : ['Accepted', 'Ready']).map((type) =>
            say(type, 'Unknown', notServed(share)),
          )
        : [];
  if (wanted.length === 0 && ours.every(({ reason }) => reason === NOT_SERVED)) return [];
  const isSaid = (one: Condition): boolean =>
    ours.some(
      (other) =>
        other.type === one.type && other.reason === one.reason && other.observedGeneration === generation,
    );
  if (wanted.length > 0 && wanted.every(isSaid)) return [];
  const why = where?.message ?? (unserved ? 'its disk set is not served' : 'its pair has such a volume now');
  return [statusApplied('filerShares', share, wanted.length === 0 ? {} : { conditions: wanted }, why)];
}

/** The same words for as long as it lasts: one write for each share. */
const notServed = ({ spec: { server, pairRef } }: FilerShareObject) => ({
  reason: NOT_SERVED,
  message: `The disk set of ${server} is not served: see the condition Ready of FilerPair ${pairRef.name}.`,
});

function held(share: FilerShareObject, where: Misplaced | null): Action[] {
  const { metadata, spec, status } = share;
  const { finalizers = [], deletionTimestamp } = metadata;
  const isHeld = finalizers.includes(SHARE_FINALIZER);
  const goes = spec.deletionPolicy === 'Delete';
  const finalizersAre = (left: readonly string[], why: string): Action =>
    finalizersSet('filerShares', share, left, why);
  if (deletionTimestamp === undefined) {
    if (isHeld === goes || (goes && where !== null)) return [];
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
  if (where === null) return [];
  const note = `The directory of the FilerShare is not deleted, if there is one. ${where.message}`;
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
