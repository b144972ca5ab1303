/** Files of this machine, as a place to copy from and to. */
import type { BigIntStats } from 'node:fs';
import {
  access,
  chmod,
  chown,
  constants,
  type FileHandle,
  lstat,
  mkdir,
  open,
  opendir,
  readdir,
  readlink,
  realpath,
  rename,
  rm,
  symlink,
  utimes,
} from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { hasCode } from '../../errors.ts';
import { CommandError } from '../command.ts';
import { isPartName, partName } from './part-file.ts';
import {
  type Attributes,
  type FileSink,
  LOOKED_THROUGH_MAX,
  type Name,
  type NewFile,
  nameOf,
  type Part,
  type Place,
  type PlaceInfo,
  safeStart,
  textOf,
  UNCONFIRMED_SIZE_MAX,
} from './place.ts';
import type { SmallFileFlushes } from './small-file-flushes.ts';
import { flushesIn } from './sync-file-system.ts';

/** Bytes of one read or write. */
const IO_SIZE = 1024 * 1024;
/** Such files are flushed together. Bytes. */
const SMALL_SIZE_MAX = 1024 * 1024;

type Flushes = () => Promise<SmallFileFlushes | null>;

export class LocalPlace implements Place {
  readonly label: string;
  readonly name: Name;
  readonly #path: Name;
  /** Flushes of the directory that holds the file, shared by all files in it. */
  readonly #flushes: Flushes;
  #flushesInside: ReturnType<Flushes> | undefined;

  constructor(path: Name, label = textOf(path), flushes: Flushes = () => flushesIn(this.parent)) {
    this.#path = path;
    this.label = label;
    this.#flushes = flushes;
    this.name = typeof path === 'string' ? basename(resolve(path)) : afterSlash(path);
  }

