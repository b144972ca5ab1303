// The library's front door: a mounted export of one server of a pair, used by path, wherever it is served now.
//
//   const client = await FilerPairClient.connect('nfs://filer-a/home');
//   await client.writeFile('ada/notes.txt', 'kept, whatever happens\n');
//   client.close();
//
// Nothing in here knows of failover: a call in progress when a server dies is answered by its partner.
import { type exportnode, MNT3_OK, MOUNT_PROGRAM, MOUNT_V3 } from '../protocol/mount.ts';
import {
  FILE_SYNC,
  type fattr3,
  NF3DIR,
  NF3LNK,
  NFS_PROGRAM,
  NFS_V3,
  NFS3ERR_EXIST,
  NFS3ERR_NOENT,
  NFS3ERR_NOTDIR,
} from '../protocol/nfs3.ts';
import type { AttemptsOptions } from './attempts.ts';
import { DiskSetIdentity } from './disk-set-identity.ts';
import { MountError, NfsError, RpcError } from './errors.ts';
import type { ConnectionEvent } from './failover-connection.ts';
import { readFile } from './file-reader.ts';
import { FileWriter } from './file-writer.ts';
import { credentialOf, type Identity, processIdentity } from './identity.ts';
import {
  type Attributes,
  type CreateMode,
  type DirectoryEntry,
  type FileHandle,
  type Found,
  type Name,
  Nfs3Client,
} from './nfs3-client.ts';
import { MOUNT_EXPORT, MOUNT_MNT } from './procedures.ts';
import { Resolver } from './resolver.ts';
import { type CallRecord, RpcClient, type RpcClientOptions } from './rpc-client.ts';
import type { PortRole } from './transport-address.ts';
import { type NfsUrl, parseNfsUrl, splitPath } from './url.ts';

export interface ClientOptions {
  readonly identity?: Identity | undefined;
  /** Longest wait for one reply; undefined waits through any outage, like a hard mount. */
  readonly timeoutMs?: number | undefined;
  readonly resolver?: Resolver | undefined;
  readonly attempts?: Partial<AttemptsOptions> | undefined;
  /** Losses, doubts and adoptions of connections: the failovers as this client sees them. */
  readonly onEvent?: ((event: ConnectionEvent) => void) | undefined;
  /** Every answered call with its times. */
  readonly onCall?: ((call: CallRecord) => void) | undefined;
}

/** RFC 1813 §3.3.5 leaves loops of symbolic links to the client; Linux follows forty. */
const SYMLINKS_MAX = 40;
/** Largest READ and WRITE that we ask for, whatever the server offers. Bytes. */
const IO_SIZE_MAX = 1024 * 1024;

interface Mounted {
  readonly root: FileHandle;
  /** The export's own path on the server, without a trailing slash. */
  readonly exportPath: string;
  /** What the URL names below the export. */
  readonly subPath: string;
}

interface Located {
  readonly dir: FileHandle;
  readonly name: string;
  readonly what: string;
}

export class FilerPairClient {
  /** Every procedure by file handle. */
  readonly nfs: Nfs3Client;
  readonly root: FileHandle;
  readonly exportPath: string;
  /** The part of the URL's path below the export: where its user's file is. */
  readonly subPath: string;
  readonly readSize: number;
  readonly writeSize: number;
  private readonly listingSize: number;
  private readonly rpc: RpcClient;

  private constructor(rpc: RpcClient, nfs: Nfs3Client, mounted: Mounted, limits: Limits) {
    this.rpc = rpc;
    this.nfs = nfs;
    this.root = mounted.root;
    this.exportPath = mounted.exportPath;
    this.subPath = mounted.subPath;
    this.readSize = limits.readSize;
    this.writeSize = limits.writeSize;
    this.listingSize = limits.listingSize;
  }

