/**
 * The library's front door: an export of one server of a pair, used by path as node:fs/promises uses a file system, wherever it
 * is served now.
 */
import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { constants } from 'node:fs';
import {
  ACCESS3_EXECUTE,
  ACCESS3_LOOKUP,
  ACCESS3_MODIFY,
  ACCESS3_READ,
  NF3DIR,
  NF3LNK,
  NFS_PROGRAM,
  NFS_V3,
  type nfs_fh3,
} from '../protocol/nfs3.ts';
import { IDENTITY_SIZE } from '../protocol/succession.ts';
import { cancellable } from './cancellable.ts';
import { type ClientEvents, callChannel, connectionChannel, emitSafely } from './client-events.ts';
import {
  type BigIntOption,
  type ClientOptions,
  type MkdirOptions,
  type NameOptions,
  nameOptions,
  type ReaddirOptions,
  type RmOptions,
  type WriteFileOptions,
} from './client-options.ts';
import { Dir, type Dirent, encodedName, listEntries, type NameEncoding } from './directory.ts';
import { DiskSetIdentity } from './disk-set-identity.ts';
import { FilerPairError, hasCode, reasonOf, TypeErrorWithCode } from './errors.ts';
import { ExportPaths } from './export-paths.ts';
import { ExportSession } from './export-session.ts';
import { type FileData, owner, setTime, type TextOptions, type Time, textOptions } from './file-arguments.ts';
import type { FileHandle } from './file-handle.ts';
import { ReadStream, type ReadStreamOptions, WriteStream, type WriteStreamOptions } from './file-streams.ts';
import { credentialOf, processIdentity } from './identity.ts';
import { makeDirectories } from './make-directories.ts';
import type { Found, Nfs3Client } from './nfs3-client.ts';
import { parseOpenFlags } from './open-flags.ts';
import { demandAccess, openPath } from './open-path.ts';
import { Operation, type OperationOptions } from './operation.ts';
import { Operations } from './operations.ts';
import { type PathLike, pathBytes, pathText } from './path.ts';
import { removeEntry } from './remove-tree.ts';
import { Resolver } from './resolver.ts';
import type { RpcClientOptions } from './rpc-client.ts';
import { type BigIntStats, type StatFs, type Stats, statFsOf } from './stats.ts';
import type { PortRole } from './transport-address.ts';
import { type NfsUrl, parseNfsUrl } from './url.ts';
import { copyFile, piecesAt, writeWhole } from './whole-files.ts';

//   await using client = await FilerPairClient.connect('nfs://filer-a/home');
//   await client.writeFile('ada/notes.txt', 'kept, whatever happens\n');
//
// Nothing in here knows of failover: a call in progress when a server dies is answered by its partner.

/** NFS has no umask on its way: what is given is what the file gets. */
const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;

/**
 * One export of a FilerPair, with the methods of node:fs/promises. Paths are relative to the URL.
 *
 * Methods reject with a FilerPairError whose `code` is that of node:fs (`ENOENT`, ...), with a CallTimeout (`ETIMEDOUT`), an AbortError, or a
 * ClientClosed. Without a time limit a call waits through any outage.
 *
 * @see https://nodejs.org/docs/latest-v24.x/api/fs.html#promises-api
 */
export class FilerPairClient extends EventEmitter<ClientEvents> {
  readonly #operations = new Operations(this);
  readonly #session: ExportSession;
  readonly #paths: ExportPaths;
  #ended: Promise<void> | null = null;

  /** Connects to nothing yet: connect() does. Throws a TypeError (`ERR_INVALID_URL`) for a malformed URL. */
  constructor(url: string | NfsUrl, options: ClientOptions = {}) {
    super();
    const target = typeof url === 'string' ? parsed(url) : url;
    const given = options.identity ?? processIdentity();
    const { uid, gid, endpoints } = target;
    const rpcOptions: RpcClientOptions = {
      identity: new DiskSetIdentity(),
      clientIdentity: randomBytes(IDENTITY_SIZE),
      endpoints,
      resolver: options.resolver ?? new Resolver(),
      program: NFS_PROGRAM,
      version: NFS_V3,
      credential: credentialOf({ ...given, uid: uid ?? given.uid, gid: gid ?? given.gid }),
      attempts: options.attempts,
      callTimeoutMs: options.callTimeoutMs,
      onEvent: (event) => {
        emitSafely(this, 'connection', [event]);
        if (connectionChannel.hasSubscribers) connectionChannel.publish({ client: this, event });
      },
      isCallHeard: () => callChannel.hasSubscribers || this.listenerCount('call') > 0,
      onCall: (call) => {
        emitSafely(this, 'call', [call]);
        if (callChannel.hasSubscribers) callChannel.publish({ client: this, call });
      },
    };
    this.#session = new ExportSession(target, rpcOptions, this.#operations);
    this.#paths = new ExportPaths(this.#session, this.#operations);
  }

