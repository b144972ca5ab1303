/** `.filerpair/ownership`: who serves a volume now, and where it lies (docs/design.md R6). */
import { fdatasync } from 'node:fs';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { readOwnershipInto, writeOwnershipFrom } from '../../system/data-calls.ts';
import { close, O_DSYNC, O_RDWR } from '../../system/file-calls.ts';
import { withPoolFault } from '../../system/pool-calls.ts';
import type { WriteGate } from '../../system/write-gate.ts';
import { must } from '../private-files/durable-file.ts';
import { openPrivate, readPrivate, VolumeRecordError } from '../private-files/private-files.ts';
import { isPlace, type Place } from './place.ts';
import { ownershipFile } from './volume-files.ts';

// `ownership` has two blocks of 4 KiB, each a line of JSON. The newer valid one counts; a new record is written over the older
// one, and when that is durable over the other one too (see writeOwnership). So a crash leaves the record before or the new one.
// Since no space is needed and no metadata changes, a full disk does not stop a takeover, and it waits for two writes to the
// disk.

const flushData = promisify(fdatasync);

export interface OwnershipRecord {
  readonly uuid: string;
  readonly home: string;
  readonly owner: string;
  readonly ownerIncarnation: string;
  readonly epoch: number;
  /** Eight bytes in hexadecimal digits: the write verifier under this owner. */
  readonly writeVerifier: string;
  /** The owner stopped gracefully: everything it had acknowledged, stable or not, is on the disk. */
  readonly clean: boolean;
  /** Where the volume lay when it was served last; absent: written by a version that did not look. */
  readonly place?: Place;
  /** UUID that file handles carry; absent: the volume's. A new one with every new place. */
  readonly handles?: string;
}

/** A block of the file. */
export interface OwnershipSlot {
  readonly record: OwnershipRecord;
  /** Grows by one with each record written. */
  readonly generation: number;
}

const readOwnershipFile = withPoolFault('read of the ownership record', readPrivate);
const BLOCK_SIZE = 4096;
const BLOCKS = 2;

/** null: nobody has served the volume yet. Throws VolumeRecordError if something is there that can't be understood. */
export async function readOwnership(root: string): Promise<OwnershipRecord | null> {
  return (await readOwnershipSlot(root))?.record ?? null;
}

/** The same, with what writeOwnership() wants to know. */
export async function readOwnershipSlot(root: string): Promise<OwnershipSlot | null> {
  let bytes: Buffer;
  try {
    bytes = await readOwnershipFile(ownershipFile(root));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  return newestSlot(root, bytes);
}

/** Newest slot in the file's content. Throws VolumeRecordError. */
export function newestSlot(root: string, bytes: Buffer): OwnershipSlot | null {
  return newestOf(root, slotsIn(bytes));
}

type BlockContent = OwnershipSlot | 'blank' | 'damaged';

const isSlot = (content: BlockContent): content is OwnershipSlot => typeof content !== 'string';

function slotsIn(bytes: Buffer): readonly BlockContent[] {
  return Array.from({ length: BLOCKS }, (_, block) => {
    const text = bytes.toString('utf8', block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE).trim();
    return text === '' ? 'blank' : (parseSlot(text) ?? 'damaged');
  });
}

function newestOf(root: string, contents: readonly BlockContent[]): OwnershipSlot | null {
  const slots = contents.filter(isSlot).sort((a, b) => b.generation - a.generation);
  if (slots.length === 0 && contents.includes('damaged')) {
    throw new VolumeRecordError(`${ownershipFile(root)} is damaged; restore it from a backup of the volume`);
  }
  return slots[0] ?? null;
}

function parseSlot(text: string): OwnershipSlot | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const { generation, checksum, record } = (value ?? {}) as Record<string, unknown>;
  if (!Number.isSafeInteger(generation) || checksum !== checksumOf(generation as number, record)) return null;
  return isOwnership(record) ? { generation: generation as number, record } : null;
}

function checksumOf(generation: number, record: unknown): number {
  return crc32(`${generation} ${JSON.stringify(record)}`);
}

function isOwnership(value: unknown): value is OwnershipRecord {
  const { uuid, home, owner, ownerIncarnation, epoch, writeVerifier, clean, place, handles } = (value ??
    {}) as Record<string, unknown>;
  return (
    typeof uuid === 'string' &&
    typeof home === 'string' &&
    typeof owner === 'string' &&
    typeof ownerIncarnation === 'string' &&
    Number.isSafeInteger(epoch) &&
    typeof writeVerifier === 'string' &&
    /^[0-9a-f]{16}$/.test(writeVerifier) &&
    typeof clean === 'boolean' &&
    (place === undefined || isPlace(place)) &&
    (handles === undefined || isUuid(handles))
  );
}

