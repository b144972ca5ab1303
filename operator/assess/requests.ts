// What an administrator asks for by an annotation on the FilerPair becomes a request on the disk set's Lease, and the server's
// answer becomes status, event and the end of the annotation.
//
//   annotation on the FilerPair ──> request on the Lease ──> result on the Lease ──> status + event,
//                                   (the servers act)                                 then annotation removed, then request
//
// The annotation goes when the status has recorded the answer, which would be lost else, and before the request. If the operator
// dies in between, an answered request without an annotation is cleaned up, whereas an annotation without a request would be
// carried out twice.

import {
  type RequestAnnotation,
  type RequestResultAnnotation,
  requestAnnotations,
} from '../../kubernetes/labels-and-annotations.ts';
import { fingerprint } from '../model/fingerprint.ts';
import type { LeaseView } from '../model/lease-view.ts';
import { ANSWERED_ANNOTATION } from '../model/names.ts';
import { type ServerView, serverNamed } from '../model/view.ts';
import { type Assessment, question } from './assessment.ts';
import { disksHeld } from './disks-held.ts';

export type RequestFinding =
  /** Cannot be done; the annotation is removed and the reason told. */
  | { readonly kind: 'refuse'; readonly asked: Asked; readonly message: string }
  /** Not on the Lease yet. */
  | {
      readonly kind: 'pass on';
      readonly asked: Asked;
      readonly home: ServerView;
      readonly request: RequestAnnotation;
    }
  /** On the Lease, not answered. */
  | {
      readonly kind: 'wait';
      readonly asked: Asked;
      readonly home: ServerView;
      readonly request: RequestAnnotation;
    }
  | {
      readonly kind: 'answered';
      readonly asked: Asked;
      readonly home: ServerView;
      readonly request: RequestAnnotation;
      readonly result: 'done' | 'refused';
      readonly message: string;
    }
  /** An answered request whose annotation is gone. */
  | { readonly kind: 'clean up'; readonly home: ServerView };

export interface Asked {
  readonly annotation: string;
  readonly kind: 'takeover' | 'giveback';
  /** As the administrator wrote it. */
  readonly value: string;
}

export const requestFindings = question((view: Assessment): RequestFinding[] => {
  const asked = (['takeover', 'giveback'] as const).flatMap((kind) => {
    const value = view.pair.metadata.annotations?.[requestAnnotations[kind]];
    return value === undefined ? [] : [{ annotation: requestAnnotations[kind], kind, value: value.trim() }];
  });
  const found = asked.map((one) => findingFor(view, one));
  const mentioned = new Set(asked.map(({ value }) => value));
  // Requests that the operator made; others (the CLI's) are left to who made them.
  const leftOver = view.servers.filter(
    ({ name, lease }) =>
      !mentioned.has(name) &&
      lease !== null &&
      isAnswered(lease) &&
      /^(annotation|rollout)-/.test(lease.request?.id ?? ''),
  );
  return [...found, ...leftOver.map((home) => ({ kind: 'clean up' as const, home }))];
});

