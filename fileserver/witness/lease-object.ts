/** The Lease of one disk set as a Kubernetes object (coordination.k8s.io/v1): the mapping in both directions, pure. */

import {
  type DeathProofAnnotation,
  type FreezeAnnotation,
  leaseAnnotations,
  parseAnnotation,
  type RequestAnnotation,
  type RequestResultAnnotation,
  type VolumesAheadAnnotation,
  type WrittenAnnotation,
} from '../../kubernetes/labels-and-annotations.ts';
import type { Lease } from '../../kubernetes/objects.ts';
import { parseIncarnation } from '../../pair/incarnation.ts';
import {
  type DeathProof,
  type Freeze,
  type LeaseOwnership,
  type LeaseParties,
  type LeaseRecord,
  laterWritten,
  type TransferRequest,
  type VolumesAhead,
  type WrittenVolumes,
} from '../../pair/lease.ts';
import type { LeaseNotes } from './witness.ts';

//   spec.holderIdentity       holder (absent: nobody)
//   spec.leaseTransitions     epoch
//   spec.renewTime            when it was written, the writer's clock: for people, nothing decides by it
//   spec.acquireTime          the same of the claim
//   spec.leaseDurationSeconds T, rounded up: for people
//   annotations               acknowledger, renewal, released-to, claim-after, volumes-ahead, and what others put beside them (kubernetes/labels-and-annotations.ts)

/** Clients wait meanwhile. ms */
const FREEZE_MS_MAX = 20_000;

/** Throws Error with a sentence if the ownership cannot be understood: then it decides nothing. */
export function recordOf(lease: Lease): LeaseRecord {
  const annotations = lease.metadata.annotations ?? {};
  const holder = lease.spec?.holderIdentity;
  const acknowledger = annotations[leaseAnnotations.acknowledger];
  const epoch = count('leaseTransitions', lease.spec?.leaseTransitions ?? 0);
  return {
    holder: incarnationOrNull('holderIdentity', holder),
    epoch,
    acknowledger: incarnationOrNull(leaseAnnotations.acknowledger, acknowledger),
    renewal: count(leaseAnnotations.renewal, Number(annotations[leaseAnnotations.renewal] ?? 0)),
    releasedTo: annotations[leaseAnnotations.releasedTo] || null,
    claimAfterMs: millisecondsOrNull(annotations[leaseAnnotations.claimAfter]),
    volumesAhead: volumesAheadOrNull(annotations[leaseAnnotations.volumesAhead]),
    deathProof: deathProofOf(annotations[leaseAnnotations.deathProof]),
    request: requestOf(annotations),
    maintenance: annotations[leaseAnnotations.maintenance] ?? null,
    ...drainOf(annotations[leaseAnnotations.drain]),
    ...disksOf(annotations[leaseAnnotations.disks]),
    ...freezeOf(annotations[leaseAnnotations.freeze]),
    ...writtenOf(annotations[leaseAnnotations.written], epoch),
  };
}

const drainOf = (drain: string | undefined): { drain?: string } => (drain === undefined ? {} : { drain });

/** It becomes a part of a path. */
const disksOf = (text: string | undefined): { disks?: string } =>
  text !== undefined && /^[A-Za-z0-9][-A-Za-z0-9]{0,63}$/.test(text) ? { disks: text } : {};

/** An annotation that cannot be understood asks for nothing. */
function freezeOf(text: string | undefined): { freeze?: Freeze } {
  const found = parseAnnotation<Partial<FreezeAnnotation>>(text);
  if (found === null || typeof found.id !== 'string') return {};
  const { id, epoch, msMax, over } = found;
  if (!Number.isSafeInteger(epoch) || !Number.isSafeInteger(msMax) || msMax! <= 0) return {};
  return {
    freeze: { id, epoch: epoch!, msMax: Math.min(msMax!, FREEZE_MS_MAX), over: over === true },
  };
}

/** An annotation that cannot be understood, or is of an epoch that has not been, counts as absent. */
function writtenOf(text: string | undefined, epochMax: number): { written?: WrittenVolumes } {
  const { epoch, volumes } = parseAnnotation<Partial<WrittenAnnotation>>(text) ?? {};
  if (!Number.isSafeInteger(epoch) || epoch! > epochMax) return {};
  if (typeof volumes !== 'object' || volumes === null || !Object.values(volumes).every(isText)) return {};
  return { written: { epoch: epoch!, volumes } };
}

function incarnationOrNull(field: string, text: string | undefined) {
  if (text === undefined || text === '') return null;
  const incarnation = parseIncarnation(text);
  if (incarnation === null) throw new Error(`${field} is "${text}", which is no incarnation`);
  return incarnation;
}

function count(field: string, value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`${field} is no count: ${value}`);
  return value;
}

/** A text that cannot be understood might have been the longer time: then nothing may be decided by this Lease. */
function millisecondsOrNull(text: string | undefined): number | null {
  if (text === undefined) return null;
  const ms = Number(text);
  if (text === '' || !Number.isFinite(ms) || ms < 0)
    throw new Error(`${leaseAnnotations.claimAfter} is "${text}", which is no number of milliseconds`);
  return ms;
}