const isUuid = (value: unknown): value is string =>
  typeof value === 'string' && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value);

/** Somebody newer owns the volume: the record was not written. */
export class OwnershipAheadError extends Error {
  override readonly name = 'OwnershipAheadError';
  readonly found: OwnershipRecord;

  constructor(root: string, found: OwnershipRecord, record: OwnershipRecord) {
    super(
      `${found.owner} owns ${root} in epoch ${found.epoch}; ${record.owner} claims it in epoch ${record.epoch}`,
    );
    this.found = found;
  }
}

/** The record is not the one any more that was read before. To open the volume again may succeed. */
export class OwnershipChangedError extends Error {
  override readonly name = 'OwnershipChangedError';

  constructor(root: string) {
    super(`another owner wrote the ownership record of ${root} while the volume was opened`);
  }
}

/** Is this the record of an owner that that one must not replace? */
export function isAhead(
  found: OwnershipRecord,
  { epoch, owner }: Pick<OwnershipRecord, 'epoch' | 'owner'>,
): boolean {
  return found.epoch > epoch || (found.epoch === epoch && found.owner !== owner);
}

/** How much of an ownership file counts, in bytes. */
export const OWNERSHIP_SIZE = BLOCKS * BLOCK_SIZE;

/**
 * The record there is read, compared and replaced by this thread without a break, behind the gate. A thread that was held up
 * anywhere before finds the record of the server that owns the volume by now, and writes nothing. Durable when it resolves.
 *
 * Between its look and its write the machine may be paused as a whole, and then it writes over whatever has come there since. So
 * an owner writes until a read shows its record in both blocks. Such a late write hits one of them, with a generation that is not
 * above the other's: that one counts, and the next look of the late writer finds it.
 *
 * @param writeThrough the record is on the disk when it is in the file: nothing stays dirty in this machine's memory (R9)
 * @throws OwnershipAheadError, OwnershipChangedError, RefusedError, VolumeRecordError, SystemCallError
 */
export async function writeOwnership(
  gate: WriteGate,
  root: string,
  record: OwnershipRecord,
  writeThrough = false,
): Promise<void> {
  const path = ownershipFile(root);
  for (let done = false; !done; ) {
    // Anew each time: a network file system asks its server then, and may answer from memory otherwise.
    const fd = must(`open ${path}`, openPrivate(path, O_RDWR | (writeThrough ? O_DSYNC : 0)));
    try {
      done = replaceOlder(gate, root, fd, record) === 'was in both';
      if (!done && !writeThrough) await flushData(fd);
    } finally {
      close(fd);
    }
  }
}

function replaceOlder(
  gate: WriteGate,
  root: string,
  fd: number,
  record: OwnershipRecord,
): 'written' | 'was in both' {
  const path = ownershipFile(root);
  const bytes = Buffer.alloc(OWNERSHIP_SIZE);
  const size = must(`read ${path}`, readOwnershipInto(fd, bytes));
  const slots = slotsIn(bytes.subarray(0, size));
  const last = newestOf(root, slots);
  if (last !== null && isAhead(last.record, record)) throw new OwnershipAheadError(root, last.record, record);
  if (last !== null && hasServedUnder(last.record, record)) throw new OwnershipChangedError(root);
  if (slots.every((slot) => isSlot(slot) && JSON.stringify(slot.record) === JSON.stringify(record)))
    return 'was in both';
  const generation = (last?.generation ?? 0) + 1;
  const text = JSON.stringify({ generation, checksum: checksumOf(generation, record), record });
  if (Buffer.byteLength(text) >= BLOCK_SIZE) throw new VolumeRecordError(`${path}: its names are too long`);
  const block = Buffer.alloc(BLOCK_SIZE, ' ');
  block.write(text);
  block[BLOCK_SIZE - 1] = 0x0a;
  const at = (generation % BLOCKS) * BLOCK_SIZE;
  const written = must(`write ${path}`, writeOwnershipFrom(gate, fd, block, at));
  if (written < BLOCK_SIZE) throw new VolumeRecordError(`${path}: only ${written} bytes could be written`);
  return 'written';
}

/**
 * Has another owner served under the write verifier that this record keeps? It was kept because of an older record than the one that
 * is there, and what that owner has not committed may be lost.
 */
function hasServedUnder(found: OwnershipRecord, record: OwnershipRecord): boolean {
  const { ownerIncarnation, epoch, clean, writeVerifier } = found;
  const isOurs = ownerIncarnation === record.ownerIncarnation && epoch === record.epoch;
  return !isOurs && !clean && writeVerifier === record.writeVerifier;
}
