/** Where files are copied from and to: this machine, an export or a stream, behind one small interface. */
import type { FoundFile } from './part-file.ts';

// A file is replaced only when its copy is complete and on the disk: it is written under another name beside it, and
// renamed. Whatever ends the copy before, the old file is still there. Symbolic links are followed where a user
// names one (followed()), and nowhere else: inside a directory they are copied as what they are.

/** Bytes where they are no UTF-8. */
export type Name = string | Buffer;

export interface PlaceInfo {
  readonly kind: 'File' | 'Directory' | 'Link' | 'Other';
  /** Bytes; Infinity of a stream. */
  readonly size: number;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeMs: number;
  readonly atimeMs: number;
  readonly nlink: number;
  /** The same for all names of one file or directory, as far as they are reached in the same way. */
  readonly identity: string;
}

export interface Attributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeMs: number;
  readonly atimeMs: number;
}

/** Temporary file that a copy that has ended left behind. */
export interface Part {
  readonly name: string;
  readonly file: FoundFile & { readonly size: number };
}

export interface NewFile {
  readonly mode: number;
  /** info() of what is replaced. */
  readonly existing: PlaceInfo | null;
  /** 16 hexadecimal digits: see part-file.ts. */
  readonly key: string;
  /** As far as it is known before. */
  readonly size: number;
  /** To go on with, instead of a new one. */
  readonly part: Part | null;
}

export interface FileSink {
  /** Position at which writing continues: the bytes before it are there. */
  readonly start: number;
  /** Resolves when there is room for more; `data` is the sink's until finish() or abandon(). */
  write(offset: number, data: Uint8Array): Promise<void>;
  /** Resolves when all is on the disk, still under its temporary name. */
  complete(): Promise<void>;
  /** The written data, read again. After complete(). */
  readBack(): AsyncIterable<Uint8Array>;
  /** After complete(): gives it its attributes (null: those of a new file) and its name. */
  finish(attributes: Attributes | null): Promise<void>;
  /** Leaves everything as it was. `keep`: what is written stays, for a copy that goes on. */
  abandon(keep: boolean): Promise<void>;
}

export interface Place {
  /** As people know it, for messages. */
  readonly label: string;
  readonly name: Name;
  /** Null if nothing is there; of a symbolic link itself. */
  info(): Promise<PlaceInfo | null>;
  /** Where symbolic links lead to; the place itself if they lead to nothing. */
  followed(): Promise<Place>;
  child(name: Name): Place;
  /** All that is in a directory; null: it was gone again. */
  entries(): Promise<readonly { readonly place: Place; readonly info: PlaceInfo | null }[]>;
  /** From a byte on. `size` is what info() says. */
  read(start: number, size: number): AsyncIterable<Uint8Array>;
  readLink(): Promise<Name>;
  createFile(file: NewFile): Promise<FileSink>;
  /** Creates the symbolic link, or replaces what is there. */
  makeLink(target: Name): Promise<void>;
  /** Creates the directory; false: it was there. */
  makeDirectory(mode: number): Promise<boolean>;
  /** Sets the attributes of a directory. */
  setAttributes(attributes: Attributes): Promise<void>;
  /** Makes the names in a directory durable. */
  syncNames(): Promise<void>;
  /** The directory that holds it, the same text for the same one. */
  readonly parent: string;
  /** Temporary files beside it, among the first entries of the directory; `nowMs`: by the clock that gave them their times. */
  parts(): Promise<{ readonly parts: readonly Part[]; readonly nowMs: number }>;
  /** Removes one of parts(). */
  removePart(part: Part): Promise<void>;
}

/** Entries of a directory that are looked through for what killed copies have left: a copy must not take much longer for it. */
export const LOOKED_THROUGH_MAX = 10_000;

/** Written and not yet durable, at most, of one file. Bytes. */
export const UNCONFIRMED_SIZE_MAX = 32 * 1024 * 1024;
/** Written in any order, at most, of one file. Bytes. */
const IN_FLIGHT_SIZE_MAX = 16 * 1024 * 1024;

/**
 * Up to where half a file is sure to be complete, whatever ended its copy. Pieces go out in order, but those in flight are written
 * in any, and what was not durable may be lost with a machine; both have limits.
 */
export function safeStart(size: number): number {
  const safe = size - UNCONFIRMED_SIZE_MAX - IN_FLIGHT_SIZE_MAX;
  const MIB = 1024 * 1024;
  return Math.max(0, Math.floor(safe / MIB) * MIB);
}

export function textOf(name: Name): string {
  return typeof name === 'string' ? name : name.toString('utf8');
}

/** A string where that says the same. */
export function nameOf(bytes: Uint8Array): Name {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const text = buffer.toString('utf8');
  return text.includes('\ufffd') && !Buffer.from(text).equals(buffer) ? Buffer.from(buffer) : text;
}