  /**
   * Mounts the export that holds the URL's path. Rejects with MountError, or CallTimeout if a timeout is given
   * and no server answers, or RangeError for a malformed URL.
   */
  static async connect(url: string | NfsUrl, options: ClientOptions = {}): Promise<FilerPairClient> {
    const target = typeof url === 'string' ? parsed(url) : url;
    const resolver = options.resolver ?? new Resolver();
    const given = options.identity ?? processIdentity();
    const identity = { ...given, uid: target.uid ?? given.uid, gid: target.gid ?? given.gid };
    const diskSet = new DiskSetIdentity();
    const rpcOptions: RpcClientOptions = {
      identity: diskSet,
      endpoints: target.endpoints,
      resolver,
      program: NFS_PROGRAM,
      version: NFS_V3,
      credential: credentialOf(identity),
      attempts: options.attempts,
      timeoutMs: options.timeoutMs,
      onEvent: options.onEvent,
      onCall: options.onCall,
    };
    const rpc = new RpcClient(rpcOptions);
    try {
      const mounted = await mount(target, rpc, rpcOptions);
      diskSet.mounted(mounted.root, rpcOptions.credential);
      const nfs = new Nfs3Client(rpc);
      return new FilerPairClient(rpc, nfs, mounted, await limitsOf(nfs, mounted.root));
    } catch (error) {
      rpc.close();
      throw error;
    }
  }

  /** Outstanding calls reject with ClientClosed. */
  close(): void {
    this.rpc.close();
  }

  /** The port in use now; null while searching. */
  get port(): PortRole | null {
    return this.rpc.port;
  }

  /** The object at a path; `followLast`: of a symbolic link at the end, what it points to. */
  async resolve(path: string, followLast = true): Promise<Found> {
    return this.walk([this.root], splitPath(path), followLast, this.label(path), 0);
  }

  async stat(path: string): Promise<fattr3> {
    return (await this.resolve(path)).attributes;
  }

  /** Like stat, but of a symbolic link itself. */
  async lstat(path: string): Promise<fattr3> {
    return (await this.resolve(path, false)).attributes;
  }

  async readdir(path: string): Promise<DirectoryEntry[]> {
    const { handle } = await this.resolve(path);
    const found: DirectoryEntry[] = [];
    for await (const entry of this.nfs.entries(handle, this.listingSize, this.label(path))) found.push(entry);
    return found;
  }

  /** A file's data in order, several READs ahead. */
  async *read(path: string, range: { offset?: number; length?: number } = {}): AsyncGenerator<Uint8Array> {
    const { handle } = await this.resolve(path);
    yield* readFile(this.nfs, handle, { readSize: this.readSize, what: this.label(path), ...range });
  }

  async readFile(path: string): Promise<Buffer> {
    const parts: Uint8Array[] = [];
    for await (const part of this.read(path)) parts.push(part);
    return Buffer.concat(parts);
  }

  /** Creates or truncates the file and writes all of it; when this resolves, it is on the disk. */
  async writeFile(path: string, data: string | Uint8Array, attributes: Attributes = {}): Promise<void> {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    const { handle } = await this.create(path, 'Unchecked', { mode: 0o644, size: 0, ...attributes });
    const writer = this.writer(handle, this.label(path));
    await writer.write(0, bytes);
    await writer.commit();
  }

  /** Writes in place and waits until the data is on the disk; for records that must be acknowledged one by one. */
  async writeSync(handle: FileHandle, offset: number, data: Uint8Array, what?: string): Promise<void> {
    let written = 0;
    while (written < data.length) {
      const part = data.subarray(written, written + this.writeSize);
      const result = await this.nfs.write(handle, offset + written, part, FILE_SYNC, what);
      if (result.committed !== FILE_SYNC || result.count === 0) {
        throw new RpcError(`${what ?? 'WRITE'}: the server did not write as durably as it was asked to`);
      }
      written += result.count;
    }
  }

  /** For long files: see FileWriter. */
  writer(handle: FileHandle, what?: string): FileWriter {
    return new FileWriter(this.nfs, handle, { writeSize: this.writeSize, what });
  }

  async create(path: string, mode: CreateMode, attributes: Attributes = {}): Promise<Found> {
    const { dir, name, what } = await this.locate(path);
    return this.nfs.create(dir, name, mode, attributes, what);
  }

  async mkdir(path: string, attributes: Attributes = { mode: 0o755 }): Promise<Found> {
    const { dir, name, what } = await this.locate(path);
    return this.nfs.mkdir(dir, name, attributes, what);
  }

  /** Makes missing parents too, and accepts what is there. */
  async mkdirs(path: string): Promise<void> {
    const names = splitPath(path);
    for (let depth = 1; depth <= names.length; depth++) {
      const part = names.slice(0, depth).join('/');
      try {
        await this.mkdir(part);
      } catch (error) {
        if (!(error instanceof NfsError) || error.status !== NFS3ERR_EXIST) throw error;
        if ((await this.stat(part)).type !== NF3DIR)
          throw new NfsError(NFS3ERR_NOTDIR, 'MKDIR', this.label(part));
      }
    }
  }

