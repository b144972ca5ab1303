/** Content of a disk set's Lease, read leniently: annotations are text that anybody with the right can write. */

import {
  type DeathProofAnnotation,
  type FreezeAnnotation,
  type FreezeAnswerAnnotation,
  type LastTransitionAnnotation,
  leaseAnnotations,
  type OpenFailureAnnotation,
  parseAnnotation,
  type RequestAnnotation,
  type RequestResultAnnotation,
  type TakeoverCheckAnnotation,
  type VolumeErrorsAnnotation,
  type VolumesAheadAnnotation,
  type WrittenAnnotation,
} from '../../kubernetes/labels-and-annotations.ts';
import type { Lease } from '../../kubernetes/objects.ts';

export interface LeaseView {
  readonly object: Lease;
  /** The owning incarnation, `server/podUid/run`; null: nobody. */
  readonly holder: string | null;
  readonly holderServer: string | null;
  readonly holderPodUid: string | null;
  /** Grows by one with every change of owner; 0: never owned. */
  readonly epoch: number;
  readonly acknowledger: string | null;
  readonly releasedTo: string | null;
  /** The holder's lease + guard, ms; null: it does not say. */
  readonly claimAfterMs: number | null;
  readonly deathProof: DeathProofAnnotation | null;
  readonly request: RequestAnnotation | null;
  readonly requestResult: RequestResultAnnotation | null;
  readonly lastTransition: LastTransitionAnnotation | null;
  /** Why nothing moves by itself; null: normal operation. */
  readonly maintenance: string | null;
  /** Why the disk set is not to go back to its own server by itself; null: it may. */
  readonly drain: string | null;
  /** The takeover check of the server that does not own the disk set. */
  readonly takeoverCheck: TakeoverCheckAnnotation | null;
  /** Why an owner could not open the volumes, the last time that one tried; null: it could. */
  readonly openFailure: OpenFailureAnnotation | null;
  /** Errors of which the owner's clients were told in the last 10 minutes; null: none. */
  readonly volumeErrors: VolumeErrorsAnnotation | null;
  /** R6: a volume has been served at a higher epoch than this Lease knows; nobody claims by himself. Null: none is known. */
  readonly volumesAhead: VolumesAheadAnnotation | null;
  /** Volumes that have been served, and up to which epoch; null: none is known. */
  readonly written: WrittenAnnotation | null;
  /** A server has seen this Lease lose what had been written; null: not in the last hour. */
  readonly witnessWentBack: VolumeErrorsAnnotation | null;
  /** Exports that the owner does not serve; null: it serves all. */
  readonly absentExports: VolumeErrorsAnnotation | null;
  /** The operator's request for a snapshot, with the owner's answer. */
  readonly freeze: FreezeAnnotation | null;
  readonly freezeAnswer: FreezeAnswerAnnotation | null;
  /** UID of the attachment pod whose mounts the servers take for the disks. */
  readonly disks: string | null;
  /** The node that has the disks, or has to let go of them. */
  readonly disksNode: string | null;
  /** The epoch for which the partner says that its secondary port is open. */
  readonly secondaryPortOpen: number | null;
}

export function viewLease(object: Lease): LeaseView {
  const annotations = object.metadata.annotations ?? {};
  const holder = object.spec?.holderIdentity || null;
  const [server, podUid] = holder?.split('/') ?? [];
  const open = Number(annotations[leaseAnnotations.secondaryPortOpen] ?? Number.NaN);
  return {
    object,
    holder,
    holderServer: server ?? null,
    holderPodUid: podUid ?? null,
    epoch: object.spec?.leaseTransitions ?? 0,
    acknowledger: annotations[leaseAnnotations.acknowledger] || null,
    releasedTo: annotations[leaseAnnotations.releasedTo] || null,
    claimAfterMs: Number(annotations[leaseAnnotations.claimAfter]) || null,
    deathProof: parseAnnotation<DeathProofAnnotation>(annotations[leaseAnnotations.deathProof]),
    request: parseAnnotation<RequestAnnotation>(annotations[leaseAnnotations.request]),
    requestResult: parseAnnotation<RequestResultAnnotation>(annotations[leaseAnnotations.requestResult]),
    lastTransition: readTransition(annotations[leaseAnnotations.lastTransition]),
    maintenance: annotations[leaseAnnotations.maintenance] ?? null,
    drain: annotations[leaseAnnotations.drain] ?? null,
    takeoverCheck: readCheck(annotations[leaseAnnotations.takeoverCheck]),
    openFailure: readOpenFailure(annotations[leaseAnnotations.openFailure]),
    volumeErrors: readVolumeErrors(annotations[leaseAnnotations.volumeErrors]),
    volumesAhead: readVolumesAhead(annotations[leaseAnnotations.volumesAhead]),
    written: readWritten(annotations[leaseAnnotations.written]),
    witnessWentBack: readVolumeErrors(annotations[leaseAnnotations.witnessWentBack]),
    absentExports: readVolumeErrors(annotations[leaseAnnotations.absentExports]),
    freeze: parseAnnotation<FreezeAnnotation>(annotations[leaseAnnotations.freeze]),
    freezeAnswer: parseAnnotation<FreezeAnswerAnnotation>(annotations[leaseAnnotations.freezeAnswer]),
    disks: annotations[leaseAnnotations.disks] || null,
    disksNode: annotations[leaseAnnotations.disksNode] || null,
    secondaryPortOpen: Number.isSafeInteger(open) ? open : null,
  };
}

