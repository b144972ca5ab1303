/** `.filerpair/volume.json`: whose a volume is, for good. Makes a directory a volume, and keeps what is in there from others. */
import { randomBytes, randomUUID } from 'node:crypto';
import { lstat, readdir } from 'node:fs/promises';
import { constants } from 'node:os';
import { basename, join } from 'node:path';
import { disableCopyOnWrite } from '../../system/copy-on-write.ts';
import { AT_FDCWD, changeMode, makeDirectoryAt } from '../../system/file-calls.ts';
import { StatBuffer } from '../../system/statx.ts';
import { asServer } from '../../system/thread-identity.ts';
import type { WriteGate } from '../../system/write-gate.ts';
import { HANDLE_KEY_SIZE } from '../handles/handle-keys.ts';
import { createJournal } from '../journal/journal-files.ts';
import { flushDirectory, must, removeFile, replaceDurably } from '../private-files/durable-file.ts';
import { readPrivate, VolumeRecordError, withPrivateDirectory } from '../private-files/private-files.ts';
import { OWNERSHIP_SIZE, readOwnership } from './ownership.ts';
import { ownershipFile, privateDirectory, restoredFile, secretFile, volumeFile } from './volume-files.ts';

const { EEXIST } = constants.errno;
export const VOLUME_FORMAT = 1;
const PRIVATE_MODE = 0o700;

export interface VolumeRecord {
  readonly format: typeof VOLUME_FORMAT;
  readonly uuid: string;
  /** Server to which the volume belongs by declaration. */
  readonly home: string;
  /** ISO 8601; for people. */
  readonly createdAt: string;
}

/** null: there is no volume. Throws VolumeRecordError for one that can't be understood. */
export async function readVolumeRecord(root: string): Promise<VolumeRecord | null> {
  const record = await readRecord(volumeFile(root));
  if (record === null) return null;
  const { format, uuid, home, createdAt } = record;
  if (format !== VOLUME_FORMAT) {
    throw new VolumeRecordError(`${volumeFile(root)}: format ${format}, this version reads ${VOLUME_FORMAT}`);
  }
  if (typeof uuid !== 'string' || !/^[0-9a-f-]{36}$/.test(uuid) || typeof home !== 'string') {
    throw new VolumeRecordError(`${volumeFile(root)} has no uuid or no home`);
  }
  return { format: VOLUME_FORMAT, uuid, home, createdAt: String(createdAt) };
}

async function readRecord(path: string): Promise<Record<string, unknown> | null> {
  let text: string;
  try {
    text = (await readPrivate(path)).toString('utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw error;
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Said below, with the file's name.
  }
  throw new VolumeRecordError(`${path} is not JSON; restore it from a backup of the volume`);
}

/** null: it has none, and the pair's keys count. previous: one that was renamed. */
export async function readSecret(root: string, previous = false): Promise<Uint8Array | null> {
  const file = secretFile(root) + (previous ? '.previous' : '');
  const secret = await readPrivate(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (secret === null) return null;
  if (secret.length !== HANDLE_KEY_SIZE) {
    throw new VolumeRecordError(`${file} has ${secret.length} bytes instead of ${HANDLE_KEY_SIZE}`);
  }
  return new Uint8Array(secret);
}

/**
 * Makes a directory a volume. volume.json comes last: what a crash leaves before it is no volume, and is made anew.
 *
 * @param hasKey it gets a key for file handles on itself (handle-keys.ts)
 */
export async function initialiseVolume(
  gate: WriteGate,
  root: string,
  home: string,
  hasKey = true,
): Promise<VolumeRecord> {
  const directory = privateDirectory(root);
  if ((await readOwnership(root)) !== null) {
    // It has been served: to make it anew would end all handles that clients hold.
    throw new VolumeRecordError(`${volumeFile(root)} is missing; restore it from a backup of the volume`);
  }
  makePrivate(gate, directory);
  // The administrator's word counts until the ownership record is on the disk.
  const left = (await readdir(directory)).filter((name) => name !== basename(restoredFile(root)));
  for (const name of left) removeFile(gate, join(directory, name));
  asServer(() => disableCopyOnWrite(gate, directory));
  if (hasKey) await replaceDurably(gate, secretFile(root), randomBytes(HANDLE_KEY_SIZE));
  await replaceDurably(gate, ownershipFile(root), Buffer.alloc(OWNERSHIP_SIZE, ' '));
  await createJournal(gate, directory);
  const record: VolumeRecord = {
    format: VOLUME_FORMAT,
    uuid: randomUUID(),
    home,
    createdAt: new Date().toISOString(),
  };
  await replaceDurably(gate, volumeFile(root), `${JSON.stringify(record)}\n`);
  await flushDirectory(root);
  return record;
}

/** The directory, for the server alone. Throws VolumeRecordError if it is there and somebody else could write to it. */
function makePrivate(gate: WriteGate, directory: string): void {
  const name = new TextEncoder().encode(directory);
  const made = asServer(() => makeDirectoryAt(gate, AT_FDCWD, name, PRIVATE_MODE));
  if (made !== -EEXIST) must(`mkdir ${directory}`, made);
  closeToOthers(gate, directory);
}

const modeStat = new StatBuffer();

/** An administrator who makes the directory by hand leaves it open for reading. */
export function closeToOthers(gate: WriteGate, directory: string): void {
  const result = withPrivateDirectory(directory, (dir) => {
    const looked = modeStat.ofFd(dir);
    if (looked < 0 || (modeStat.mode & 0o777) === PRIVATE_MODE) return looked;
    return changeMode(gate, dir, PRIVATE_MODE);
  });
  must(`chmod ${directory}`, result);
}

/**
 * Has an administrator confirmed that the present content is to be served (restoredFile())? Throws errors of lstat(2) other than
 * absence.
 */
export async function saysRestored(root: string): Promise<boolean> {
  try {
    return (await lstat(restoredFile(root))).isFile();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return false;
    throw error;
  }
}

/** It counts once. Durable when it resolves. */
export async function takeBackRestored(gate: WriteGate, root: string): Promise<void> {
  removeFile(gate, restoredFile(root));
  await flushDirectory(privateDirectory(root));
}
