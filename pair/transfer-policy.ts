/**
 * Transfers that happen by themselves or wait for an administrator: modes, maintenance, and when a disk set fails back. Nothing
 * here is about safety: the rules (claim.ts) still have to allow whatever this allows, and what it forbids would only be unwise.
 */
import { type Incarnation, type ServerName, serverOf } from './incarnation.ts';
import type { LeaseRecord } from './lease.ts';
import { type PairIdentity, type PairPolicy, TransitionCause } from './types.ts';

//                 partner steady, nothing vetoes, afterMs
//   holding away ------------------------------------------> leaving --released--> home claims: over, count from zero
//        ^                                                                  |
//        |   home did not take it within lease + guard: attempt + 1         |
//        +------------------------------------------------------------------+

export const DEFAULT_POLICY: PairPolicy = {
  takeover: 'Automatic',
  giveback: { mode: 'Manual', afterMs: 60_000, retries: 2, takeoversMax: 3, windowMs: 3_600_000 },
};

export function policyOf(identity: PairIdentity): PairPolicy {
  return identity.policy ?? DEFAULT_POLICY;
}

// ------------------------------------------------------------------------------------------------ takeover

/**
 * Why a claim that the rules allow has to wait for an administrator; null: it need not.
 * `gave`: epoch at which this process released the disk set last: an interrupted hand-over is taken back in any case.
 */
export function whyNotByItself(
  identity: PairIdentity,
  home: ServerName,
  record: LeaseRecord,
  cause: TransitionCause,
  gave: number | null,
): string | null {
  if (record.releasedTo === identity.server) return null;
  if (record.holder === null && (record.epoch === gave || home === identity.server)) return null;
  if (cause === TransitionCause.Requested) return null;
  // Its own earlier run had it: nothing moves.
  if (record.holder !== null && serverOf(record.holder) === identity.server) return null;
  if (record.maintenance !== null) return `maintenance: ${record.maintenance || 'no reason given'}`;
  if (home !== identity.server && policyOf(identity).takeover === 'Manual') {
    return 'takeovers wait for an administrator here (mode Manual)';
  }
  return null;
}

// ------------------------------------------------------------------------------------------------ giveback

/** Reasons against a hand-over. Those that a request cannot have are marked: it is their override itself. */
export const Veto = {
  /** The server that shall have it is not connected, or has not been heard without a gap for three heartbeats. */
  PartnerNotSteady: 'PartnerNotSteady',
  /** It has tried to serve the disk set a moment ago, and could not. */
  PartnerCannotServe: 'PartnerCannotServe',
  /** Automatic givebacks only, as all that follow. */
  Maintenance: 'Maintenance',
  /** Its home server is to be out of service. */
  Drained: 'Drained',
  NotStableYet: 'NotStableYet',
  RetriesUsedUp: 'RetriesUsedUp',
  PingPong: 'PingPong',
} as const;
export type Veto = (typeof Veto)[keyof typeof Veto];

export interface VetoFinding {
  readonly veto: Veto;
  /** A sentence. */
  readonly message: string;
}

/** Transfers of one disk set that this process remembers. */
export interface TransferMemory {
  /** Automatic givebacks in a row that the home server did not complete. */
  readonly attempts: number;
  /** No further attempt before this time. */
  readonly notBefore: number;
  /** When this process took the disk set over, the newest last. */
  readonly takeovers: readonly number[];
  /** Epoch of its last release, and whether that was an automatic giveback. */
  readonly gave: { readonly epoch: number; readonly automatic: boolean } | null;
}

export const NO_MEMORY: TransferMemory = {
  attempts: 0,
  notBefore: Number.NEGATIVE_INFINITY,
  takeovers: [],
  gave: null,
};
const TAKEOVERS_REMEMBERED = 16;

export interface Recipient {
  readonly name: ServerName;
  readonly steady: Incarnation | null;
  /** Since when it has been heard without a gap; null: it is not. */
  readonly steadySince: number | null;
  readonly cannotServe: boolean;
}

/** Reasons against any hand-over, an administrator's too. */
export function transferVetoes(to: Recipient): VetoFinding[] {
  const found: VetoFinding[] = [];
  if (to.steady === null) {
    const message = `${to.name} has no steady connection with this server, so it could not take the disk set`;
    found.push({ veto: Veto.PartnerNotSteady, message });
  }
  if (to.cannotServe) {
    const message = `${to.name} says that it could not serve the disk set a moment ago`;
    found.push({ veto: Veto.PartnerCannotServe, message });
  }
  return found;
}

/** Reasons against a giveback that nobody asked for. None: it is time. */
export function givebackVetoes(
  to: Recipient,
  memory: TransferMemory,
  record: LeaseRecord,
  policy: PairPolicy['giveback'],
  now: number,
): VetoFinding[] {
  const found = transferVetoes(to);
  const veto = (name: Veto, message: string) => found.push({ veto: name, message });
  if (record.maintenance !== null) veto(Veto.Maintenance, `maintenance: ${record.maintenance}`);
  if (record.drain !== undefined) veto(Veto.Drained, `${to.name} is drained: ${record.drain}`);
  const stableSince = Math.max(to.steadySince ?? now, memory.takeovers.at(-1) ?? Number.NEGATIVE_INFINITY);
  if (now - stableSince < policy.afterMs || now < memory.notBefore) {
    veto(Veto.NotStableYet, `${to.name} has to be back for ${policy.afterMs} ms`);
  }
  if (memory.attempts > policy.retries) {
    veto(Veto.RetriesUsedUp, `${to.name} did not take it in ${memory.attempts} attempts; ask for a giveback`);
  }
  const recent = memory.takeovers.filter((at) => now - at < policy.windowMs).length;
  if (recent >= policy.takeoversMax) {
    veto(
      Veto.PingPong,
      `${recent} takeovers within ${policy.windowMs} ms; ask for a giveback when the cause is mended`,
    );
  }
  return found;
}

/** This process has become the owner of its partner's disk set. */
export function tookOver(
  memory: TransferMemory,
  epoch: number,
  policy: PairPolicy['giveback'],
  now: number,
): TransferMemory {
  const { gave } = memory;
  if (gave !== null && epoch === gave.epoch + 1) {
    // Its own release came back: the other one did not take it.
    if (!gave.automatic) return { ...memory, gave: null };
    const attempts = memory.attempts + 1;
    return { ...memory, gave: null, attempts, notBefore: now + policy.afterMs * 2 ** attempts };
  }
  return { ...memory, gave: null, takeovers: [...memory.takeovers, now].slice(-TAKEOVERS_REMEMBERED) };
}

/** Somebody else owns it now; if that is its home, the giveback has succeeded. */
export function movedOn(memory: TransferMemory, onHomeServer: boolean): TransferMemory {
  return onHomeServer ? { ...memory, attempts: 0, notBefore: Number.NEGATIVE_INFINITY } : memory;
}

/** An administrator who asks for a giveback has seen to the cause: the breaker closes. */
export function askedFor(memory: TransferMemory): TransferMemory {
  return { ...memory, attempts: 0, notBefore: Number.NEGATIVE_INFINITY, takeovers: [] };
}
