/**
 * Takeovers and givebacks that somebody asks for with a FilerPairOperation. Each becomes a request on the disk set's Lease; a
 * server acts on it and answers on the Lease, and the answer ends the operation.
 */

import { diskSetName, OPERATIONS_REMEMBERED_MAX } from '../../../crds/filer-disk-set.ts';
import type { FilerPairOperationSpec } from '../../../crds/filer-pair-operation.ts';
import type {
  RequestAnnotation,
  RequestResultAnnotation,
} from '../../../kubernetes/labels-and-annotations.ts';
import type { FilerPairOperationObject } from '../../model/objects.ts';
import { type ServerView, serverNamed } from '../../model/view.ts';
import { type Assessment, question } from '../assessment.ts';
import { disksHeld } from '../disks-held.ts';
import { isDrained } from '../drain.ts';
import {
  alreadyCarriedOut,
  endInRecord,
  hasRoom,
  isOfAnother,
  rememberedOf,
  writableRecord,
} from './carried-out.ts';
import {
  complete,
  failed,
  type OperationFinding,
  type OperationVerdict,
  queuedBehind,
  unfinished,
  waits,
} from './unfinished.ts';

//   FilerPairOperation ──> record (FilerDiskSet) ──> request on the Lease ──> result on the Lease ──> status of the operation,
//                                                                                                    then the request goes
//
// The record decides, by compare-and-swap, whether an operation without ifEpoch is accepted or fails: two operators never say both.
// It names the epoch at which the operation was accepted. An operator that dies in between leaves an operation that can act at that
// epoch alone: the request is a compare-and-swap on the Lease, which has that epoch, and a move ends it.

export interface MoveFinding extends OperationFinding {
  /** To be put on the Lease of this disk set now; null: nothing is. */
  readonly passOn: { readonly home: ServerView; readonly request: RequestAnnotation } | null;
}

const PREFIX = 'operation-';

export const moveFindings = question((view: Assessment): MoveFinding[] => {
  const before = new Map<string, FilerPairOperationObject>();
  return unfinished(view.observed, 'Takeover', 'Giveback').map((operation): MoveFinding => {
    const { server } = moveOf(operation);
    const older = before.get(server);
    before.set(server, operation);
    if (older !== undefined) return { operation, verdict: queuedBehind(older), passOn: null };
    const found = findingFor(view, operation);
    return 'verdict' in found
      ? { operation, verdict: found.verdict, passOn: null }
      : {
          operation,
          verdict: asked(found.home),
          passOn: found,
        };
  });
});

/** A move that somebody waits for; null: nobody does. */
export const pendingMove = question(
  (view: Assessment): FilerPairOperationObject | null =>
    moveFindings(view).find(({ verdict }) => verdict.kind === 'waits')?.operation ?? null,
);

/** Subject of the operation, as people are told it. */
export const moveText = (operation: FilerPairOperationObject): string =>
  `${kindOf(operation)} of the disk set of ${moveOf(operation).server} (FilerPairOperation ${operation.metadata.name})`;

/** Disk sets whose Lease has a request of an operation that has ended or is gone, or an answered one of the operator itself. */
export const answeredMoves = question((view: Assessment): ServerView[] => {
  const open = new Set(unfinished(view.observed, 'Takeover', 'Giveback').map(requestId));
  return view.servers.filter(({ lease }) => {
    const id = lease?.request?.id;
    if (id === undefined) return false;
    if (id.startsWith(PREFIX)) return !open.has(id);
    return /^(rollout|drain)-/.test(id) && lease?.requestResult?.id === id;
  });
});

type Found =
  | { readonly verdict: OperationVerdict }
  | { readonly home: ServerView; readonly request: RequestAnnotation };

