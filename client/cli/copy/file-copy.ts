/** Copies one file: under a temporary name until it is complete and on the disk, from the start or from where an earlier copy ended. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { CommandError } from '../command.ts';
import { isAbandoned, keyOfPart } from './part-file.ts';
import type { FileSink, NewFile, Part, Place, PlaceInfo } from './place.ts';

export interface FileCopyOptions {
  /** Times, exact modes and, where that is permitted, owners. */
  readonly preserve: boolean;
  /** A file with the same content is left out; a written one is read again. */
  readonly checksum: boolean;
  /** Goes on with what an interrupted copy left, and leaves what it has if it is interrupted. */
  readonly resume: boolean;
  readonly stop: AbortSignal;
}

/** Times are set with less precision than they are kept. ms */
const SAME_TIME_MS = 1;
/** A copy that ends at once is not gone on with. Bytes. */
const RESUMED_SIZE_MIN = 64 * 1024 * 1024;

/** True: the target is the same already, as far as the options say how to tell. */
export async function isSame(
  source: Place,
  info: PlaceInfo,
  target: Place,
  there: PlaceInfo | null,
  { checksum, resume }: FileCopyOptions,
): Promise<boolean> {
  if (there?.kind !== 'File' || there.size !== info.size) return false;
  if (checksum)
    return (await hashOf(source.read(0, info.size))) === (await hashOf(target.read(0, info.size)));
  return resume && Math.abs(there.mtimeMs - info.mtimeMs) < SAME_TIME_MS;
}

/**
 * @param parts what earlier copies left beside the target
 * @param onBytes told how many bytes more are copied
 */
export async function copyFile(
  source: Place,
  info: PlaceInfo,
  target: Place,
  there: PlaceInfo | null,
  parts: readonly Part[],
  options: FileCopyOptions,
  onBytes: (count: number) => void,
): Promise<void> {
  const key = keyOf(source, info);
  const part = options.resume ? (parts.find((one) => canGoOnWith(one, key, info)) ?? null) : null;
  const file: NewFile = { mode: info.mode & 0o777, existing: there, key, size: info.size, part };
  const sink = await target.createFile(file);
  onBytes(sink.start);
  const over = new AbortController();
  try {
    // Whatever the copy waits for, an interruption ends it.
    await Promise.race([transfer(source, info, sink, options, onBytes), stopped(options.stop, over.signal)]);
  } catch (error) {
    const keep = options.resume && info.size >= RESUMED_SIZE_MIN && options.stop.aborted;
    // The first error is the one that counts.
    await sink.abandon(keep).catch(() => {});
    throw error;
  } finally {
    over.abort();
  }
}

async function transfer(
  source: Place,
  info: PlaceInfo,
  sink: FileSink,
  { checksum, preserve, stop }: FileCopyOptions,
  onBytes: (count: number) => void,
): Promise<void> {
  const hash = checksum && sink.start === 0 ? createHash('sha256') : null;
  let offset = sink.start;
  for await (const piece of source.read(offset, info.size)) {
    stop.throwIfAborted();
    hash?.update(piece);
    await sink.write(offset, piece);
    offset += piece.length;
    onBytes(piece.length);
  }
  await sink.complete();
  if (checksum) {
    const wanted = hash?.digest('hex') ?? (await hashOf(source.read(0, info.size)));
    if ((await hashOf(sink.readBack())) !== wanted)
      throw new CommandError(`${source.label}: what was written is not what was read (SHA-256 differs)`);
  }
  stop.throwIfAborted();
  await sink.finish(preserve ? info : null);
}

/** The same for the same version of the same file; hexadecimal. */
function keyOf({ label }: Place, { size, mtimeMs, identity }: PlaceInfo): string {
  return createHash('sha256').update(`${label} ${identity} ${size} ${mtimeMs}`).digest('hex').slice(0, 16);
}

/** Only of a process that has ended on this machine: of others one cannot know that they do not go on. */
function canGoOnWith({ name, file }: Part, key: string, info: PlaceInfo): boolean {
  return keyOfPart(name) === key && file.isFile() && file.size <= info.size && isAbandoned(name, file, 0);
}

async function hashOf(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of pieces) hash.update(piece);
  return hash.digest('hex');
}

/** Rejects when the process is asked to stop, or when `over` says that the copy has ended. */
async function stopped(stop: AbortSignal, over: AbortSignal): Promise<never> {
  if (!stop.aborted) await once(stop, 'abort', { signal: over });
  throw stop.reason;
}