  async remove(path: string): Promise<void> {
    const { dir, name, what } = await this.locate(path);
    await this.nfs.remove(dir, name, what);
  }

  async rmdir(path: string): Promise<void> {
    const { dir, name, what } = await this.locate(path);
    await this.nfs.rmdir(dir, name, what);
  }

  async rename(from: string, to: string): Promise<void> {
    const source = await this.locate(from);
    const target = await this.locate(to);
    await this.nfs.rename(
      source.dir,
      source.name,
      target.dir,
      target.name,
      `${source.what} -> ${target.what}`,
    );
  }

  /** A second name for a file. */
  async link(existing: string, path: string): Promise<void> {
    const { handle } = await this.resolve(existing, false);
    const { dir, name, what } = await this.locate(path);
    await this.nfs.link(handle, dir, name, what);
  }

  async symlink(target: Name, path: string): Promise<void> {
    const { dir, name, what } = await this.locate(path);
    await this.nfs.symlink(dir, name, target, what);
  }

  async readlink(path: string): Promise<string> {
    const { handle } = await this.resolve(path, false);
    return Buffer.from(await this.nfs.readlink(handle, this.label(path))).toString('utf8');
  }

  /**
   * The path below the export that a path's last name leads to when symbolic links are followed: where a file has to
   * be made that is to take the place of what the path names. Null if there is nothing.
   */
  async realpath(path: string): Promise<string | null> {
    let real = path;
    for (let links = 0; links <= SYMLINKS_MAX; links++) {
      const found = await this.find(real, false);
      if (found?.attributes.type !== NF3LNK) return found === null ? null : real;
      const target = Buffer.from(await this.nfs.readlink(found.handle, this.label(real))).toString('utf8');
      const parent = splitPath(real).slice(0, -1).join('/');
      real = target.startsWith('/') ? this.inside(target, this.label(path)) : `${parent}/${target}`;
    }
    throw new Error(`${this.label(path)}: more than ${SYMLINKS_MAX} symbolic links in a row`);
  }

  async setattr(path: string, attributes: Attributes): Promise<void> {
    const { handle } = await this.resolve(path);
    await this.nfs.setattr(handle, attributes, null, this.label(path));
  }

  /** Space and files of the volume that holds the export. */
  async fsstat() {
    return this.nfs.fsstat(this.root, this.exportPath);
  }

  /** Like resolve(), but null instead of an error if there is nothing at the path. */
  async find(path: string, followLast = true): Promise<Found | null> {
    try {
      return await this.resolve(path, followLast);
    } catch (error) {
      if (error instanceof NfsError && error.status === NFS3ERR_NOENT) return null;
      throw error;
    }
  }

  /** The directory that holds a path's last name. */
  private async locate(path: string): Promise<Located> {
    const names = splitPath(path);
    const name = names.pop();
    if (name === undefined) throw new NfsError(NFS3ERR_EXIST, 'LOOKUP', `the export ${this.exportPath}`);
    const what = this.label(path);
    const { handle } = await this.walk([this.root], names, true, what, 0);
    return { dir: handle, name, what };
  }

  /** A path as it is on the server, for messages. */
  private label(path: string): string {
    return `/${splitPath(`${this.exportPath}/${path}`).join('/')}`;
  }

  /** `above`: the directories from the export's root down to where the walk starts, so that `..` leads back. */
  private async walk(
    above: readonly FileHandle[],
    names: readonly string[],
    followLast: boolean,
    what: string,
    links: number,
  ): Promise<Found> {
    const trail = [...above];
    let found: Found | null = null;
    for (let i = 0; i < names.length; i++) {
      const name = names[i]!;
      const dir = trail[trail.length - 1]!;
      if (name === '..') {
        if (trail.length > 1) trail.pop();
        found = null;
        continue;
      }
      found = await this.nfs.lookup(dir, name, what);
      const last = i === names.length - 1;
      if (found.attributes.type === NF3LNK && (!last || followLast)) {
        return this.follow(trail, found.handle, names.slice(i + 1), followLast, what, links);
      }
      trail.push(found.handle);
    }
    const handle = trail[trail.length - 1]!;
    return found ?? { handle, attributes: await this.nfs.getattr(handle, what) };
  }