  /** A client that has mounted the export: `new` and connect() in one; the signal and timeoutMs are for that alone. */
  static async connect(
    url: string | NfsUrl,
    options: ClientOptions & OperationOptions = {},
  ): Promise<FilerPairClient> {
    const client = new FilerPairClient(url, options);
    await client.connect(options);
    return client;
  }

  /**
   * Mounts the export that holds the URL's path. Waits for a server, but not for a name that does not exist: after 3 s
   * it rejects with ENOTFOUND. Rejects with MountError if the server refuses.
   */
  connect(options: OperationOptions = {}): Promise<void> {
    return this.#session.connect(options);
  }

  /** Every NFSv3 procedure by file handle. */
  get nfs(): Nfs3Client {
    return this.#session.there.nfs;
  }

  /** The export's root. */
  get root(): nfs_fh3 {
    return this.#session.there.mounted.root;
  }

  /** The export's path on the server. */
  get exportPath(): string {
    return this.#session.there.mounted.exportPath;
  }

  /** The part of the URL's path below the export: where its user's file is. */
  get subPath(): string {
    return this.#session.there.mounted.subPath;
  }

  /** The port in use now; null while searching. */
  get port(): PortRole | null {
    return this.#session.port;
  }

  /**
   * Takes no operation any more, waits for those under way, makes durable what was written, and disconnects. With a
   * signal or a time-out that ends the wait, the client is destroyed.
   */
  close(options?: OperationOptions): Promise<void> {
    this.#operations.close();
    this.#ended ??= this.#session.drain(options).finally(() => this.destroy());
    return this.#ended;
  }

  /** Ends at once: what is under way rejects with `error`, by default ClientClosed, and may have been executed. */
  destroy(error?: Error): void {
    this.#operations.close();
    this.#ended ??= Promise.resolve();
    if (this.#session.disconnect(error)) emitSafely(this, 'close', []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** From now on the client keeps the process alive only while one of its calls waits for its reply. */
  unref(): this {
    this.#session.setRef(false);
    return this;
  }

  /** Undoes unref(). */
  ref(): this {
    this.#session.setRef(true);
    return this;
  }

  /** The NFS file handle and attributes of what is at a path, for `nfs`. `followLast`: not of a symbolic link there. */
  async lookup(
    path: PathLike,
    options: OperationOptions & { readonly followLast?: boolean } = {},
  ): Promise<Found> {
    return this.#paths.run('lookup', path, options, async (operation) => {
      const { handle, attributes } = await this.#paths.resolve(path, options.followLast ?? true, operation);
      return { handle, attributes };
    });
  }

