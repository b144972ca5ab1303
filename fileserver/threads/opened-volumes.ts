/** Opens the volumes that a thread is to change, one after the other, with what was read of them during the claim. */
import type { FaultReason } from '../storage/failures/fault-reason.ts';
import { writtenOf } from '../storage/ownership/behind.ts';
import { mustBeDifferent } from '../storage/volume/open-failure.ts';
import { openVolume } from '../storage/volume/open-volume.ts';
import type { Volume } from '../storage/volume/volume.ts';
import type { WriteGate } from '../system/write-gate.ts';
import type { OpenMessage } from './messages.ts';
import { discardReadings, type Readings } from './prepared-volumes.ts';

export interface OpeningHooks {
  /** Throws when the right to serve has ended. */
  readonly mustHoldLease: () => void;
  readonly onFault: (volume: Volume, reason: FaultReason, text: string) => void;
}

/** `into`: gets each volume at once. If a later one can't be opened the caller closes those. */
export async function openVolumes(
  message: OpenMessage,
  prepared: Readings,
  gate: WriteGate,
  into: Volume[],
  { mustHoldLease, onFault }: OpeningHooks,
): Promise<void> {
  const { home, server, incarnation, epoch, volumes, written } = message;
  const owner = { home, server, incarnation, epoch };
  try {
    for (const spec of volumes) {
      mustHoldLease();
      const read = (await prepared.get(spec.name)) ?? null;
      prepared.delete(spec.name);
      into.push(await openVolume(spec, owner, gate, onFault, read, writtenOf(spec.name, written)));
    }
  } finally {
    discardReadings(prepared);
  }
  mustBeDifferent(
    home,
    into.map(({ attachment }) => attachment.ownership.uuid),
  );
}
