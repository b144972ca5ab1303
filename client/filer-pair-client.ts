/**
 * The library's front door: an export of one server of a pair, used by path as node:fs/promises uses a file system, wherever it
 * is served now.
 */
import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { constants } from 'node:fs';
import {
  ACCESS3_EXECUTE,
  ACCESS3_EXTEND,
  ACCESS3_LOOKUP,
  ACCESS3_MODIFY,
  ACCESS3_READ,
  type fattr3,
  NF3DIR,
  NF3LNK,
  NFS_PROGRAM,
  NFS_V3,
  NFS3ERR_ACCES,
  type nfs_fh3,
} from '../protocol/nfs3.ts';
import { IDENTITY_SIZE } from '../protocol/succession.ts';
import type { AttemptsOptions } from './attempts-state.ts';
import { cancellable } from './cancellable.ts';
import { type ClientEvents, callChannel, connectionChannel, emitSafely } from './client-events.ts';
import { Dir, type Dirent, direntsOf, encodedName, type NameEncoding } from './directory.ts';
import { DiskSetIdentity } from './disk-set-identity.ts';
import { FilerPairError, hasCode, NfsError, reasonOf, TypeErrorWithCode } from './errors.ts';
import {
  type FileAccess,
  type FileData,
  FileHandle,
  owner,
  piecesOf,
  setTime,
  type TextOptions,
  type Time,
  textOptions,
} from './file-handle.ts';
import { readRange } from './file-reader.ts';
import { ReadStream, type ReadStreamOptions, WriteStream, type WriteStreamOptions } from './file-streams.ts';
import { credentialOf, type Identity, processIdentity } from './identity.ts';
import { ioSizes, type Mounted, mount } from './mount.ts';
import { type Attributes, type Found, Nfs3Client } from './nfs3-client.ts';
import { OpenFiles } from './open-files.ts';
import { type OpenFlags, parseOpenFlags } from './open-flags.ts';
import { Operation, type OperationOptions } from './operation.ts';
import { Operations } from './operations.ts';
import { namesIn, type PathLike, pathBytes, pathText } from './path.ts';
import { type Located, PathWalk, type Resolved } from './path-walk.ts';
import { removeTree } from './remove-tree.ts';
import { Resolver } from './resolver.ts';
import { RpcClient, type RpcClientOptions } from './rpc-client.ts';
import { BigIntStats, type StatFs, Stats } from './stats.ts';
import type { PortRole } from './transport-address.ts';
import { type NfsUrl, parseNfsUrl } from './url.ts';

//   await using client = await FilerPairClient.connect('nfs://filer-a/home');
//   await client.writeFile('ada/notes.txt', 'kept, whatever happens\n');
//
// Nothing in here knows of failover: a call in progress when a server dies is answered by its partner.

/** Options of a FilerPairClient. */
export interface ClientOptions {
  /** Default: the user of this process. */
  readonly identity?: Identity | undefined;
  /** Longest wait for one reply, in ms. Default: any outage is waited through, like a hard mount. */
  readonly callTimeoutMs?: number | undefined;
  /** Looks up names; default: the hosts file and DNS of this system. */
  readonly resolver?: Resolver | undefined;
  /** Changes of the search for the serving port. */
  readonly attempts?: Partial<AttemptsOptions> | undefined;
}

export interface BigIntOption extends OperationOptions {
  readonly bigint?: boolean | undefined;
}

/**
 * Options of readdir() and opendir().
 *
 * @see https://nodejs.org/docs/latest-v24.x/api/fs.html#fspromisesreaddirpath-options
 */
export interface ReaddirOptions extends OperationOptions {
  readonly encoding?: NameEncoding | undefined;
  readonly withFileTypes?: boolean | undefined;
  readonly recursive?: boolean | undefined;
}

/**
 * Options of mkdir().
 *
 * @see https://nodejs.org/docs/latest-v24.x/api/fs.html#fspromisesmkdirpath-options
 */
export interface MkdirOptions extends OperationOptions {
  readonly mode?: number | undefined;
  /** Missing parents too; what is there already is no error. */
  readonly recursive?: boolean | undefined;
}