  private async follow(
    trail: readonly FileHandle[],
    link: FileHandle,
    rest: readonly string[],
    followLast: boolean,
    what: string,
    links: number,
  ): Promise<Found> {
    if (links >= SYMLINKS_MAX) throw new Error(`${what}: more than ${SYMLINKS_MAX} symbolic links in a row`);
    const target = Buffer.from(await this.nfs.readlink(link, what)).toString('utf8');
    if (!target.startsWith('/')) {
      return this.walk(trail, [...splitPath(target), ...rest], followLast, what, links + 1);
    }
    const inside = splitPath(this.inside(target, what));
    return this.walk([this.root], [...inside, ...rest], followLast, what, links + 1);
  }

  /** An absolute link means a path on the server; only what lies in this export can be reached through it. */
  private inside(target: string, what: string): string {
    const inside = below(this.exportPath, target);
    if (inside === null) throw new Error(`${what}: a symbolic link to ${target} leaves ${this.exportPath}`);
    return inside;
  }
}

interface Limits {
  readonly readSize: number;
  readonly writeSize: number;
  readonly listingSize: number;
}

async function limitsOf(nfs: Nfs3Client, root: FileHandle): Promise<Limits> {
  const info = await nfs.fsinfo(root);
  const size = (preferred: number, max: number) =>
    Math.min(preferred || max || 4096, max || 4096, IO_SIZE_MAX);
  return {
    readSize: size(info.rtpref, info.rtmax),
    writeSize: size(info.wtpref, info.wtmax),
    listingSize: Math.min(Math.max(info.dtpref, 4096), 64 * 1024),
  };
}

/**
 * A FilerPair serves MOUNT on its NFS port, and by the same connection, so that both come from one server. Other servers
 * may have a port of its own for it.
 */
async function mount(target: NfsUrl, nfs: RpcClient, options: RpcClientOptions): Promise<Mounted> {
  if (target.mountPort === undefined) return mountBy(nfs, target.path);
  const { address } = target.endpoints.primary;
  const primary = { address, discriminator: { kind: 'TcpPort', port: target.mountPort } } as const;
  // Mounting is over before anybody could follow its connection; only that it waits is news.
  const onEvent = (event: ConnectionEvent) => event.kind === 'Waiting' && options.onEvent?.(event);
  const own = { endpoints: { primary, secondary: null }, identity: undefined, onEvent, onCall: undefined };
  const rpc = new RpcClient({ ...options, ...own, program: MOUNT_PROGRAM, version: MOUNT_V3 });
  try {
    return await mountBy(rpc, target.path);
  } finally {
    rpc.close();
  }
}

async function mountBy(rpc: RpcClient, path: string): Promise<Mounted> {
  const exportPath = await exportOf(rpc, path);
  const reply = await rpc.call(MOUNT_MNT, Buffer.from(exportPath));
  if (reply.status !== MNT3_OK) throw new MountError(reply.status, exportPath);
  return { root: reply.fhandle.slice(), exportPath, subPath: below(exportPath, path) ?? '' };
}

/** The longest exported path that holds `path`. */
async function exportOf(rpc: RpcClient, path: string): Promise<string> {
  const exports = (await rpc.call(MOUNT_EXPORT, null)).map((each: exportnode) =>
    Buffer.from(each.ex_dir).toString('utf8').replace(/\/+$/, ''),
  );
  const holding = exports.filter((each) => below(each, path) !== null);
  holding.sort((a, b) => b.length - a.length);
  if (holding[0] !== undefined) return holding[0] === '' ? '/' : holding[0];
  const list = exports.map((each) => each || '/').join(', ');
  throw new RangeError(
    exports.length === 0
      ? `${path} is not exported: the server exports nothing to this client`
      : `${path} is not exported; the server exports ${list}`,
  );
}

/** The rest of `path` below `parent` (without a leading slash), or null if it is elsewhere. */
function below(parent: string, path: string): string | null {
  const base = parent.replace(/\/+$/, '');
  if (path === base || path === `${base}/`) return '';
  return path.startsWith(`${base}/`) ? path.slice(base.length + 1) : null;
}

function parsed(text: string): NfsUrl {
  const result = parseNfsUrl(text);
  if (!result.ok) throw new RangeError(result.reason);
  return result.url;
}
