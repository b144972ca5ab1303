/** Arguments of the methods for files, in the shapes of node:fs/promises, and what becomes of them. */
import { SET_TO_CLIENT_TIME, type set_time } from '../protocol/nfs3.ts';
import { TypeErrorWithCode } from './errors.ts';
import type { Attributes } from './nfs3-client.ts';
import type { OperationOptions } from './operation.ts';

/**
 * Options of FileHandle.read().
 *
 * @see https://nodejs.org/docs/latest-v24.x/api/fs.html#filehandlereadoptions
 */
export interface ReadOptions<Target extends NodeJS.ArrayBufferView> extends OperationOptions {
  readonly buffer?: Target;
  /** In the buffer, bytes. */
  readonly offset?: number | null | undefined;
  readonly length?: number | null | undefined;
  /** In the file; null or none: after the last read or write without one. */
  readonly position?: number | bigint | null | undefined;
}

/**
 * Options of FileHandle.write(): offset and length in the buffer and position in the file, in bytes.
 *
 * @see https://nodejs.org/docs/latest-v24.x/api/fs.html#filehandlewritebuffer-options
 */
export interface WriteOptions extends OperationOptions {
  readonly offset?: number | null | undefined;
  readonly length?: number | null | undefined;
  readonly position?: number | null | undefined;
}

export type TextOptions =
  | (OperationOptions & { readonly encoding?: BufferEncoding | null })
  | BufferEncoding
  | null;
/** Seconds since 1970, as a number or text, or a Date. */
export type Time = number | string | Date;

/** Data that writeFile() takes. */
export type FileData =
  | string
  | NodeJS.ArrayBufferView
  | Iterable<string | NodeJS.ArrayBufferView>
  | AsyncIterable<string | NodeJS.ArrayBufferView>;

/** Whole data is one piece. */
export async function* piecesOf(
  data: FileData,
  encoding: BufferEncoding | null | undefined,
): AsyncGenerator<Uint8Array> {
  const bytes = (piece: string | NodeJS.ArrayBufferView) =>
    typeof piece === 'string' ? Buffer.from(piece, encoding ?? 'utf8') : part(piece);
  if (typeof data === 'string' || ArrayBuffer.isView(data)) yield bytes(data);
  else for await (const piece of data) yield bytes(piece);
}

export function textOptions(
  options: TextOptions | undefined,
): OperationOptions & { readonly encoding?: BufferEncoding | null } {
  return typeof options === 'string' ? { encoding: options } : (options ?? {});
}

/** -1 leaves it as it is, as for chown(2). */
export function owner(uid: number, gid: number): Attributes {
  return { uid: uid === -1 ? null : uid, gid: gid === -1 ? null : gid };
}

/** Seconds, as text too, or a Date: as node:fs takes them. */
export function setTime(time: Time): set_time {
  const seconds = time instanceof Date ? time.getTime() / 1000 : Number(time);
  if (!Number.isFinite(seconds))
    throw new TypeErrorWithCode('ERR_INVALID_ARG_TYPE', `${String(time)} is no time`);
  const whole = Math.floor(seconds);
  const nseconds = Math.min(999_999_999, Math.round((seconds - whole) * 1e9));
  return { how: SET_TO_CLIENT_TIME, time: { seconds: whole, nseconds } };
}

export function isOptions<Options extends object>(
  given: Options | number | null | undefined,
): given is Options {
  return typeof given === 'object' && given !== null;
}

/** The bytes of a view. Throws a RangeError for what lies outside of it. */
export function part(
  view: NodeJS.ArrayBufferView,
  offset?: number | null,
  length?: number | null,
): Uint8Array {
  const from = offset ?? 0;
  const size = length ?? view.byteLength - from;
  if (!(from >= 0 && size >= 0 && from + size <= view.byteLength)) {
    throw Object.assign(
      new RangeError(`offset ${from}, length ${size}: not within ${view.byteLength} bytes`),
      {
        code: 'ERR_OUT_OF_RANGE',
      },
    );
  }
  return new Uint8Array(view.buffer, view.byteOffset + from, size);
}