/** Options of rm(). */
export interface RmOptions extends OperationOptions {
  /** What is not there is no error. */
  readonly force?: boolean | undefined;
  /** Directories with all that they hold. */
  readonly recursive?: boolean | undefined;
}

/**
 * Options of writeFile() and appendFile(), or an encoding.
 *
 * @see https://nodejs.org/docs/latest-v24.x/api/fs.html#fspromiseswritefilefile-data-options
 */
export type WriteFileOptions =
  | (OperationOptions & {
      readonly encoding?: BufferEncoding | null | undefined;
      readonly mode?: number | undefined;
      readonly flag?: string | number | undefined;
    })
  | BufferEncoding;

export type NameOptions = (OperationOptions & { readonly encoding?: NameEncoding }) | NameEncoding;

/** NFS has no umask on its way: what is given is what the file gets. */
const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;

/** A name that has no address after this time is not going to have one soon, in ms. */
const NAME_UNKNOWN_MS = 3000;
/** Somebody else may remove what open() has just found, and create it again. */
const OPEN_ATTEMPTS_MAX = 10;

interface Connected {
  readonly mounted: Mounted;
  /** Every procedure, for those outside. */
  readonly nfs: Nfs3Client;
  readonly walk: PathWalk;
  readonly access: FileAccess;
}

/**
 * One export of a FilerPair, with the methods of node:fs/promises. Paths are relative to the URL.
 *
 * Methods reject with a FilerPairError whose `code` is that of node:fs (`ENOENT`, ...), with a CallTimeout (`ETIMEDOUT`), an AbortError, or a
 * ClientClosed. Without a time limit a call waits through any outage.
 *
 * @see https://nodejs.org/docs/latest-v24.x/api/fs.html#promises-api
 */
export class FilerPairClient extends EventEmitter<ClientEvents> {
  readonly #target: NfsUrl;
  readonly #identity: Identity;
  readonly #rpcOptions: RpcClientOptions;
  readonly #operations = new Operations(this);
  #rpc: RpcClient | null = null;
  #connecting: Promise<void> | null = null;
  #connected: Connected | null = null;
  #ended: Promise<void> | null = null;
  #isRef = true;

