/** Is the directory the volume that it should be? Makes an empty one of the home server a volume. */
import { readdir, stat as statPath } from 'node:fs/promises';
import type { VolumeSpec } from '../../settings/volume-spec.ts';
import { AT_FDCWD, close, O_DIRECTORY, O_PATH, openAt } from '../../system/file-calls.ts';
import { asServer } from '../../system/thread-identity.ts';
import type { WriteGate } from '../../system/write-gate.ts';
import { PRIVATE_DIRECTORY } from '../names/names.ts';
import { type WrittenVolume, whyBehind } from '../ownership/behind.ts';
import { initialiseVolume, readVolumeRecord, type VolumeRecord } from '../ownership/volume-record.ts';
import { refusal } from './next-ownership.ts';

import { OpenFailure, VolumeOpenError } from './open-failure.ts';
import type { VolumeOwner } from './volume.ts';
import { isWholeFileSystem } from './volume-root.ts';

/**
 * The record of the volume at `spec.path`. The home server makes an empty directory a volume.
 *
 * @param written what the Lease knows of the volume; null: nothing
 * @param restored an administrator has confirmed the present content
 * @throws VolumeOpenError `VolumeBehind`, `NotAVolume`, `WrongVolume`; VolumeRecordError
 */
export async function verifyVolume(
  spec: VolumeSpec,
  owner: VolumeOwner,
  gate: WriteGate,
  written: WrittenVolume | null,
  restored: boolean,
): Promise<VolumeRecord> {
  const found = await readVolumeRecord(spec.path);
  if (found === null) {
    const behind = whyBehind(spec.name, spec.path, written, null);
    if (behind !== null && !restored) throw refusal(spec, behind);
    await mustBeDirectory(spec);
    if (owner.server === owner.home) {
      if (spec.reattached === true && spec.adopts !== true) await mustBeFresh(spec);
      return initialiseVolume(gate, spec.path, owner.home, needsOwnKey(spec));
    }
    throw new VolumeOpenError(
      OpenFailure.NotAVolume,
      `${spec.path} is not a FilerPair volume; ${owner.home}, to which it belongs, has to start on it once`,
    );
  }
  mustBelongTo(spec, owner, found);
  return found;
}

/** A key of the pair will do only if the volume is a whole file system. */
function needsOwnKey(spec: VolumeSpec): boolean {
  return spec.handleKeysDirectory === undefined || asServer(() => isWhole(spec));
}

function isWhole(spec: VolumeSpec): boolean {
  const fd = openAt(AT_FDCWD, new TextEncoder().encode(spec.path), O_PATH | O_DIRECTORY);
  if (fd < 0) throw new VolumeOpenError('IoError', `${spec.path} can't be opened (errno ${-fd})`);
  const whole = isWholeFileSystem(fd);
  close(fd);
  return whole;
}

/** Throws VolumeOpenError `WrongVolume` for a volume of another home server. */
export function mustBelongTo(spec: VolumeSpec, owner: VolumeOwner, found: VolumeRecord): void {
  if (found.home === owner.home) return;
  throw new VolumeOpenError(
    OpenFailure.WrongVolume,
    `${spec.path} belongs to ${found.home}, not to ${owner.home}; check which claim or directory is mounted there`,
  );
}

async function mustBeDirectory(spec: VolumeSpec): Promise<void> {
  const message = `volume ${spec.name}: ${spec.path} is not a directory`;
  try {
    if ((await statPath(spec.path)).isDirectory()) return;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
  }
  throw new VolumeOpenError(OpenFailure.NotAVolume, message);
}

/** Entries of a new file system, and those that a crash leaves of making it a volume (initialiseVolume() restarts). */
const ON_A_FRESH_DISK: ReadonlySet<string> = new Set(['lost+found', PRIVATE_DIRECTORY]);

/** A disk that was exchanged, or another system's, does not become a volume. */
async function mustBeFresh({ name, path }: VolumeSpec): Promise<void> {
  const found = (await readdir(path)).find((entry) => !ON_A_FRESH_DISK.has(entry));
  if (found === undefined) return;
  throw new VolumeOpenError(
    OpenFailure.NotAVolume,
    `volume ${name}: the disk at ${path} is no FilerPair volume and not empty (it holds "${found}"); check which claim it is. To serve files that were there before, let the FilerPair adopt the claim (claimRef)`,
  );
}