function findingFor(view: Assessment, asked: Asked): RequestFinding {
  const refuse = (message: string): RequestFinding => ({ kind: 'refuse', asked, message });
  const home = serverNamed(view, asked.value);
  if (home === null) {
    const names = view.servers.map(({ name }) => name).join(' or ');
    return refuse(
      `${asked.annotation} names "${asked.value}", which is no server of this pair; the value must be ${names}, the server whose disk set shall move.`,
    );
  }
  const { lease } = home;
  if (lease === null)
    return refuse(`The disk set of ${home.name} has no Lease yet: there is nothing to move.`);
  const { request } = lease;
  if (request !== null && answersTo(view, asked, request)) {
    const result = lease.requestResult;
    if (result === null || result.id !== request.id) return { kind: 'wait', asked, home, request };
    // An answer to somebody else is one only to who has waited for it.
    if (request.id.startsWith('annotation-') || view.pair.status?.lastRequest?.id === request.id)
      return { kind: 'answered', asked, home, request, ...answerOf(home, asked.kind, result) };
  }
  const target = asked.kind === 'takeover' ? home.partner : home.name;
  if (lease.holderServer === target)
    return refuse(
      `Nothing to do: ${target} owns the disk set of ${home.name} already (epoch ${lease.epoch}).`,
    );
  const held = disksHeld(view, home);
  if (held !== null)
    return refuse(
      `The disk set of ${home.name} cannot be moved: ${held.why}${held.reason === 'ClaimBeingDeleted' ? ', and would go with the pod that has to end for it. See Degraded' : ', so its disks stay where they are. See Ready'}.`,
    );
  const annotations = view.pair.metadata.annotations ?? {};
  if (annotations[requestAnnotations.force] === 'true' && !annotations[requestAnnotations.reason]?.trim())
    return refuse(
      `A forced ${asked.kind} of the disk set of ${home.name} needs a reason, for the record: set ${requestAnnotations.reason} too. Forcing is an administrator's confirmation that a server is dead; if it is not, its last writes may be lost.`,
    );
  return { kind: 'pass on', asked, home, request: newRequest(view, asked, lease) };
}

/**
 * Whether a request on the Lease is what the annotation asks for. Not one whose annotation was answered and taken off before, nor
 * one that lacks what an administrator says beside it: a word that a server is dead must not get lost behind another takeover.
 */
function answersTo(view: Assessment, asked: Asked, request: RequestAnnotation): boolean {
  const answered = view.pair.metadata.annotations?.[ANSWERED_ANNOTATION]?.split(',') ?? [];
  if (request.kind !== asked.kind || answered.includes(request.id)) return false;
  const { force, override, reason } = wordsOf(view);
  return (
    (request.force === true || force !== true) &&
    (override ?? []).every((veto) => request.override?.includes(veto)) &&
    (reason === undefined || reason === request.reason)
  );
}

/**
 * The server's answer, and whether it still holds: a disk set that was moved may have gone back meanwhile, and a reader of Done
 * may be about to switch the old owner off.
 */
export function answerOf(
  { name, partner, lease }: ServerView,
  kind: string,
  { result, message }: RequestResultAnnotation,
): { readonly result: 'done' | 'refused'; readonly message: string } {
  const target = kind === 'takeover' ? partner : name;
  if (result !== 'done' || lease?.holderServer === target) return { result, message };
  return {
    result: 'refused',
    message: `It was done (${message}), and since then ${lease?.holderServer ?? 'nobody'} owns the disk set of ${name} (epoch ${lease?.epoch ?? 0}). Ask again if it is still wanted.`,
  };
}

/** What an administrator says beside the request. */
function wordsOf(view: Assessment): Pick<RequestAnnotation, 'force' | 'override' | 'reason'> {
  const { [requestAnnotations.reason]: reason, ...annotations } = view.pair.metadata.annotations ?? {};
  const override = (annotations[requestAnnotations.override] ?? '')
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
  return {
    ...(reason?.trim() ? { reason: reason.trim() } : {}),
    ...(annotations[requestAnnotations.force] === 'true' ? { force: true } : {}),
    ...(override.length === 0 ? {} : { override }),
  };
}

function newRequest(view: Assessment, asked: Asked, lease: LeaseView): RequestAnnotation {
  const { reason, force, override } = wordsOf(view);
  return {
    // From the resourceVersion: asking again later is another request; deciding again on the same state is not.
    id: `annotation-${fingerprint([view.uid, view.pair.metadata.resourceVersion, asked]).slice(-8)}`,
    kind: asked.kind,
    reason: reason ?? 'asked for by annotation',
    ...(force === true ? { force, about: partiesOf(lease) } : {}),
    ...(override === undefined ? {} : { override }),
  };
}

const partiesOf = ({ holder, epoch, acknowledger }: LeaseView) => ({ holder, epoch, acknowledger });

const isAnswered = (lease: LeaseView): boolean =>
  lease.request !== null && lease.requestResult !== null && lease.requestResult.id === lease.request.id;