/** The phase in which a client is answered for the first time: when that is depends on the client. */
export const FIRST_REPLY = 'firstReply';

/** When the disk set was open, in whole ms since the first phase began: its port listens and its journals are replayed. */
export function openedAfterMs({ phases }: Pick<LastTransitionAnnotation, 'phases'>): number {
  const ends = phases.filter(({ name }) => name !== FIRST_REPLY).map(({ atMs, tookMs }) => atMs + tookMs);
  return Math.round(Math.max(0, ...ends));
}

function readCheck(text: string | undefined): TakeoverCheckAnnotation | null {
  const found = parseAnnotation<Partial<TakeoverCheckAnnotation>>(text);
  if (typeof found?.server !== 'string' || typeof found.possible !== 'boolean') return null;
  const missing = (Array.isArray(found.missing) ? found.missing : []).filter(
    (one) => typeof one?.name === 'string' && typeof one.message === 'string',
  );
  return { server: found.server, possible: found.possible, missing };
}

function readOpenFailure(text: string | undefined): OpenFailureAnnotation | null {
  const { server, epoch, reason, message } = parseAnnotation<Partial<OpenFailureAnnotation>>(text) ?? {};
  if (typeof server !== 'string' || typeof epoch !== 'number') return null;
  // It becomes the reason of a condition.
  if (typeof reason !== 'string' || !/^[A-Z][A-Za-z]{0,63}$/.test(reason) || typeof message !== 'string')
    return null;
  return { server, epoch, reason, message: message.slice(0, 1024) };
}

function readVolumeErrors(text: string | undefined): VolumeErrorsAnnotation | null {
  const { server, epoch, message } = parseAnnotation<Partial<VolumeErrorsAnnotation>>(text) ?? {};
  if (typeof server !== 'string' || typeof epoch !== 'number' || typeof message !== 'string') return null;
  return { server, epoch, message: message.slice(0, 1024) };
}

function readVolumesAhead(text: string | undefined): VolumesAheadAnnotation | null {
  const { epoch, message } = parseAnnotation<Partial<VolumesAheadAnnotation>>(text) ?? {};
  if (typeof epoch !== 'number' || typeof message !== 'string') return null;
  return { epoch, message: message.slice(0, 1024) };
}

function readWritten(text: string | undefined): WrittenAnnotation | null {
  const { epoch, volumes } = parseAnnotation<Partial<WrittenAnnotation>>(text) ?? {};
  if (typeof epoch !== 'number' || typeof volumes !== 'object' || volumes === null) return null;
  return { epoch, volumes };
}

function readTransition(text: string | undefined): LastTransitionAnnotation | null {
  const found = parseAnnotation<Partial<LastTransitionAnnotation>>(text);
  if (found === null || typeof found.epoch !== 'number' || typeof found.at !== 'string') return null;
  if (Number.isNaN(Date.parse(found.at))) return null;
  const phases = (Array.isArray(found.phases) ? found.phases : []).filter(
    (phase) =>
      typeof phase?.name === 'string' && Number.isFinite(phase.atMs) && Number.isFinite(phase.tookMs),
  );
  return {
    kind: found.kind ?? 'Takeover',
    cause: typeof found.cause === 'string' ? found.cause : 'Unknown',
    ...(typeof found.reason === 'string' ? { reason: found.reason.slice(0, 1024) } : {}),
    epoch: found.epoch,
    to: typeof found.to === 'string' ? found.to : '',
    at: found.at,
    phases: phases.slice(0, 16),
  };
}
