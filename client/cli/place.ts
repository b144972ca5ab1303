/** Where files are copied from and to: this machine or an export, behind one small interface. */
import type { Stats } from 'node:fs';
import {
  access,
  chmod,
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
} from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { hasCode } from '../errors.ts';
import type { FilerPairClient } from '../filer-pair-client.ts';
import type { NfsUrl } from '../url.ts';
import { CommandError } from './command.ts';
import { isAbandoned, isPartName, partName } from './part-file.ts';

// A file is replaced only when its copy is complete and on the disk: it is written under another name beside it, and
// renamed. Whatever ends the copy before, the old file is still there. Symbolic links are followed where a user
// names one (followed()), and nowhere else: inside a directory they are copied as what they are.

export interface PlaceInfo {
  readonly kind: 'File' | 'Directory' | 'Link' | 'Other';
  readonly size: number;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** The same for all names of one file or directory, as far as they are reached in the same way. */
  readonly identity: string;
}

export interface FileSink {
  write(offset: number, data: Uint8Array): Promise<void>;
  /** Resolves when all is on the disk, under its name. */
  finish(): Promise<void>;
  /** Leaves everything as it was. */
  abandon(): Promise<void>;
}

export interface Place {
  /** As people know it, for messages. */
  readonly label: string;
  readonly name: string;
  /** Null if nothing is there; of a symbolic link itself. */
  info(): Promise<PlaceInfo | null>;
  /** Where symbolic links lead to; the place itself if they lead to nothing. */
  followed(): Promise<Place>;
  child(name: string): Place;
  list(): Promise<string[]>;
  read(): AsyncIterable<Uint8Array>;
  readLink(): Promise<string>;
  /** Creates the file, or replaces what is there; `existing` is its info(). */
  write(mode: number, existing: PlaceInfo | null): Promise<FileSink>;
  /** Creates the symbolic link, or replaces what is there. */
  makeLink(target: string): Promise<void>;
  /** Creates the directory if it is not there. */
  makeDirectory(mode: number): Promise<void>;
  /** The directory that holds it, the same text for the same one. */
  readonly parent: string;
  /** Removes from that directory what killed copies have left (part-file.ts); after a write() to it. */
  tidy(): Promise<void>;
}

/** Entries of a directory that are looked through for what killed copies have left: a copy must not take much longer for it. */
const LOOKED_THROUGH_MAX = 10_000;

/** Of a local file, or of one on an export: they are told apart in the same way. */
function infoOf(found: Omit<PlaceInfo, 'kind' | 'identity'> & FileKind, identity: string): PlaceInfo {
  const kind = found.isFile()
    ? 'File'
    : found.isDirectory()
      ? 'Directory'
      : found.isSymbolicLink()
        ? 'Link'
        : 'Other';
  const { size, mode, uid, gid } = found;
  return { kind, size, mode: mode & 0o7777, uid, gid, identity };
}

type FileKind = Pick<Stats, 'isFile' | 'isDirectory' | 'isSymbolicLink'>;

/** Bytes of one read or write of a local file. */
const LOCAL_IO_SIZE = 1024 * 1024;

export class LocalPlace implements Place {
  readonly label: string;
  readonly name: string;
  readonly #path: string;

  constructor(path: string, label = path) {
    this.#path = path;
    this.label = label;
    this.name = basename(resolve(path));
  }

