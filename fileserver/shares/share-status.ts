/** Status of a FilerShare that the owner of its disk set writes. Pure. */
import {
  type DirectoryDeletedReason,
  type ReadyReason,
  unplacedShareReasons,
} from '../../kubernetes/share-conditions.ts';
import type { RootProblem } from '../storage/files/export-root.ts';
import type { Verdict } from './share-export.ts';
import type { ShareCondition, ShareObject, ShareStatus } from './share-object.ts';

/** Facts that the owner knows of a share. */
export interface ShareFacts {
  readonly verdict: Verdict;
  readonly path: string;
  /** Name under which clients find the server. */
  readonly serviceName: string;
  /** null: the directory is there. */
  readonly absent: {
    readonly cause: Exclude<RootProblem, 'DirectoryNotMadeYet'>;
    readonly reason: string;
  } | null;
  /** News of the directory of a share that is being deleted; null: its directory stays. */
  readonly directory: DirectoryNews | null;
  readonly deleting: boolean;
}

export interface DirectoryNews {
  readonly status: 'True' | 'False';
  readonly reason: DirectoryDeletedReason;
  readonly message: string;
}

/** The status to be applied; null: it is said already, or is not the server's to say. now: RFC 3339, whole seconds. */
export function statusToApply(share: ShareObject, facts: ShareFacts, now: string): ShareStatus | null {
  const { metadata, status: seen = {} } = share;
  if (isUnplaced(share, facts)) return null;
  const generation = metadata.generation ?? 1;
  const conditions = conditionsOf(facts).map((one): ShareCondition => {
    const before = seen.conditions?.find(({ type }) => type === one.type);
    const lastTransitionTime = before?.status === one.status ? before.lastTransitionTime : now;
    return { ...one, observedGeneration: generation, lastTransitionTime };
  });
  const said = conditions.every((one) => seen.conditions?.some((other) => isSame(one, other)) === true);
  const { path, serviceName: server } = facts;
  if (said && seen.path === path && seen.server === server && seen.observedGeneration === generation)
    return null;
  return { observedGeneration: generation, conditions, path, server };
}

/** The pair itself does not have the volume: that is the operator's to say. */
function isUnplaced({ status }: ShareObject, { verdict }: ShareFacts): boolean {
  if (verdict.accepted || verdict.reason !== 'VolumeNotServed') return false;
  const accepted = status?.conditions?.find(({ type }) => type === 'Accepted');
  return (unplacedShareReasons as readonly string[]).includes(accepted?.reason ?? '');
}

type Said = Pick<ShareCondition, 'type' | 'status' | 'reason' | 'message'>;

function conditionsOf({ verdict, absent, directory, deleting }: ShareFacts): Said[] {
  const accepted: Said = verdict.accepted
    ? { type: 'Accepted', status: 'True', reason: 'Accepted', message: 'The servers accept it.' }
    : { type: 'Accepted', status: 'False', reason: verdict.reason, message: sentence(verdict.message) };
  const ready = (reason: ReadyReason, message: string): Said => ({
    type: 'Ready',
    status: reason === 'Served' ? 'True' : 'False',
    reason,
    message,
  });
  if (deleting) {
    const deleted: Said[] = directory === null ? [] : [{ type: 'DirectoryDeleted', ...directory }];
    return [accepted, ready('Deleting', 'It is being deleted: clients can no longer mount it.'), ...deleted];
  }
  if (!verdict.accepted) return [accepted, ready(verdict.reason, accepted.message)];
  if (absent !== null) return [accepted, ready(absent.cause, sentence(absent.reason))];
  return [accepted, ready('Served', 'Clients can mount it.')];
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

function isSame(a: ShareCondition, b: ShareCondition): boolean {
  return (
    a.type === b.type &&
    a.status === b.status &&
    a.reason === b.reason &&
    a.message === b.message &&
    a.observedGeneration === b.observedGeneration
  );
}