  /** Connects to nothing yet: connect() does. Throws a TypeError (`ERR_INVALID_URL`) for a malformed URL. */
  constructor(url: string | NfsUrl, options: ClientOptions = {}) {
    super();
    this.#target = typeof url === 'string' ? parsed(url) : url;
    const given = options.identity ?? processIdentity();
    const { uid, gid, endpoints } = this.#target;
    this.#identity = { ...given, uid: uid ?? given.uid, gid: gid ?? given.gid };
    this.#rpcOptions = {
      identity: new DiskSetIdentity(),
      clientIdentity: randomBytes(IDENTITY_SIZE),
      endpoints,
      resolver: options.resolver ?? new Resolver(),
      program: NFS_PROGRAM,
      version: NFS_V3,
      credential: credentialOf(this.#identity),
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
    this.#connecting ??= this.#mount(options).catch((error: unknown) => {
      this.#connecting = null;
      throw error;
    });
    return this.#connecting;
  }

  /** Every NFSv3 procedure by file handle. */
  get nfs(): Nfs3Client {
    return this.#there.nfs;
  }

  /** The export's root. */
  get root(): nfs_fh3 {
    return this.#there.mounted.root;
  }

  /** The export's path on the server. */
  get exportPath(): string {
    return this.#there.mounted.exportPath;
  }

  /** The part of the URL's path below the export: where its user's file is. */
  get subPath(): string {
    return this.#there.mounted.subPath;
  }

  /** The port in use now; null while searching. */
  get port(): PortRole | null {
    return this.#rpc?.port ?? null;
  }

  /**
   * Takes no operation any more, waits for those under way, makes durable what was written, and disconnects. With a
   * signal or a time-out that ends the wait, the client is destroyed.
   */
  close(options?: OperationOptions): Promise<void> {
    this.#ended ??= this.#drain(options);
    return this.#ended;
  }

  /** Ends at once: what is under way rejects with `error`, by default ClientClosed, and may have been executed. */
  destroy(error?: Error): void {
    this.#operations.close();
    this.#ended ??= Promise.resolve();
    if (this.#rpc === null) return;
    this.#rpc.close(error);
    this.#rpc = null;
    emitSafely(this, 'close', []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** From now on the client keeps the process alive only while one of its calls waits for its reply. */
  unref(): this {
    this.#isRef = false;
    this.#rpc?.setRef(false);
    return this;
  }

  /** Undoes unref(). */
  ref(): this {
    this.#isRef = true;
    this.#rpc?.setRef(true);
    return this;
  }

  /** The NFS file handle and attributes of what is at a path, for `nfs`. `followLast`: not of a symbolic link there. */
  async lookup(
    path: PathLike,
    options: OperationOptions & { readonly followLast?: boolean } = {},
  ): Promise<Found> {
    return this.#run('lookup', path, options, async (operation) => {
      const { handle, attributes } = await this.#resolve(path, options.followLast ?? true, operation);
      return { handle, attributes };
    });
  }

  async access(path: PathLike, mode: number = constants.F_OK, options?: OperationOptions): Promise<void> {
    await this.#run('access', path, options, async (operation) => {
      const { handle, attributes } = await this.#resolve(path, true, operation);
      let wanted = 0;
      if (mode & constants.R_OK) wanted |= ACCESS3_READ;
      if (mode & constants.W_OK) wanted |= ACCESS3_MODIFY;
      if (mode & constants.X_OK) wanted |= attributes.type === NF3DIR ? ACCESS3_LOOKUP : ACCESS3_EXECUTE;
      if (wanted !== 0) await this.#demand(handle, wanted, operation);
    });
  }

  async open(
    path: PathLike,
    flags: string | number = 'r',
    mode: number = FILE_MODE,
    options?: OperationOptions,
  ): Promise<FileHandle> {
    return this.#run('open', path, options, (operation) =>
      this.#openFile(path, parseOpenFlags(flags), mode, operation),
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
    const data = await this.#run('open', path, limits, async (operation) => {
      const parts: Uint8Array[] = [];
      for await (const part of this.#piecesOf(path, 0, undefined, operation)) parts.push(part);
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
    const context = { syscall: 'read', path: this.#label(path) };
    this.#operations.admit(context);
    const length = end === undefined ? undefined : end + 1 - start;
    return cancellable(new Operation(context, options), (operation) =>
      this.#operations.each(context, this.#piecesOf(path, start, length, operation)),
    );
  }

  /** Replaces the file's contents; when this resolves, they are on the disk. The mode is for a file that is new. */
  async writeFile(path: PathLike, data: FileData, options: WriteFileOptions = {}): Promise<void> {
    const { encoding, mode, flag, ...limits } = typeof options === 'string' ? { encoding: options } : options;
    const flags = parseOpenFlags(flag ?? 'w');
    await this.#run('open', path, limits, async (operation) => {
      const file = await this.#openFile(path, flags, mode ?? FILE_MODE, operation);
      try {
        // Only what ends by itself is known not to need its bytes any more.
        const unlimited = operation.signal === undefined && operation.timeoutMs === Number.POSITIVE_INFINITY;
        const whole = typeof data === 'string' || ArrayBuffer.isView(data);
        let position = 0;
        for await (const piece of piecesOf(data, encoding)) {
          operation.throwIfOver();
          const owned = typeof data === 'string' || (whole && unlimited);
          await file.put(piece, position, operation, owned);
          position += piece.length;
        }
        await file.commit(operation);
      } finally {
        file.release();
      }
    });
  }

  /** Several clients that append to one file at a time may lose data: NFSv3 has no append. */
  appendFile(path: PathLike, data: FileData, options: WriteFileOptions = {}): Promise<void> {
    const given = typeof options === 'string' ? { encoding: options } : options;
    return this.writeFile(path, data, { ...given, flag: given.flag ?? 'a' });
  }

  /** `mode`: fs.constants.COPYFILE_EXCL refuses to replace a file. */
  async copyFile(from: PathLike, to: PathLike, mode = 0, options?: OperationOptions): Promise<void> {
    const context = { syscall: 'copyfile', path: this.#label(from), dest: this.#label(to) };
    await this.#operations.run(context, options, async (operation) => {
      const { handle, attributes } = await this.#resolve(from, true, operation);
      if (attributes.type === NF3DIR) throw new FilerPairError('EISDIR', reasonOf('EISDIR'), operation);
      const flags = parseOpenFlags(mode & constants.COPYFILE_EXCL ? 'wx' : 'a');
      const file = await this.#openFile(to, { ...flags, append: false }, attributes.mode & 0o777, operation);
      try {
        if (Buffer.compare(file.nfsHandle, handle) === 0) return;
        await file.clear(operation);
        let position = 0;
        for await (const piece of this.#range(handle, 0, undefined, operation)) {
          await file.put(piece, position, operation, true);
          position += piece.length;
        }
        await file.commit(operation);
      } finally {
        file.release();
      }
    });
  }

  createReadStream(path: PathLike, options: ReadStreamOptions = {}): ReadStream {
    const { flags, mode, signal } = options;
    return new ReadStream(() => this.open(path, flags ?? 'r', mode, { signal }), this.#label(path), options);
  }

  /** 'finish' is emitted when everything is on the disk. */
  createWriteStream(path: PathLike, options: WriteStreamOptions = {}): WriteStream {
    const { flags, mode, signal } = options;
    return new WriteStream(() => this.open(path, flags ?? 'w', mode, { signal }), this.#label(path), options);
  }

  stat(path: PathLike, options?: OperationOptions & { readonly bigint?: false }): Promise<Stats>;
  stat(path: PathLike, options: OperationOptions & { readonly bigint: true }): Promise<BigIntStats>;
  async stat(path: PathLike, options: BigIntOption = {}): Promise<Stats | BigIntStats> {
    return this.#statsOf(
      await this.#run('stat', path, options, (op) => this.#attributes(path, true, op)),
      options,
    );
  }

  lstat(path: PathLike, options?: OperationOptions & { readonly bigint?: false }): Promise<Stats>;
  lstat(path: PathLike, options: OperationOptions & { readonly bigint: true }): Promise<BigIntStats>;
  /** Like stat, but of a symbolic link itself. */
  async lstat(path: PathLike, options: BigIntOption = {}): Promise<Stats | BigIntStats> {
    return this.#statsOf(
      await this.#run('lstat', path, options, (op) => this.#attributes(path, false, op)),
      options,
    );
  }

  /** Space and files of the volume that holds the path. */
  async statfs(path: PathLike = '', options?: OperationOptions): Promise<StatFs> {
    const found = await this.#run('statfs', path, options, async (operation) => {
      const { handle } = await this.#resolve(path, true, operation);
      return this.#there.access.nfs.fsstat(handle, operation);
    });
    const bsize = 4096;
    const blocks = (bytes: number) => Math.floor(bytes / bsize);
    const [bfree, bavail] = [blocks(found.fbytes), blocks(found.abytes)];
    const { tfiles: files, ffiles: ffree } = found;
    return { type: 0x6969, bsize, blocks: blocks(found.tbytes), bfree, bavail, files, ffree };
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
    return this.#run('scandir', path, limits, async (operation) => {
      const { handle } = await this.#resolve(path, true, operation);
      if (withFileTypes === true || recursive === true) {
        const found = await this.#list(
          handle,
          this.#label(path),
          encoding ?? null,
          recursive === true,
          operation,
        );
        return withFileTypes === true ? found.map((each) => each.dirent) : found.map((each) => each.path);
      }
      const { nfs, sizes } = this.#there.access;
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
    const { handle, attributes } = await this.#run('opendir', path, limits, (operation) =>
      this.#resolve(path, true, operation),
    );
    const label = this.#label(path);
    if (attributes.type !== NF3DIR) {
      throw new FilerPairError('ENOTDIR', reasonOf('ENOTDIR'), { syscall: 'opendir', path: label });
    }
    const { nfs, sizes } = this.#there.access;
    const directory = { nfs, handle, path: label, listingSize: sizes.listingSize };
    return new Dir(directory, this.#operations, encoding ?? null, limits);
  }

  /** Resolves with the path of the first directory that was made if `recursive`, undefined if none was. */
  async mkdir(path: PathLike, options: MkdirOptions | number = {}): Promise<string | undefined> {
    const {
      mode = DIRECTORY_MODE,
      recursive,
      ...limits
    } = typeof options === 'number' ? { mode: options } : options;
    return this.#run('mkdir', path, limits, async (operation) => {
      if (recursive === true) return this.#makeDirectories(path, mode, operation);
      const { dir, name } = await this.#locate(path, 'EEXIST', operation);
      await this.#there.access.nfs.mkdir(dir, name, { mode }, operation);
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
    await this.#run('unlink', path, options, async (operation) => {
      const { dir, name } = await this.#locate(path, 'EISDIR', operation);
      await this.#there.access.nfs.remove(dir, name, operation);
    });
  }

  async rmdir(path: PathLike, options?: OperationOptions): Promise<void> {
    await this.#run('rmdir', path, options, async (operation) => {
      const { dir, name } = await this.#locate(path, 'EBUSY', operation);
      await this.#there.access.nfs.rmdir(dir, name, operation);
    });
  }

  /** Removes files, and directories if `recursive`; follows no symbolic link. */
  async rm(path: PathLike, options: RmOptions = {}): Promise<void> {
    const { force, recursive, ...limits } = options;
    await this.#run('rm', path, limits, async (operation) => {
      const { nfs, sizes } = this.#there.access;
      try {
        const { dir, name } = await this.#locate(path, 'EBUSY', operation);
        const found = await nfs.lookup(dir, name, operation);
        if (found.attributes.type !== NF3DIR) await nfs.remove(dir, name, operation);
        else if (recursive === true)
          await removeTree(nfs, { dir, name, handle: found.handle }, sizes, operation);
        else throw new FilerPairError('ERR_FS_EISDIR', 'is a directory: remove it with recursive', operation);
      } catch (error) {
        if (force !== true || !hasCode(error, 'ENOENT')) throw error;
      }
    });
  }

  async rename(from: PathLike, to: PathLike, options?: OperationOptions): Promise<void> {
    await this.#runTwo('rename', from, to, options, async (operation) => {
      const source = await this.#locate(from, 'EBUSY', operation);
      const target = await this.#locate(to, 'EBUSY', operation);
      const { nfs } = this.#there.access;
      await nfs.rename(source.dir, source.name, target.dir, target.name, operation);
    });
  }

  /** A second name for a file. */
  async link(existing: PathLike, path: PathLike, options?: OperationOptions): Promise<void> {
    await this.#runTwo('link', existing, path, options, async (operation) => {
      const { handle } = await this.#resolve(existing, false, operation);
      const { dir, name } = await this.#locate(path, 'EEXIST', operation);
      await this.#there.access.nfs.link(handle, dir, name, operation);
    });
  }

  /** `target` is kept as it is given; an absolute one means a path on the server. */
  async symlink(target: PathLike, path: PathLike, options?: OperationOptions): Promise<void> {
    const text = typeof target === 'string' ? target : Buffer.from(target).toString('utf8');
    const context = { syscall: 'symlink', path: text, dest: this.#label(path) };
    await this.#operations.run(context, options, async (operation) => {
      const { dir, name } = await this.#locate(path, 'EEXIST', operation);
      await this.#there.access.nfs.symlink(dir, name, target, operation);
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
    return this.#run('readlink', path, limits, async (operation) => {
      const { handle, attributes } = await this.#resolve(path, false, operation);
      if (attributes.type !== NF3LNK) throw new FilerPairError('EINVAL', 'no symbolic link', operation);
      return encodedName(await this.#there.access.nfs.readlink(handle, operation), encoding);
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
    const names = await this.#run('realpath', path, limits, async (operation) => {
      return (await this.#resolve(path, true, operation)).names;
    });
    return encoding === 'buffer'
      ? Buffer.concat([Buffer.from('/'), pathBytes(names)])
      : `/${pathText(names)}`;
  }

  async truncate(path: PathLike, size = 0, options?: OperationOptions): Promise<void> {
    await this.#change('truncate', path, true, { size }, options);
  }

  async chmod(path: PathLike, mode: number, options?: OperationOptions): Promise<void> {
    await this.#change('chmod', path, true, { mode: mode & 0o7777 }, options);
  }

  /** -1 leaves user or group as they are. */
  async chown(path: PathLike, uid: number, gid: number, options?: OperationOptions): Promise<void> {
    await this.#change('chown', path, true, owner(uid, gid), options);
  }

  async lchown(path: PathLike, uid: number, gid: number, options?: OperationOptions): Promise<void> {
    await this.#change('lchown', path, false, owner(uid, gid), options);
  }

  async utimes(path: PathLike, atime: Time, mtime: Time, options?: OperationOptions): Promise<void> {
    await this.#change('utime', path, true, { atime: setTime(atime), mtime: setTime(mtime) }, options);
  }

  async lutimes(path: PathLike, atime: Time, mtime: Time, options?: OperationOptions): Promise<void> {
    await this.#change('lutime', path, false, { atime: setTime(atime), mtime: setTime(mtime) }, options);
  }

  async #mount(options: OperationOptions): Promise<void> {
    const { path } = this.#target;
    await this.#operations.run({ syscall: 'mount', path }, options, async (operation) => {
      const rpc = new RpcClient(this.#rpcOptions);
      this.#rpc = rpc;
      if (!this.#isRef) rpc.setRef(false);
      const unknown = this.#watchName(rpc);
      try {
        const mounted = await mount(this.#target, rpc, this.#rpcOptions, operation);
        this.#rpcOptions.identity!.mounted(mounted.root, this.#rpcOptions.credential);
        const nfs = new Nfs3Client(rpc);
        const sizes = await ioSizes(nfs, mounted.root, operation);
        const files = new OpenFiles(nfs, sizes.writeSize);
        this.#connected = {
          mounted,
          nfs: new Nfs3Client(rpc, () => this.#operations.admit()),
          walk: new PathWalk(nfs, mounted.root, mounted.exportPath),
          access: { nfs, files, operations: this.#operations, sizes },
        };
      } catch (error) {
        rpc.close();
        if (this.#rpc === rpc) this.#rpc = null;
        throw error;
      } finally {
        clearInterval(unknown);
      }
    });
  }

  /** Ends the calls of connect() when there is nobody who could ever answer them. */
  #watchName(rpc: RpcClient): NodeJS.Timeout {
    const sinceMs = performance.now();
    return setInterval(() => {
      if (!rpc.isNameUnknown || performance.now() - sinceMs < NAME_UNKNOWN_MS) return;
      const context = { syscall: 'getaddrinfo', path: this.#target.path };
      rpc.close(new FilerPairError('ENOTFOUND', rpc.describeFailure(), context));
    }, 250);
  }

  async #drain(options: OperationOptions | undefined): Promise<void> {
    this.#operations.close();
    const work = async () => {
      await this.#operations.idle();
      await this.#connected?.access.files.settleAll();
      await this.#rpc?.idle();
    };
    const operation = new Operation({ syscall: 'close', path: this.#target.path }, options);
    try {
      operation.throwIfOver();
      // Who has not connected yet waits for nothing but a server.
      if (this.#connected !== null) await operation.within(work());
    } finally {
      this.destroy();
    }
  }

  get #there(): Connected {
    if (this.#connected !== null) return this.#connected;
    throw new FilerPairError('ENOTCONN', 'connect() has not mounted the export yet');
  }

  #run<T>(
    syscall: string,
    path: PathLike,
    options: OperationOptions | undefined,
    work: (operation: Operation) => Promise<T>,
  ): Promise<T> {
    return this.#operations.run({ syscall, path: this.#label(path) }, options, work);
  }

  #runTwo<T>(
    syscall: string,
    path: PathLike,
    dest: PathLike,
    options: OperationOptions | undefined,
    work: (operation: Operation) => Promise<T>,
  ): Promise<T> {
    return this.#operations.run({ syscall, path: this.#label(path), dest: this.#label(dest) }, options, work);
  }

  /** A path as it is on the server. */
  #label(path: PathLike): string {
    return this.#there.walk.label(path);
  }

  #resolve(path: PathLike, followLast: boolean, operation: Operation): Promise<Resolved> {
    return this.#there.walk.resolve(path, followLast, operation);
  }

  #locate(path: PathLike, atRoot: string, operation: Operation): Promise<Located> {
    return this.#there.walk.locate(path, atRoot, operation);
  }

  async #attributes(path: PathLike, followLast: boolean, operation: Operation): Promise<fattr3> {
    const { handle, attributes } = await this.#resolve(path, followLast, operation);
    const { nfs, files } = this.#there.access;
    return (await files.settle(handle, operation)) ? nfs.getattr(handle, operation) : attributes;
  }

  #statsOf(attributes: fattr3, { bigint }: BigIntOption): Stats | BigIntStats {
    const { readSize } = this.#there.access.sizes;
    return bigint === true ? new BigIntStats(attributes, readSize) : new Stats(attributes, readSize);
  }

  async #change(
    syscall: string,
    path: PathLike,
    followLast: boolean,
    attributes: Attributes,
    options: OperationOptions | undefined,
  ): Promise<void> {
    await this.#run(syscall, path, options, async (operation) => {
      const { handle } = await this.#resolve(path, followLast, operation);
      const { nfs, files } = this.#there.access;
      // What is written again later would undo a new size or time.
      await files.settle(handle, operation);
      await nfs.setattr(handle, attributes, null, operation);
    });
  }

  async #demand(handle: nfs_fh3, wanted: number, operation: Operation): Promise<void> {
    const granted = await this.#there.access.nfs.access(handle, wanted, operation);
    if ((granted & wanted) !== wanted) throw new NfsError(NFS3ERR_ACCES, 'ACCESS', operation);
  }

  async #openFile(path: PathLike, flags: OpenFlags, mode: number, operation: Operation): Promise<FileHandle> {
    const { handle, isNew } = await this.#findOrCreate(path, flags, mode & 0o7777, operation);
    const { access } = this.#there;
    const opened = await access.files.open(handle, this.#label(path));
    const file = new FileHandle(access, opened, flags, this.#label(path));
    try {
      if (flags.truncate && !isNew) await file.clear(operation);
      return file;
    } catch (error) {
      file.release();
      throw error;
    }
  }

  async #findOrCreate(path: PathLike, flags: OpenFlags, mode: number, operation: Operation) {
    if (!flags.create) return { handle: await this.#openExisting(path, flags, operation), isNew: false };
    if (namesIn(path).length === 0) throw new FilerPairError('EISDIR', reasonOf('EISDIR'), operation);
    for (let attempt = 1; ; attempt++) {
      try {
        // Guarded, so that an existing file keeps what it has; and most files that are created are new.
        const { dir, name } =
          flags.exclusive || attempt === 1
            ? await this.#locate(path, 'EISDIR', operation)
            : await this.#there.walk.behindLink(path, operation);
        const made = await this.#there.access.nfs.create(dir, name, 'Guarded', { mode }, operation);
        return { handle: made.handle, isNew: true };
      } catch (error) {
        // A directory in which nothing may be created can hold a file that may be written.
        if (flags.exclusive || !hasCode(error, 'EEXIST', 'EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'EDQUOT'))
          throw error;
        try {
          return { handle: await this.#openExisting(path, flags, operation), isNew: false };
        } catch (reason) {
          if (!hasCode(reason, 'ENOENT')) throw reason;
          // A symbolic link to nothing, or it was removed just now.
          if (!hasCode(error, 'EEXIST') || attempt === OPEN_ATTEMPTS_MAX) throw error;
        }
      }
    }
  }

  async #openExisting(path: PathLike, flags: OpenFlags, operation: Operation): Promise<nfs_fh3> {
    const { handle, attributes } = await this.#resolve(path, !flags.noFollow, operation);
    const { type } = attributes;
    if (type === NF3LNK) throw new FilerPairError('ELOOP', 'is a symbolic link', operation);
    if (flags.directory && type !== NF3DIR)
      throw new FilerPairError('ENOTDIR', reasonOf('ENOTDIR'), operation);
    if (flags.write && type === NF3DIR) throw new FilerPairError('EISDIR', reasonOf('EISDIR'), operation);
    const change = flags.append ? ACCESS3_EXTEND : ACCESS3_MODIFY;
    await this.#demand(handle, (flags.read ? ACCESS3_READ : 0) | (flags.write ? change : 0), operation);
    return handle;
  }

  async *#piecesOf(
    path: PathLike,
    start: number,
    length: number | undefined,
    operation: Operation,
  ): AsyncGenerator<Uint8Array> {
    const { handle, attributes } = await this.#resolve(path, true, operation);
    if (attributes.type === NF3DIR) throw new FilerPairError('EISDIR', reasonOf('EISDIR'), operation);
    yield* this.#range(handle, start, length, operation);
  }

  async *#range(
    handle: nfs_fh3,
    offset: number,
    length: number | undefined,
    operation: Operation,
  ): AsyncGenerator<Uint8Array> {
    const { nfs, files, sizes } = this.#there.access;
    await files.settle(handle, operation);
    const { readSize } = sizes;
    yield* readRange(nfs, handle, { readSize, operation, offset, ...(length !== undefined && { length }) });
  }

  /** Entries with their paths below the directory. */
  async #list(
    handle: nfs_fh3,
    path: string,
    encoding: NameEncoding,
    recursive: boolean,
    operation: Operation,
    prefix: readonly (string | Buffer)[] = [],
  ): Promise<{ dirent: Dirent<string | Buffer>; path: string | Buffer }[]> {
    const { nfs, sizes } = this.#there.access;
    const directory = { nfs, handle, path, listingSize: sizes.listingSize };
    const found: { dirent: Dirent<string | Buffer>; path: string | Buffer }[] = [];
    for await (const dirent of direntsOf<string | Buffer>(directory, encoding, operation)) {
      const names = [...prefix, dirent.name];
      found.push({ dirent, path: encoding === 'buffer' ? pathBytes(names) : pathText(names) });
      if (!recursive || !dirent.isDirectory()) continue;
      const below = `${path}/${dirent.name.toString()}`;
      found.push(...(await this.#list(dirent.nfsHandle, below, encoding, true, operation, names)));
    }
    return found;
  }

  async #makeDirectories(path: PathLike, mode: number, operation: Operation): Promise<string | undefined> {
    const names = namesIn(path);
    let first: string | undefined;
    for (let depth = 1; depth <= names.length; depth++) {
      const part = pathBytes(names.slice(0, depth));
      const { dir, name } = await this.#locate(part, 'EEXIST', operation);
      try {
        await this.#there.access.nfs.mkdir(dir, name, { mode }, operation);
        first ??= `/${pathText(names.slice(0, depth))}`;
      } catch (error) {
        // A read-only parent, too, may hold what is wanted.
        if (!hasCode(error, 'EEXIST', 'EACCES', 'EROFS', 'EPERM')) throw error;
        const there = await this.#resolve(part, true, operation).catch((reason: unknown) => {
          throw hasCode(reason, 'ENOENT') ? error : reason;
        });
        if (there.attributes.type === NF3DIR) continue;
        const code = depth === names.length ? 'EEXIST' : 'ENOTDIR';
        throw new FilerPairError(code, reasonOf(code), operation);
      }
    }
    return first;
  }
}

function nameOptions(
  options: NameOptions | undefined,
): OperationOptions & { readonly encoding?: NameEncoding } {
  return typeof options === 'string' ? { encoding: options } : (options ?? {});
}

function parsed(text: string): NfsUrl {
  const result = parseNfsUrl(text);
  if (!result.ok) throw new TypeErrorWithCode('ERR_INVALID_URL', result.reason);
  return result.url;
}