/** A text that cannot be understood might refuse a claim: then nothing may be decided by this Lease. */
function volumesAheadOrNull(text: string | undefined): VolumesAhead | null {
  if (text === undefined) return null;
  const { epoch, message } = parseAnnotation<Partial<VolumesAheadAnnotation>>(text) ?? {};
  if (!Number.isSafeInteger(epoch) || epoch! < 0 || typeof message !== 'string')
    throw new Error(`${leaseAnnotations.volumesAhead} is "${text}", which names no epoch`);
  return { epoch: epoch!, message };
}

/** A proof that cannot be understood proves nothing. */
function deathProofOf(text: string | undefined): DeathProof | null {
  const proof = parseAnnotation<Partial<DeathProofAnnotation>>(text);
  if (proof === null || typeof proof.incarnation !== 'string' || typeof proof.evidence !== 'string')
    return null;
  const incarnation = parseIncarnation(proof.incarnation);
  if (incarnation === null || !Number.isSafeInteger(proof.epoch)) return null;
  return { incarnation, epoch: proof.epoch!, evidence: proof.evidence };
}

/** Null also for a request that has its answer beside it: a later holder must not act on it again. */
function requestOf(annotations: Readonly<Record<string, string>>): TransferRequest | null {
  const request = parseAnnotation<Partial<RequestAnnotation>>(annotations[leaseAnnotations.request]);
  if (request === null || typeof request.id !== 'string') return null;
  if (request.kind !== 'takeover' && request.kind !== 'giveback') return null;
  const answer = parseAnnotation<Partial<RequestResultAnnotation>>(
    annotations[leaseAnnotations.requestResult],
  );
  if (answer?.id === request.id) return null;
  return {
    id: request.id,
    kind: request.kind,
    reason: typeof request.reason === 'string' ? request.reason : '',
    // A takeover is forced for a reason that can be read afterwards, or not at all.
    ...(request.force === true && request.reason ? { force: true, ...aboutOf(request) } : {}),
    ...(Array.isArray(request.override) ? { override: request.override.filter(isText) } : {}),
  };
}

/** Parties that cannot be understood match no Lease: the request does not count. */
function aboutOf({ about }: Partial<RequestAnnotation>): { about?: LeaseParties } {
  if (about === undefined) return {};
  const [holder, acknowledger] = [about?.holder, about?.acknowledger].map((one) =>
    typeof one === 'string' ? parseIncarnation(one) : null,
  );
  const understood =
    Number.isSafeInteger(about?.epoch) &&
    !!holder === !!about?.holder &&
    !!acknowledger === !!about?.acknowledger;
  return {
    about: { holder: holder!, epoch: understood ? about!.epoch : -1, acknowledger: acknowledger! },
  };
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

/** The object with a server's ownership in it; everything else as it was. `now`: MicroTime text. */
export function withOwnership(before: Lease, ownership: LeaseOwnership, leaseMs: number, now: string): Lease {
  const { holderIdentity: _, ...spec } = before.spec ?? {};
  const claims = ownership.epoch !== (before.spec?.leaseTransitions ?? 0);
  return {
    ...before,
    metadata: {
      ...before.metadata,
      annotations: withAnnotations(before.metadata.annotations, {
        [leaseAnnotations.acknowledger]: ownership.acknowledger,
        [leaseAnnotations.renewal]: String(ownership.renewal),
        [leaseAnnotations.releasedTo]: ownership.releasedTo,
        [leaseAnnotations.claimAfter]:
          ownership.claimAfterMs === null ? null : String(ownership.claimAfterMs),
        [leaseAnnotations.volumesAhead]:
          ownership.volumesAhead === null ? null : JSON.stringify(ownership.volumesAhead),
      }),
    },
    spec: {
      ...spec,
      ...(ownership.holder === null ? {} : { holderIdentity: ownership.holder }),
      leaseTransitions: ownership.epoch,
      leaseDurationSeconds: Math.ceil(leaseMs / 1000),
      renewTime: now,
      ...(claims ? { acquireTime: now } : {}),
    },
  };
}

/** The object with notes in it: null removes one, and what is not named stays. */
export function withNotes(
  before: Lease,
  { maintenance, written, freezeAnswer, ...notes }: LeaseNotes,
): Lease {
  const changes: Record<string, string | null> = {};
  for (const name of Object.keys(notes) as (keyof typeof notes)[]) {
    const note = notes[name];
    if (note !== undefined) changes[leaseAnnotations[name]] = note === null ? null : JSON.stringify(note);
  }
  if (written !== undefined) {
    const epoch = before.spec?.leaseTransitions ?? 0;
    const { written: known } = writtenOf(before.metadata.annotations?.[leaseAnnotations.written], epoch);
    changes[leaseAnnotations.written] = JSON.stringify(laterWritten(known, written));
  }
  if (freezeAnswer !== undefined) changes[leaseAnnotations.freezeAnswer] = JSON.stringify(freezeAnswer);
  if (maintenance !== undefined) changes[leaseAnnotations.maintenance] = maintenance;
  const annotations = withAnnotations(before.metadata.annotations, changes);
  return { ...before, metadata: { ...before.metadata, annotations } };
}

/** Null removes. */
function withAnnotations(
  before: Readonly<Record<string, string>> | undefined,
  changes: Readonly<Record<string, string | null>>,
): Record<string, string> {
  const all = { ...before };
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) delete all[name];
    else all[name] = value;
  }
  return all;
}

/** Kubernetes' MicroTime: RFC 3339 with exactly six digits of a second. */
export function microTime(date: Date): string {
  return date.toISOString().replace('Z', '000Z');
}
