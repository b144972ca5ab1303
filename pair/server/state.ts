/** State of one server of a pair: its two disk sets, its partner's incarnations, proofs of death, and what it has told others. */
import { type DiskSetState, initialDiskSet } from '../disk-set/state.ts';
import type { Incarnation, ServerName } from '../incarnation.ts';
import type { Holding } from '../messages.ts';
import type { PairIdentity } from '../types.ts';

/** One live connection's worth of knowledge about an incarnation of the partner. */
export interface PartnerState {
  readonly incarnation: Incarnation;
  /** Since when heartbeats have come without a gap; null before the first. */
  readonly steadySince: number | null;
  readonly heardAt: number;
  /** Disk sets that it says it could not serve, by home. */
  readonly cannotServe: readonly ServerName[];
  /** It says that it stops. */
  readonly stopping: boolean;
  /** It says that the witness does not answer it. */
  readonly witnessSilent: boolean;
}

interface KnownDeath {
  readonly incarnation: Incarnation;
  readonly holdings: readonly Holding[];
  readonly evidence: string;
  readonly at: number;
}

export interface ServerState {
  readonly identity: PairIdentity;
  readonly local: DiskSetState;
  readonly partner: DiskSetState;
  readonly partners: readonly PartnerState[];
  /** The incarnations of the partner that are there say that they stop; or, if none is there, the last one said so. */
  readonly partnerStops: boolean;
  /** The newest proofs of death, at most DEATHS_MAX. */
  readonly deaths: readonly KnownDeath[];
  readonly stopping: boolean;
  readonly stopped: boolean;
  /** The last call of the witness had no answer, and no news has come since; true until the first. */
  readonly witnessSilent: boolean;
  /** Sequence number of the last heartbeat, and when those that may still be acknowledged were sent. */
  readonly seq: number;
  readonly sentAt: readonly { readonly seq: number; readonly at: number }[];
  readonly nextHeartbeatAt: number;
  readonly nextToken: number;
  /** As last told to the sentinel. */
  readonly holdings: readonly Holding[];
  /** As last told to the data path, by home; a home that is missing: nothing yet. */
  readonly disks: Readonly<Record<ServerName, DisksAt>>;
}

export interface DisksAt {
  readonly directory: string | null;
  readonly partnerCouldServe: boolean;
}

/** State of a process that has just started. `now`: ms on CLOCK_BOOTTIME. */
export function initialServer(identity: PairIdentity, now: number): ServerState {
  return {
    identity,
    local: initialDiskSet(identity.server, now),
    partner: initialDiskSet(identity.partner, now),
    partners: [],
    partnerStops: false,
    deaths: [],
    stopping: false,
    stopped: false,
    witnessSilent: true,
    seq: 0,
    sentAt: [],
    nextHeartbeatAt: now,
    nextToken: 1,
    holdings: [],
    disks: {},
  };
}
