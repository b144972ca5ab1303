/** Opens a volume: verifies it, takes its ownership, and reads its journal; all that only reads may come before the claim. */
import type { VolumeSpec } from '../../settings/volume-spec.ts';
import { close, O_DIRECTORY } from '../../system/file-calls.ts';
import { openForReading } from '../../system/pool-calls.ts';
import { inBackground } from '../../system/turns.ts';
import { NO_WRITES, type WriteGate } from '../../system/write-gate.ts';
import { type HandleKeys, keyNotice, keysOf, readPairKeys } from '../handles/handle-keys.ts';
import { withReserve } from '../journal/journal-reserve.ts';
import { openJournal, type Replay } from '../journal/open-journal.ts';
import type { WrittenVolume } from '../ownership/behind.ts';
import { type OwnershipRecord, readOwnershipSlot, writeOwnership } from '../ownership/ownership.ts';
import { privateDirectory, secretFile } from '../ownership/volume-files.ts';
import {
  closeToOthers,
  readSecret,
  readVolumeRecord,
  saysRestored,
  takeBackRestored,
  type VolumeRecord,
} from '../ownership/volume-record.ts';
import { VolumeRecordError } from '../private-files/private-files.ts';
import { pinMountedVolume } from './mounted-volume.ts';
import { nextOwnership, type VolumeState } from './next-ownership.ts';

import { asOpenError, OpenFailure, VolumeOpenError } from './open-failure.ts';
import { mustBelongTo, verifyVolume } from './verify-volume.ts';
import { type FaultListener, Volume, type VolumeAttachment, type VolumeOwner } from './volume.ts';
import { openRoot, type VolumeRoot } from './volume-root.ts';

/** A volume that is there, as openVolume() reads it. */
export interface PreparedVolume extends VolumeState {
  readonly root: VolumeRoot;
  readonly keys: ReadKeys;
  readonly replay: Replay;
}

/**
 * Reads what openVolume() will read, and changes nothing; null: it can't be read now, and openVolume() will say why. It holds
 * descriptors until it is opened or discarded.
 *
 * It stays true as long as no server writes to the volume. That holds during a claim: the last owner has released the disk set or has
 * lost the lease, and the claim succeeds only if no other server has owned the disk set meanwhile.
 */
export async function prepareVolume(spec: VolumeSpec): Promise<PreparedVolume | null> {
  try {
    const record = await readVolumeRecord(spec.path);
    if (record === null) return null;
    const root = openRoot(spec);
    try {
      const [last, keys, restored] = await Promise.all([
        readOwnershipSlot(spec.path),
        readKeys(spec, root),
        saysRestored(spec.path),
      ]);
      const replay = await openJournal(privateDirectory(spec.path), uuidBytes(record));
      return { record, root, last, keys, replay, restored };
    } catch (error) {
      close(root.fd);
      throw error;
    }
  } catch {
    return null;
  }
}

/** Closes what prepareVolume() has opened, when no opening uses it. */
export function discardPrepared(prepared: PreparedVolume): void {
  inBackground(prepared.replay.journal.close());
  close(prepared.root.fd);
}

/**
 * Verifies that the directory is the home server's volume, not owned by a newer owner and not behind what was `written`,
 * begins to write the ownership record (Volume.recorded), reads the journal. Only the home server makes a virgin directory a
 * volume. Throws VolumeOpenError.
 */
export async function openVolume(
  spec: VolumeSpec,
  owner: VolumeOwner,
  gate: WriteGate,
  onFault: FaultListener,
  prepared: PreparedVolume | null = null,
  written: WrittenVolume | null = null,
): Promise<Volume> {
  let pin: number | null = null;
  try {
    if (spec.reattached === true) pin = pinned(spec);
    return prepared === null
      ? await openUnprepared(spec, owner, gate, onFault, written)
      : openPrepared(spec, owner, gate, onFault, prepared, written);
  } catch (error) {
    throw asOpenError(spec, error);
  } finally {
    // The volume's own descriptor holds it by now, or it is not to be served.
    if (pin !== null) close(pin);
  }
}

async function openUnprepared(
  spec: VolumeSpec,
  owner: VolumeOwner,
  gate: WriteGate,
  onFault: FaultListener,
  written: WrittenVolume | null,
): Promise<Volume> {
  const restored = await saysRestored(spec.path);
  const record = await verifyVolume(spec, owner, gate, written, restored);
  const root = openRoot(spec);
  try {
    const [last, keys] = await Promise.all([readOwnershipSlot(spec.path), readKeys(spec, root)]);
    const next = nextOwnership(spec, owner, { record, root, last, restored }, written);
    const { ownership, warnings } = next;
    // The record is on its way to the disk while the journal is read.
    const recorded = recordOwnership(spec, root, gate, ownership, restored);
    const replay = await beside(recorded, openJournal(privateDirectory(spec.path), uuidBytes(record)));
    return opened(spec, owner, gate, onFault, { root, keys, replay, ownership, recorded, warnings });
  } catch (error) {
    close(root.fd);
    throw error;
  }
}

