/**
 * What a volume says about itself: `.filerpair/volume.json` (whose it is, for good) and `.filerpair/ownership.json`
 * (who serves it now; DESIGN R6). Each is replaced as a whole, so a crash leaves the old or the new one.
 *
 * A full disk must not stop a takeover. So the ownership record always has a spare of the same size beside it: the
 * new record is written over the spare's bytes, which need no space, and then the two exchange their names.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { disableCopyOnWrite } from '../system/copy-on-write.ts';
import { AT_FDCWD, exchangeAt } from '../system/file-calls.ts';
import { become, SERVER_IDENTITY } from '../system/thread-identity.ts';
import { createJournal } from './journal.ts';
import { PRIVATE_DIRECTORY } from './names.ts';

export const VOLUME_FORMAT = 1;
export const SECRET_SIZE = 32;

export interface VolumeRecord {
  readonly format: typeof VOLUME_FORMAT;
  readonly uuid: string;
  /** Server to which the volume belongs by declaration. */
  readonly home: string;
  /** ISO 8601; for people. */
  readonly createdAt: string;
}

export interface OwnershipRecord {
  readonly uuid: string;
  readonly home: string;
  readonly owner: string;
  readonly ownerIncarnation: string;
  readonly epoch: number;
  /** Eight bytes in hexadecimal digits: the write verifier under this owner. */
  readonly writeVerifier: string;
  /** The owner stopped in good order: everything it had acknowledged, stable or not, is on the disk. */
  readonly clean: boolean;
}

/** Something on the volume is not what it should be. The message is for people: it names the file and the way out. */
export class VolumeRecordError extends Error {
  override readonly name = 'VolumeRecordError';
}

export function privateDirectory(root: string): string {
  return join(root, PRIVATE_DIRECTORY);
}
function volumeFile(root: string): string {
  return join(privateDirectory(root), 'volume.json');
}
function ownershipFile(root: string): string {
  return join(privateDirectory(root), 'ownership.json');
}
function secretFile(root: string): string {
  return join(privateDirectory(root), 'secret');
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

/** null: nobody has served the volume yet. */
export async function readOwnership(root: string): Promise<OwnershipRecord | null> {
  const record = await readRecord(ownershipFile(root));
  if (record === null) return null;
  const { uuid, home, owner, ownerIncarnation, epoch, writeVerifier, clean } = record;
  const valid =
    typeof uuid === 'string' &&
    typeof home === 'string' &&
    typeof owner === 'string' &&
    typeof ownerIncarnation === 'string' &&
    Number.isSafeInteger(epoch) &&
    typeof writeVerifier === 'string' &&
    /^[0-9a-f]{16}$/.test(writeVerifier) &&
    typeof clean === 'boolean';
  if (!valid) throw new VolumeRecordError(`${ownershipFile(root)} is not an ownership record`);
  return { uuid, home, owner, ownerIncarnation, epoch: epoch as number, writeVerifier, clean };
}

async function readRecord(path: string): Promise<Record<string, unknown> | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
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

/** Bytes of the record and of its spare: one block of every file system. The rest is spaces, which JSON ignores. */
const OWNERSHIP_SIZE = 4096;

export async function writeOwnership(root: string, record: OwnershipRecord): Promise<void> {
  const path = ownershipFile(root);
  const text = JSON.stringify(record);
  if (text.length >= OWNERSHIP_SIZE)
    throw new VolumeRecordError(`${path}: names of ${text.length} characters`);
  const content = `${text.padEnd(OWNERSHIP_SIZE - 1)}\n`;
  const spare = `${path}.spare`;
  if (await overwrite(spare, content)) {
    const exchanged = exchangeNames(spare, path);
    if (exchanged === 0) return syncDirectory(dirname(path));
    // No record yet, or a file system that can't exchange: the ordinary way.
  }
  await replaceDurably(path, content);
  await overwriteOrCreate(spare, content);
}

/** Durably, in place. false: there is no such file. */
async function overwrite(path: string, content: string): Promise<boolean> {
  let file: FileHandle;
  try {
    file = await open(path, 'r+');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
  try {
    await file.write(content, 0);
    await file.sync();
  } finally {
    await file.close();
  }
  return true;
}

async function overwriteOrCreate(path: string, content: string): Promise<void> {
  if (!(await overwrite(path, content))) await replaceDurably(path, content);
}

function exchangeNames(one: string, other: string): number {
  become(SERVER_IDENTITY);
  const encoder = new TextEncoder();
  return exchangeAt(AT_FDCWD, encoder.encode(one), AT_FDCWD, encoder.encode(other));
}

export async function readSecret(root: string): Promise<Uint8Array> {
  const secret = await readFile(secretFile(root));
  if (secret.length !== SECRET_SIZE) {
    throw new VolumeRecordError(`${secretFile(root)} has ${secret.length} bytes instead of ${SECRET_SIZE}`);
  }
  return new Uint8Array(secret);
}

/**
 * Makes a directory a volume. volume.json comes last: what a crash leaves before it is no volume, and is made anew.
 */
export async function initialiseVolume(root: string, home: string): Promise<VolumeRecord> {
  const directory = privateDirectory(root);
  if ((await readRecord(ownershipFile(root))) !== null) {
    // It has been served: to make it anew would end all handles that clients hold.
    throw new VolumeRecordError(`${volumeFile(root)} is missing; restore it from a backup of the volume`);
  }
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { mode: 0o700 });
  become(SERVER_IDENTITY);
  disableCopyOnWrite(directory);
  await replaceDurably(secretFile(root), randomBytes(SECRET_SIZE));
  await createJournal(directory);
  const record: VolumeRecord = {
    format: VOLUME_FORMAT,
    uuid: randomUUID(),
    home,
    createdAt: new Date().toISOString(),
  };
  await replaceDurably(volumeFile(root), `${JSON.stringify(record)}\n`);
  await syncDirectory(root);
  return record;
}

async function replaceDurably(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${path}.new`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