  async access(path: PathLike, mode: number = constants.F_OK, options?: OperationOptions): Promise<void> {
    await this.#paths.run('access', path, options, async (operation) => {
      const { handle, attributes } = await this.#paths.resolve(path, true, operation);
      let wanted = 0;
      if (mode & constants.R_OK) wanted |= ACCESS3_READ;
      if (mode & constants.W_OK) wanted |= ACCESS3_MODIFY;
      if (mode & constants.X_OK) wanted |= attributes.type === NF3DIR ? ACCESS3_LOOKUP : ACCESS3_EXECUTE;
      if (wanted !== 0) await demandAccess(this.#session.there.access.nfs, handle, wanted, operation);
    });
  }

  async open(
    path: PathLike,
    flags: string | number = 'r',
    mode: number = FILE_MODE,
    options?: OperationOptions,
  ): Promise<FileHandle> {
    return this.#paths.run('open', path, options, (operation) =>
      openPath(this.#session.there, path, parseOpenFlags(flags), mode, operation),
    );
  }

  readFile(
    path: PathLike,
    options?: (OperationOptions & { readonly encoding?: null }) | null,
  ): Promise<Buffer>;
  readFile(
    path: PathLike,
    options: (OperationOptions & { readonly encoding: BufferEncoding }) | BufferEncoding,
  ): Promise<string>;
  async readFile(path: PathLike, options?: TextOptions): Promise<Buffer | string> {
    const { encoding, ...limits } = textOptions(options);
    const data = await this.#paths.run('open', path, limits, async (operation) => {
      const parts: Uint8Array[] = [];
      for await (const part of piecesAt(this.#session.there, path, 0, undefined, operation)) parts.push(part);
      return Buffer.concat(parts);
    });
    return encoding ? data.toString(encoding) : data;
  }

  /**
   * A file's data in order, several READs ahead. Leaving the loop, or return(), ends at once, also while nobody answers.
   * `start` and `end` are the first and the last byte.
   */
  read(
    path: PathLike,
    options: OperationOptions & { readonly start?: number; readonly end?: number } = {},
  ): AsyncGenerator<Uint8Array> {
    const { start = 0, end } = options;
    const context = { syscall: 'read', path: this.#paths.label(path) };
    this.#operations.admit(context);
    const length = end === undefined ? undefined : end + 1 - start;
    return cancellable(new Operation(context, options), (operation) =>
      this.#operations.each(context, piecesAt(this.#session.there, path, start, length, operation)),
    );
  }

  /** Replaces the file's contents; when this resolves, they are on the disk. The mode is for a file that is new. */
  async writeFile(path: PathLike, data: FileData, options: WriteFileOptions = {}): Promise<void> {
    const { encoding, mode, flag, ...limits } = typeof options === 'string' ? { encoding: options } : options;
    const flags = parseOpenFlags(flag ?? 'w');
    await this.#paths.run('open', path, limits, async (operation) => {
      const there = this.#session.there;
      const file = await openPath(there, path, flags, mode ?? FILE_MODE, operation);
      await writeWhole(file, data, encoding, operation);
    });
  }

  /** Several clients that append to one file at a time may lose data: NFSv3 has no append. */
  appendFile(path: PathLike, data: FileData, options: WriteFileOptions = {}): Promise<void> {
    const given = typeof options === 'string' ? { encoding: options } : options;
    return this.writeFile(path, data, { ...given, flag: given.flag ?? 'a' });
  }

  /** `mode`: fs.constants.COPYFILE_EXCL refuses to replace a file. */
  async copyFile(from: PathLike, to: PathLike, mode = 0, options?: OperationOptions): Promise<void> {
    const exclusive = (mode & constants.COPYFILE_EXCL) !== 0;
    await this.#paths.runTwo('copyfile', from, to, options, (operation) =>
      copyFile(this.#session.there, from, to, exclusive, operation),
    );
  }

  createReadStream(path: PathLike, options: ReadStreamOptions = {}): ReadStream {
    const { flags, mode, signal } = options;
    return new ReadStream(
      () => this.open(path, flags ?? 'r', mode, { signal }),
      this.#paths.label(path),
      options,
    );
  }

  /** 'finish' is emitted when everything is on the disk. */
  createWriteStream(path: PathLike, options: WriteStreamOptions = {}): WriteStream {
    const { flags, mode, signal } = options;
    return new WriteStream(
      () => this.open(path, flags ?? 'w', mode, { signal }),
      this.#paths.label(path),
      options,
    );
  }

  stat(path: PathLike, options?: OperationOptions & { readonly bigint?: false }): Promise<Stats>;
  stat(path: PathLike, options: OperationOptions & { readonly bigint: true }): Promise<BigIntStats>;
  async stat(path: PathLike, options: BigIntOption = {}): Promise<Stats | BigIntStats> {
    return this.#paths.statsOf(
      await this.#paths.run('stat', path, options, (op) => this.#paths.attributes(path, true, op)),
      options,
    );
  }

  lstat(path: PathLike, options?: OperationOptions & { readonly bigint?: false }): Promise<Stats>;
  lstat(path: PathLike, options: OperationOptions & { readonly bigint: true }): Promise<BigIntStats>;
  /** Like stat, but of a symbolic link itself. */
  async lstat(path: PathLike, options: BigIntOption = {}): Promise<Stats | BigIntStats> {
    return this.#paths.statsOf(
      await this.#paths.run('lstat', path, options, (op) => this.#paths.attributes(path, false, op)),
      options,
    );
  }

  /** Space and files of the volume that holds the path. */
  async statfs(path: PathLike = '', options?: OperationOptions): Promise<StatFs> {
    const found = await this.#paths.run('statfs', path, options, async (operation) => {
      const { handle } = await this.#paths.resolve(path, true, operation);
      return this.#session.there.access.nfs.fsstat(handle, operation);
    });
    return statFsOf(found);
  }

  readdir(
    path: PathLike,
    options?:
      | (ReaddirOptions & { encoding?: BufferEncoding | null; withFileTypes?: false })
      | BufferEncoding
      | null,
  ): Promise<string[]>;
  readdir(
    path: PathLike,
    options: (ReaddirOptions & { encoding: 'buffer'; withFileTypes?: false }) | 'buffer',
  ): Promise<Buffer[]>;
  readdir(
    path: PathLike,
    options: ReaddirOptions & { encoding?: BufferEncoding | null; withFileTypes: true },
  ): Promise<Dirent[]>;
  readdir(
    path: PathLike,
    options: ReaddirOptions & { encoding: 'buffer'; withFileTypes: true },
  ): Promise<Dirent<Buffer>[]>;
  async readdir(
    path: PathLike,
    options: ReaddirOptions | NameEncoding = {},
  ): Promise<(string | Buffer)[] | Dirent<string | Buffer>[]> {
    const { encoding, withFileTypes, recursive, ...limits } =
      typeof options === 'string' || options === null ? { encoding: options } : options;
    return this.#paths.run('scandir', path, limits, async (operation) => {
      const { handle } = await this.#paths.resolve(path, true, operation);
      if (withFileTypes === true || recursive === true) {
        const directory = this.#paths.listed(path, handle);
        const found = await listEntries(directory, encoding ?? null, recursive === true, operation);
        return withFileTypes === true ? found.map((each) => each.dirent) : found.map((each) => each.path);
      }
      const { nfs, sizes } = this.#session.there.access;
      const names: (string | Buffer)[] = [];
      for await (const entry of nfs.entries(handle, sizes.listingSize, operation)) {
        names.push(encodedName(entry.nameBytes, encoding));
      }
      return names;
    });
  }

  opendir(
    path: PathLike,
    options?: OperationOptions & { readonly encoding?: BufferEncoding | null },
  ): Promise<Dir>;
  opendir(path: PathLike, options: OperationOptions & { readonly encoding: 'buffer' }): Promise<Dir<Buffer>>;
  /** A directory entry by entry, each with its attributes. The signal holds for all of the reading. */
  async opendir(
    path: PathLike,
    options: OperationOptions & { readonly encoding?: NameEncoding } = {},
  ): Promise<Dir<string | Buffer>> {
    const { encoding, ...limits } = options;
    const { handle, attributes } = await this.#paths.run('opendir', path, limits, (operation) =>
      this.#paths.resolve(path, true, operation),
    );
    const label = this.#paths.label(path);
    if (attributes.type !== NF3DIR) {
      throw new FilerPairError('ENOTDIR', reasonOf('ENOTDIR'), { syscall: 'opendir', path: label });
    }
    return new Dir(this.#paths.listed(path, handle), this.#operations, encoding ?? null, limits);
  }

  /** Resolves with the path of the first directory that was made if `recursive`, undefined if none was. */
  async mkdir(path: PathLike, options: MkdirOptions | number = {}): Promise<string | undefined> {
    const {
      mode = DIRECTORY_MODE,
      recursive,
      ...limits
    } = typeof options === 'number' ? { mode: options } : options;
    return this.#paths.run('mkdir', path, limits, async (operation) => {
      if (recursive === true) return makeDirectories(this.#session.there, path, mode, operation);
      const { dir, name } = await this.#paths.locate(path, 'EEXIST', operation);
      await this.#session.there.access.nfs.mkdir(dir, name, { mode }, operation);
      return undefined;
    });
  }

  /** A directory with a name that nobody else has: six characters behind the prefix. */
  async mkdtemp(prefix: string, options?: OperationOptions): Promise<string> {
    for (;;) {
      const path = `${prefix}${randomBytes(6).toString('base64url').slice(0, 6)}`;
      try {
        await this.mkdir(path, { mode: 0o700, ...options });
        return path;
      } catch (error) {
        if (!hasCode(error, 'EEXIST')) throw error;
      }
    }
  }

  async unlink(path: PathLike, options?: OperationOptions): Promise<void> {
    await this.#paths.run('unlink', path, options, async (operation) => {
      const { dir, name } = await this.#paths.locate(path, 'EISDIR', operation);
      await this.#session.there.access.nfs.remove(dir, name, operation);
    });
  }

  async rmdir(path: PathLike, options?: OperationOptions): Promise<void> {
    await this.#paths.run('rmdir', path, options, async (operation) => {
      const { dir, name } = await this.#paths.locate(path, 'EBUSY', operation);
      await this.#session.there.access.nfs.rmdir(dir, name, operation);
    });
  }

  /** Removes files, and directories if `recursive`; follows no symbolic link. */
  async rm(path: PathLike, options: RmOptions = {}): Promise<void> {
    const { force, recursive, ...limits } = options;
    await this.#paths.run('rm', path, limits, async (operation) => {
      const { access } = this.#session.there;
      try {
        const { dir, name } = await this.#paths.locate(path, 'EBUSY', operation);
        await removeEntry(access, dir, name, recursive === true, operation);
      } catch (error) {
        if (force !== true || !hasCode(error, 'ENOENT')) throw error;
      }
    });
  }

  async rename(from: PathLike, to: PathLike, options?: OperationOptions): Promise<void> {
    await this.#paths.runTwo('rename', from, to, options, async (operation) => {
      const source = await this.#paths.locate(from, 'EBUSY', operation);
      const target = await this.#paths.locate(to, 'EBUSY', operation);
      const { nfs } = this.#session.there.access;
      await nfs.rename(source.dir, source.name, target.dir, target.name, operation);
    });
  }

  /** A second name for a file. */
  async link(existing: PathLike, path: PathLike, options?: OperationOptions): Promise<void> {
    await this.#paths.runTwo('link', existing, path, options, async (operation) => {
      const { handle } = await this.#paths.resolve(existing, false, operation);
      const { dir, name } = await this.#paths.locate(path, 'EEXIST', operation);
      await this.#session.there.access.nfs.link(handle, dir, name, operation);
    });
  }

  /** `target` is kept as it is given; an absolute one means a path on the server. */
  async symlink(target: PathLike, path: PathLike, options?: OperationOptions): Promise<void> {
    const text = typeof target === 'string' ? target : Buffer.from(target).toString('utf8');
    const context = { syscall: 'symlink', path: text, dest: this.#paths.label(path) };
    await this.#operations.run(context, options, async (operation) => {
      const { dir, name } = await this.#paths.locate(path, 'EEXIST', operation);
      await this.#session.there.access.nfs.symlink(dir, name, target, operation);
    });
  }

  readlink(
    path: PathLike,
    options?: (OperationOptions & { readonly encoding?: BufferEncoding | null }) | BufferEncoding | null,
  ): Promise<string>;
  readlink(
    path: PathLike,
    options: (OperationOptions & { readonly encoding: 'buffer' }) | 'buffer',
  ): Promise<Buffer>;
  async readlink(path: PathLike, options?: NameOptions): Promise<string | Buffer> {
    const { encoding, ...limits } = nameOptions(options);
    return this.#paths.run('readlink', path, limits, async (operation) => {
      const { handle, attributes } = await this.#paths.resolve(path, false, operation);
      if (attributes.type !== NF3LNK) throw new FilerPairError('EINVAL', 'no symbolic link', operation);
      return encodedName(await this.#session.there.access.nfs.readlink(handle, operation), encoding);
    });
  }

  realpath(
    path: PathLike,
    options?: (OperationOptions & { readonly encoding?: BufferEncoding | null }) | BufferEncoding | null,
  ): Promise<string>;
  realpath(
    path: PathLike,
    options: (OperationOptions & { readonly encoding: 'buffer' }) | 'buffer',
  ): Promise<Buffer>;
  /** The path below the export, without symbolic links and `..`. */
  async realpath(path: PathLike, options?: NameOptions): Promise<string | Buffer> {
    const { encoding, ...limits } = nameOptions(options);
    const names = await this.#paths.run('realpath', path, limits, async (operation) => {
      return (await this.#paths.resolve(path, true, operation)).names;
    });
    return encoding === 'buffer'
      ? Buffer.concat([Buffer.from('/'), pathBytes(names)])
      : `/${pathText(names)}`;
  }

  async truncate(path: PathLike, size = 0, options?: OperationOptions): Promise<void> {
    await this.#paths.change('truncate', path, true, { size }, options);
  }

  async chmod(path: PathLike, mode: number, options?: OperationOptions): Promise<void> {
    await this.#paths.change('chmod', path, true, { mode: mode & 0o7777 }, options);
  }

  /** -1 leaves user or group as they are. */
  async chown(path: PathLike, uid: number, gid: number, options?: OperationOptions): Promise<void> {
    await this.#paths.change('chown', path, true, owner(uid, gid), options);
  }

  async lchown(path: PathLike, uid: number, gid: number, options?: OperationOptions): Promise<void> {
    await this.#paths.change('lchown', path, false, owner(uid, gid), options);
  }

  async utimes(path: PathLike, atime: Time, mtime: Time, options?: OperationOptions): Promise<void> {
    await this.#paths.change('utime', path, true, { atime: setTime(atime), mtime: setTime(mtime) }, options);
  }

  async lutimes(path: PathLike, atime: Time, mtime: Time, options?: OperationOptions): Promise<void> {
    await this.#paths.change(
      'lutime',
      path,
      false,
      { atime: setTime(atime), mtime: setTime(mtime) },
      options,
    );
  }
}

function parsed(text: string): NfsUrl {
  const result = parseNfsUrl(text);
  if (!result.ok) throw new TypeErrorWithCode('ERR_INVALID_URL', result.reason);
  return result.url;
}