  async info(): Promise<PlaceInfo | null> {
    try {
      return infoOf(await lstat(this.#path, { bigint: true }));
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return null;
      throw error;
    }
  }

  async followed(): Promise<Place> {
    try {
      const real = await realpath(this.#path);
      return real === resolve(textOf(this.#path)) ? this : new LocalPlace(real, this.label);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return this;
      throw error;
    }
  }

  child(name: Name): Place {
    const flushes: Flushes = () => (this.#flushesInside ??= flushesIn(this.#path));
    return new LocalPlace(joined(this.#path, name), join(this.label, textOf(name)), flushes);
  }

  async entries(): Promise<{ place: Place; info: PlaceInfo | null }[]> {
    const names = await readdir(this.#path, { encoding: 'buffer' });
    return Promise.all(
      names.map(async (bytes) => {
        const place = this.child(nameOf(bytes));
        return { place, info: await place.info() };
      }),
    );
  }

  async *read(start: number, size: number): AsyncGenerator<Uint8Array> {
    const file = await open(this.#path, 'r');
    try {
      // One byte more, so that a small file ends with its first read.
      const pieceSize = Math.min(IO_SIZE, size - start + 1);
      for (let at = start; ; ) {
        // A buffer of its own for each piece: it is kept until the other side has it on its disk.
        const buffer = Buffer.allocUnsafeSlow(pieceSize);
        const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
        if (bytesRead > 0) yield buffer.subarray(0, bytesRead);
        if (bytesRead === 0 || (at + bytesRead >= size && bytesRead < pieceSize)) return;
        at += bytesRead;
      }
    } finally {
      await file.close();
    }
  }

  async readLink(): Promise<Name> {
    return nameOf(await readlink(this.#path, { encoding: 'buffer' }));
  }

  async createFile({ mode, existing, key, size, part }: NewFile): Promise<FileSink> {
    // A terminal, a pipe, /dev/null: there is nothing to replace.
    if (existing?.kind === 'Other') return new OpenSink(await open(this.#path, 'w'));
    if (existing?.kind === 'File') await access(this.#path, constants.W_OK);
    const temporary = this.#beside(partName(key));
    if (part !== null) await rename(this.#beside(part.name), temporary);
    const flushes = part === null && size <= SMALL_SIZE_MAX ? await this.#flushes() : null;
    const file = await open(temporary, part === null ? 'wx' : 'r+', mode);
    if (existing?.kind === 'File') {
      await file.chown(existing.uid, existing.gid).catch(ignoreRefusal);
      await chmod(temporary, existing.mode);
    }
    const start = part === null ? 0 : safeStart(part.file.size);
    return new PartSink(file, temporary, this.#path, start, flushes);
  }

  async makeLink(target: Name): Promise<void> {
    const temporary = this.#beside(partName());
    await symlink(target, temporary);
    await rename(temporary, this.#path);
  }

  async makeDirectory(mode: number): Promise<boolean> {
    try {
      await mkdir(this.#path, { mode });
      return true;
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return (await mkdir(this.#path, { mode, recursive: true })) !== undefined;
      if (!hasCode(error, 'EEXIST')) throw error;
      if ((await this.info())?.kind !== 'Directory')
        throw new CommandError(`${this.label} is not a directory`);
      return false;
    }
  }

  async setAttributes({ mode, uid, gid, mtimeMs, atimeMs }: Attributes): Promise<void> {
    await chown(this.#path, uid, gid).catch(ignoreRefusal);
    await chmod(this.#path, mode);
    await utimes(this.#path, atimeMs / 1000, mtimeMs / 1000);
  }

  async syncNames(): Promise<void> {
    const directory = await open(this.#path, 'r');
    await directory.sync().finally(() => directory.close());
  }

  get parent(): string {
    return resolve(dirname(textOf(this.#path)));
  }

  async parts(): Promise<{ parts: Part[]; nowMs: number }> {
    const parts: Part[] = [];
    let count = 0;
    for await (const { name } of await opendir(this.parent)) {
      if (++count > LOOKED_THROUGH_MAX) break;
      if (isPartName(name)) parts.push({ name, file: await lstat(this.#beside(name)) });
    }
    // The file system's clock counts: the copy has just changed this directory.
    return { parts, nowMs: (await lstat(this.parent)).mtimeMs };
  }

  async removePart({ name }: Part): Promise<void> {
    await rm(this.#beside(name), { force: true });
  }

  #beside(name: string): Name {
    if (typeof this.#path === 'string') return join(dirname(this.#path), name);
    return joined(this.#path.subarray(0, this.#path.lastIndexOf(0x2f)), name);
  }
}

function joined(directory: Name, name: Name): Name {
  if (typeof directory === 'string' && typeof name === 'string') return join(directory, name);
  return Buffer.concat([Buffer.from(directory), Buffer.from('/'), Buffer.from(name)]);
}

function afterSlash(path: Buffer): Name {
  return nameOf(path.subarray(path.lastIndexOf(0x2f) + 1));
}

function infoOf(found: BigIntStats): PlaceInfo {
  const kind = found.isFile()
    ? 'File'
    : found.isDirectory()
      ? 'Directory'
      : found.isSymbolicLink()
        ? 'Link'
        : 'Other';
  return {
    kind,
    size: Number(found.size),
    mode: Number(found.mode) & 0o7777,
    uid: Number(found.uid),
    gid: Number(found.gid),
    mtimeMs: Number(found.mtimeNs / 1000n) / 1000,
    atimeMs: Number(found.atimeNs / 1000n) / 1000,
    nlink: Number(found.nlink),
    identity: `${found.dev} ${found.ino}`,
  };
}

/** A device or a pipe: it is written in place, and never replaced. */
class OpenSink implements FileSink {
  readonly start = 0;
  readonly #file: FileHandle;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  write(_offset: number, data: Uint8Array): Promise<void> {
    return writeAll(this.#file, null, data);
  }

  async complete(): Promise<void> {}

  async *readBack(): AsyncGenerator<Uint8Array> {}

  async finish(): Promise<void> {
    await this.#file.close();
  }

  async abandon(): Promise<void> {
    await this.#file.close();
  }
}

class PartSink implements FileSink {
  readonly start: number;
  readonly #file: FileHandle;
  readonly #temporary: Name;
  readonly #path: Name;
  readonly #flushes: SmallFileFlushes | null;
  #unconfirmed = 0;
  #end = 0;

  constructor(
    file: FileHandle,
    temporary: Name,
    path: Name,
    start: number,
    flushes: SmallFileFlushes | null,
  ) {
    this.#file = file;
    this.#temporary = temporary;
    this.#path = path;
    this.start = start;
    this.#flushes = flushes;
  }

  async write(offset: number, data: Uint8Array): Promise<void> {
    await writeAll(this.#file, offset, data);
    this.#end = offset + data.length;
    this.#unconfirmed += data.length;
    if (this.#unconfirmed < UNCONFIRMED_SIZE_MAX) return;
    this.#unconfirmed = 0;
    await this.#file.datasync();
  }

  async complete(): Promise<void> {
    // A part that is gone on with may have been longer than the file is now.
    if (this.start > 0) await this.#file.truncate(Math.max(this.#end, this.start));
    if (this.#flushes === null) await this.#file.sync();
    else await this.#flushes.flush(this.#file);
  }

  readBack(): AsyncIterable<Uint8Array> {
    return new LocalPlace(this.#temporary).read(0, Number.POSITIVE_INFINITY);
  }

  async finish(attributes: Attributes | null): Promise<void> {
    if (attributes !== null) {
      await this.#file.chown(attributes.uid, attributes.gid).catch(ignoreRefusal);
      await this.#file.chmod(attributes.mode);
      await this.#file.utimes(attributes.atimeMs / 1000, attributes.mtimeMs / 1000);
    }
    await this.#file.close();
    await rename(this.#temporary, this.#path);
  }

  async abandon(keep: boolean): Promise<void> {
    await this.#file.close();
    if (!keep) await rm(this.#temporary, { force: true });
  }
}

/** position null: a stream, whose position is its own. */
async function writeAll(file: FileHandle, position: number | null, data: Uint8Array): Promise<void> {
  for (let written = 0; written < data.length; ) {
    const at = position === null ? null : position + written;
    written += (await file.write(data, written, data.length - written, at)).bytesWritten;
  }
}

/** Only root may give a file to another user. For others, the copy belongs to the user who makes it. */
export function ignoreRefusal(error: unknown): void {
  if (!hasCode(error, 'EPERM', 'EACCES')) throw error;
}