function openPrepared(
  spec: VolumeSpec,
  owner: VolumeOwner,
  gate: WriteGate,
  onFault: FaultListener,
  prepared: PreparedVolume,
  written: WrittenVolume | null,
): Volume {
  const { record, root, keys, replay, restored } = prepared;
  try {
    mustBelongTo(spec, owner, record);
    const { ownership, warnings } = nextOwnership(spec, owner, prepared, written);
    const recorded = recordOwnership(spec, root, gate, ownership, restored);
    return opened(spec, owner, gate, onFault, { root, keys, replay, ownership, recorded, warnings });
  } catch (error) {
    discardPrepared(prepared);
    throw error;
  }
}

interface Read extends Pick<PreparedVolume, 'root' | 'keys' | 'replay'> {
  readonly ownership: OwnershipRecord;
  readonly recorded: Promise<void>;
  readonly warnings: readonly string[];
}

function opened(
  spec: VolumeSpec,
  owner: VolumeOwner,
  gate: WriteGate,
  onFault: FaultListener,
  read: Read,
): Volume {
  const { root, keys, ownership, recorded, warnings } = read;
  const { journal, ...recoveredJournal } = read.replay;
  const opening = { journal, recoveredJournal, recorded, warnings, keyNotice: keys.notice };
  return new Volume(spec, owner, gate, ownership, keys.keys, root, opening, onFault);
}

/** The next steps use the path: it must lead to the volume until the end. */
function pinned({ name, path }: VolumeSpec): number {
  const pin = pinMountedVolume(path);
  if (pin !== null) return pin;
  throw new VolumeOpenError(
    OpenFailure.NotAttached,
    `volume ${name}: nothing is mounted at ${path}; nothing is written there`,
  );
}

/** The first takeover in the life of a process should not be the first time that its thread runs this code. */
export async function warmUpOpening(spec: VolumeSpec): Promise<void> {
  const prepared = await prepareVolume(spec);
  if (prepared !== null) discardPrepared(prepared);
}

/**
 * The same for attachVolume(), which is called in threads that both disk sets share. The pool opens it first: of a disk that hangs (the
 * partner's, say) these threads must not wait.
 */
export async function warmUpAttaching(spec: VolumeSpec): Promise<void> {
  try {
    const root = await openForReading(spec.path, O_DIRECTORY);
    await root.close();
    close(openRoot(spec).fd);
  } catch {
    // It is not mounted yet, or no volume yet.
  }
}

/**
 * A volume for a thread that only reads it, while openVolume()'s thread has it open. Throws VolumeOpenError.
 */
export function attachVolume(attachment: VolumeAttachment, onFault: FaultListener): Volume {
  const { spec, owner, ownership, keys } = attachment;
  return new Volume(spec, owner, NO_WRITES, ownership, keys, openRoot(spec), null, onFault);
}

/** 16 bytes. */
const uuidBytes = (record: VolumeRecord): Uint8Array =>
  new Uint8Array(Buffer.from(record.uuid.replaceAll('-', ''), 'hex'));

/** Rejected with a VolumeOpenError. */
function recordOwnership(
  spec: VolumeSpec,
  root: VolumeRoot,
  gate: WriteGate,
  ownership: OwnershipRecord,
  restored: boolean,
): Promise<void> {
  const write = async (): Promise<void> => {
    closeToOthers(gate, privateDirectory(spec.path));
    await withReserve(gate, root.reserve, () =>
      writeOwnership(gate, spec.path, ownership, spec.writeThrough === true),
    );
    if (restored) await takeBackRestored(gate, spec.path);
  };
  const recorded = write().catch((error: unknown) => {
    throw asOpenError(spec, error);
  });
  recorded.catch(() => {});
  return recorded;
}

/** Result of a read that runs while the record is written. If the read fails, rejects only after the write has ended. */
async function beside<T>(recorded: Promise<void>, reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    await Promise.allSettled([recorded]);
    throw error;
  }
}

interface ReadKeys {
  readonly keys: HandleKeys;
  readonly notice: string | null;
}

/** Throws VolumeRecordError. */
async function readKeys(spec: VolumeSpec, root: VolumeRoot): Promise<ReadKeys> {
  const { path, handleKeysDirectory } = spec;
  const [current, previous] = await Promise.all([readSecret(path), readSecret(path, true)]);
  const own = { current, previous };
  const pair = handleKeysDirectory === undefined ? null : readPairKeys(handleKeysDirectory);
  const keys = keysOf(own, pair);
  if (keys === null) {
    throw new VolumeRecordError(
      `${secretFile(path)} is missing, and no other key for file handles is configured; restore it from a backup of the volume, or give the server the pair's (handleKeysDirectory)`,
    );
  }
  // Without handles of the kernel's, files are found below the volume's root only.
  const exposed = !root.isWholeFileSystem && root.opensHandles;
  return { keys, notice: exposed ? keyNotice(spec, secretFile(path), own, pair) : null };
}