function findingFor(view: Assessment, operation: FilerPairOperationObject): Found {
  const { server, ifEpoch, force } = moveOf(operation);
  const kind = kindOf(operation);
  const fails = (...about: Parameters<typeof failed>): Found => ({ verdict: failed(...about) });
  const home = serverNamed(view, server);
  if (home === null) {
    const names = view.servers.map(({ name }) => name).join(' and ');
    return fails(
      'ServerNotFound',
      `FilerPair ${view.observed.name} has no server ${server}; its servers are ${names}.`,
    );
  }
  const { lease } = home;
  if (lease === null)
    return fails('NotStarted', `The disk set of ${server} has no Lease yet: there is nothing to move.`);
  const { request, requestResult, epoch, holder, acknowledger } = lease;
  const id = requestId(operation);
  if (requestResult?.id === id) return { verdict: verdictOf(home, kind, requestResult) };
  if (request?.id === id) return { verdict: asked(home) };
  if (ifEpoch !== undefined && ifEpoch !== epoch)
    return fails(
      'EpochMismatch',
      `It is meant for epoch ${ifEpoch}, and the disk set of ${server} is at epoch ${epoch}: it has changed its owner since.`,
    );
  const target = kind === 'takeover' ? home.partner : home.name;
  const record = writableRecord(view, server);
  const known = rememberedOf(record?.spec.operations ?? [], operation);
  if (ifEpoch === undefined) {
    if (record === null)
      return {
        verdict: waits(
          'NoRecord',
          `FilerDiskSet ${diskSetName(view.observed.name, server)} is not there yet.`,
        ),
      };
    if (known !== null && isOfAnother(known, operation)) return { verdict: alreadyCarriedOut(known) };
    const ended = known === null ? null : endInRecord(known, lease.holderServer === target);
    if (ended !== null) return { verdict: ended };
  }
  if (lease.holderServer === target)
    return {
      verdict: complete(
        'NothingToDo',
        `${target} owned the disk set of ${server} already (epoch ${epoch}).`,
        { epoch },
      ),
    };
  if (known !== null && known.epoch !== epoch)
    return fails(
      'EpochMismatch',
      `It was accepted at epoch ${known.epoch}, and the disk set of ${server} is at epoch ${epoch}: it has changed its owner since.`,
    );
  if (known === null && kind === 'giveback' && isDrained(view, server))
    return fails(
      'ServerDrained',
      `spec.maintenance.drain lists ${server}, so its disk set stays with ${home.partner}. Take it off the list: then it is given back by itself, or by another operation.`,
    );
  // An administrator who forces it has no other server.
  if (known === null && kind === 'takeover' && force === undefined && isDrained(view, home.partner))
    return fails(
      'ServerDrained',
      `spec.maintenance.drain lists ${home.partner}, so it takes no disk set over. Take it off the list first.`,
    );
  const held = disksHeld(view, home);
  if (held !== null) {
    const why = `The disk set of ${server} cannot be moved: ${held.why}${held.reason === 'ClaimBeingDeleted' ? ', and would go with the pod that has to end for it. See Degraded' : ', so its disks stay where they are. See Ready'}.`;
    // An operator that wrote it down, and leads no more, may pass it on in this moment.
    return known === null ? fails('DisksHeld', why) : { verdict: waits('Requested', why) };
  }
  if (force !== undefined && (force.deadIncarnation ?? null) !== holder)
    return fails(
      'NotTheOwner',
      `It declares ${force.deadIncarnation ?? 'nobody'} dead, and ${holder ?? 'nobody'} owns the disk set of ${server}.`,
    );
  if (ifEpoch === undefined && known === null && !hasRoom(view, record!))
    return fails(
      'TooManyOperations',
      `FilerDiskSet ${record!.metadata.name} remembers ${OPERATIONS_REMEMBERED_MAX} operations that are all there. Delete some of them, or give this one ifEpoch.`,
    );
  const reason = operation.spec.reason ?? `FilerPairOperation ${operation.metadata.name}`;
  const word = force === undefined ? {} : { force: true, about: { holder, epoch, acknowledger } };
  return { home, request: { id, kind, reason, ...word } };
}

/**
 * The server's answer, and whether it still holds: a disk set that was moved may have gone back meanwhile, and a reader of Complete
 * may be about to switch the old owner off.
 */
function verdictOf(
  { name, partner, lease }: ServerView,
  kind: RequestAnnotation['kind'],
  { result, message }: RequestResultAnnotation,
): OperationVerdict {
  const { holderServer = null, epoch = 0 } = lease ?? {};
  const target = kind === 'takeover' ? partner : name;
  if (result !== 'done') return failed('Refused', message);
  if (holderServer === target)
    return complete(kind === 'takeover' ? 'TakenOver' : 'GivenBack', message, { epoch });
  return failed(
    'UndoneSince',
    `It was done (${message}), and since then ${holderServer ?? 'nobody'} owns the disk set of ${name} (epoch ${epoch}).`,
  );
}

const asked = ({ name, partner }: ServerView): OperationVerdict =>
  waits('Requested', `${partner} and ${name} are asked to do it.`);

const moveOf = ({ spec }: FilerPairOperationObject) =>
  (spec.takeover ?? spec.giveback) as NonNullable<FilerPairOperationSpec['takeover']>;

const kindOf = ({ spec }: FilerPairOperationObject): RequestAnnotation['kind'] =>
  spec.type === 'Takeover' ? 'takeover' : 'giveback';

/** An object that is created again has another UID, and asks anew. */
const requestId = ({ metadata }: FilerPairOperationObject): string => `${PREFIX}${metadata.uid}`;