  async info(): Promise<PlaceInfo | null> {
    try {
      const found = await lstat(this.#path);
      return infoOf(found, `${found.dev} ${found.ino}`);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return null;
      throw error;
    }
  }

  async followed(): Promise<Place> {
    try {
      const real = await realpath(this.#path);
      return real === resolve(this.#path) ? this : new LocalPlace(real, this.label);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return this;
      throw error;
    }
  }

  child(name: string): Place {
    return new LocalPlace(join(this.#path, name), join(this.label, name));
  }

  list(): Promise<string[]> {
    return readdir(this.#path);
  }

  async *read(): AsyncGenerator<Uint8Array> {
    const file = await open(this.#path, 'r');
    try {
      for (;;) {
        // A buffer of its own for each piece: it is kept until the other side has it on its disk.
        const buffer = Buffer.allocUnsafeSlow(LOCAL_IO_SIZE);
        const { bytesRead } = await file.read(buffer, 0, buffer.length);
        if (bytesRead === 0) return;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      await file.close();
    }
  }

  readLink(): Promise<string> {
    return readlink(this.#path);
  }

  async write(mode: number, existing: PlaceInfo | null): Promise<FileSink> {
    // A terminal, a pipe, /dev/null: there is nothing to replace.
    if (existing?.kind === 'Other') return sinkOf(await open(this.#path, 'w'));
    if (existing?.kind === 'File') await access(this.#path, constants.W_OK);
    const temporary = this.#temporary();
    const file = await open(temporary, 'wx', mode);
    if (existing?.kind === 'File') {
      await file.chown(existing.uid, existing.gid).catch(ignoreRefusal);
      await chmod(temporary, existing.mode);
    }
    return sinkOf(file, { temporary, path: this.#path });
  }

  async makeLink(target: string): Promise<void> {
    const temporary = this.#temporary();
    await symlink(target, temporary);
    await rename(temporary, this.#path);
  }

  async makeDirectory(mode: number): Promise<void> {
    const there = await this.info();
    if (there === null) await mkdir(this.#path, { mode, recursive: true });
    else if (there.kind !== 'Directory') throw new CommandError(`${this.label} is not a directory`);
  }

  get parent(): string {
    return resolve(dirname(this.#path));
  }

  async tidy(): Promise<void> {
    // By the clock of the file system: the copy has just changed this directory.
    const { mtimeMs: nowMs } = await lstat(this.parent);
    let count = 0;
    for await (const { name } of await opendir(this.parent)) {
      if (++count > LOOKED_THROUGH_MAX) return;
      if (!isPartName(name)) continue;
      const path = join(this.parent, name);
      if (isAbandoned(name, await lstat(path), nowMs)) await rm(path, { force: true });
    }
  }

  #temporary(): string {
    return join(dirname(this.#path), partName());
  }
}

/** `renamed`: what is written has another name until it is complete. */
function sinkOf(file: FileHandle, renamed?: { temporary: string; path: string }): FileSink {
  return {
    async write(offset, data) {
      let written = 0;
      while (written < data.length) {
        const position = renamed ? offset + written : null;
        written += (await file.write(data, written, data.length - written, position)).bytesWritten;
      }
    },
    async finish() {
      if (renamed) await file.sync();
      await file.close();
      if (!renamed) return;
      await rename(renamed.temporary, renamed.path);
      const directory = await open(dirname(renamed.path), 'r');
      await directory.sync().finally(() => directory.close());
    },
    async abandon() {
      await file.close().catch(() => {});
      if (renamed) await rm(renamed.temporary, { force: true });
    },
  };
}

/** Only an administrator may give files away: to anybody else a file that is replaced belongs afterwards. */
function ignoreRefusal(error: unknown): void {
  if (!hasCode(error, 'EPERM', 'EACCES')) throw error;
}

export class NfsPlace implements Place {
  readonly label: string;
  readonly name: string;
  readonly #client: FilerPairClient;
  readonly #url: NfsUrl;
  readonly #path: string;

  constructor(client: FilerPairClient, url: NfsUrl, path: string) {
    this.#client = client;
    this.#url = url;
    this.#path = path;
    this.label = `${url.server}:${join(client.exportPath, path)}`;
    this.name = basename(path);
  }

  async info(): Promise<PlaceInfo | null> {
    try {
      const found = await this.#client.lstat(this.#path);
      const { fsid, fileid } = found.attributes;
      return infoOf(found, `${JSON.stringify(this.#url.endpoints)} ${fsid} ${fileid}`);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return null;
      throw error;
    }
  }

  async followed(): Promise<Place> {
    try {
      const real = await this.#client.realpath(this.#path);
      return real === join('/', this.#path) ? this : new NfsPlace(this.#client, this.#url, real);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return this;
      throw error;
    }
  }

  child(name: string): Place {
    // Names from a server are data, not paths: one with a slash would leave the directory.
    if (name === '' || name === '.' || name === '..' || name.includes('/')) {
      throw new CommandError(`${this.label}: the server lists an impossible name "${name}"`);
    }
    return new NfsPlace(this.#client, this.#url, join(this.#path, name));
  }

  async list(): Promise<string[]> {
    return this.#client.readdir(this.#path);
  }

  read(): AsyncIterable<Uint8Array> {
    return this.#client.read(this.#path);
  }

  readLink(): Promise<string> {
    return this.#client.readlink(this.#path);
  }

  async write(mode: number, existing: PlaceInfo | null): Promise<FileSink> {
    const client = this.#client;
    const path = this.#path;
    const replaced = existing?.kind === 'File' ? existing : null;
    // A file that its user may not write is not to be replaced either, though the directory would allow it.
    if (replaced !== null) await client.access(path, constants.W_OK);
    const temporary = this.#temporary();
    const file = await client.open(temporary, 'wx', replaced?.mode ?? mode);
    if (replaced !== null) {
      const made = await file.stat();
      const { uid, gid } = replaced;
      if (made.uid !== uid || made.gid !== gid) {
        await file.chown(uid, gid).then(() => file.chmod(replaced.mode), ignoreRefusal);
      }
    }
    const { writer } = file;
    return {
      write: (offset, data) => writer.write(offset, data),
      async finish() {
        await file.close();
        await client.rename(temporary, path);
      },
      async abandon() {
        file.close().catch(() => {});
        await client.unlink(temporary);
      },
    };
  }

  async makeLink(target: string): Promise<void> {
    const temporary = this.#temporary();
    await this.#client.symlink(target, temporary);
    await this.#client.rename(temporary, this.#path);
  }

  async makeDirectory(mode: number): Promise<void> {
    const there = await this.info();
    if (there === null) await this.#client.mkdir(this.#path, { mode });
    else if (there.kind !== 'Directory') throw new CommandError(`${this.label} is not a directory`);
  }

  get parent(): string {
    return `${JSON.stringify(this.#url.endpoints)} ${join('/', dirname(this.#path))}`;
  }

  async tidy(): Promise<void> {
    const client = this.#client;
    const directory = dirname(this.#path);
    // By the server's clock: the copy has just changed this directory.
    const { mtimeMs: nowMs } = await client.stat(directory);
    let count = 0;
    for await (const { name } of await client.opendir(directory)) {
      if (++count > LOOKED_THROUGH_MAX) return;
      if (!isPartName(name)) continue;
      const path = join(directory, name);
      if (isAbandoned(name, await client.lstat(path), nowMs)) await client.rm(path, { force: true });
    }
  }

  #temporary(): string {
    return join(dirname(this.#path), partName());
  }
}
