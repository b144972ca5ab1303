/**
 * NFSv3 by file handle: a method for what a program does with a handle, each one procedure (RFC 1813 §3.3). Paths are the
 * business of path-walk.ts.
 */
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import {
  EXCLUSIVE,
  type fattr3,
  GUARDED,
  NFS3_CREATEVERFSIZE,
  NFS3_OK,
  NFS3ERR_JUKEBOX,
  type Nfs3Calls,
  type Nfs3Name,
  type nfs_fh3,
  type nfstime3,
  SATTR3_NOTHING,
  type sattr3,
  type stable_how,
  UNCHECKED,
} from '../protocol/nfs3.ts';
import { NfsError, RpcError } from './errors.ts';
import { Operation, type OperationOptions } from './operation.ts';
import { NFS3 } from './procedures.ts';
import type { RpcClient } from './rpc-client.ts';

/** Between calls that are answered NFS3ERR_JUKEBOX: at first, and at most, which is what Linux waits (NFS_JUKEBOX_RETRY_TIME). */
const JUKEBOX_WAIT_MS = 100;
const JUKEBOX_WAIT_MS_MAX = 5000;

/** Names are bytes on the wire; a string is sent as UTF-8. */
export type Name = string | Uint8Array;

/**
 * A file, directory or other object with the attributes that came with it (RFC 1813 §2.5).
 *
 * @see https://www.rfc-editor.org/rfc/rfc1813#section-2.5
 */
export interface Found {
  readonly handle: nfs_fh3;
  readonly attributes: fattr3;
}

/** `Unchecked` takes what is there, `Guarded` refuses it, `Exclusive` refuses it and survives a lost reply. */
export type CreateMode = 'Unchecked' | 'Guarded' | 'Exclusive';

/**
 * An entry of a directory (entryplus3).
 *
 * @see https://www.rfc-editor.org/rfc/rfc1813#section-3.3.17
 */
export interface DirectoryEntry {
  /** The name as text; undecodable bytes are replaced, `nameBytes` has them all. */
  readonly name: string;
  readonly nameBytes: Uint8Array;
  readonly fileid: bigint;
  /** Null where the server does not say; ask with LOOKUP. */
  readonly attributes: fattr3 | null;
  readonly handle: nfs_fh3 | null;
}

export interface ReadResult {
  readonly data: Uint8Array;
  readonly eof: boolean;
}

export interface WriteResult {
  /** Bytes written, at most what was given. */
  readonly count: number;
  readonly committed: stable_how;
  /** Changes when unstable data may have been lost. */
  readonly verifier: Uint8Array;
}

/** Attributes to set (sattr3, RFC 1813 §2.5.3); those that are absent stay as they are. */
export type Attributes = Partial<sattr3>;

/** Limits of this call, or the operation that it is a part of. */
export type CallOptions = Operation | OperationOptions;

/**
 * The procedures of NFSv3, one method each. Methods reject with an NfsError that has the status of the reply.
 *
 * @see https://www.rfc-editor.org/rfc/rfc1813#section-3.3
 */
export class Nfs3Client {
  readonly #rpc: RpcClient;
  readonly #admit: () => void;

  /** `admit` throws when no call is taken any more. */
  constructor(rpc: RpcClient, admit: () => void = () => {}) {
    this.#rpc = rpc;
    this.#admit = admit;
  }

  /**
   * Any procedure with the RFC's own arguments and result, whatever its status; but NFS3ERR_JUKEBOX, "try again later"
   * (RFC 1813 §2.6), is waited for, as long as for a reply. Data in the arguments must not be changed until then.
   */
  async call<P extends Nfs3Name>(
    name: P,
    args: Nfs3Calls[P]['args'],
    options?: CallOptions,
  ): Promise<Nfs3Calls[P]['res']> {
    const operation = Operation.of(options);
    const begunAtMs = performance.now();
    const res = await this.#send(name, args, operation);
    return isJukebox(res) ? this.#sendAgain(res, name, args, operation, begunAtMs) : res;
  }

  /** No function of its own that awaits: each costs a call two turns of the microtask queue. */
  #send<P extends Nfs3Name>(
    name: P,
    args: Nfs3Calls[P]['args'],
    operation: Operation | undefined,
  ): Promise<Nfs3Calls[P]['res']> {
    this.#admit();
    return this.#rpc.call(NFS3[name], args, operation);
  }

  async #sendAgain<P extends Nfs3Name>(
    res: Nfs3Calls[P]['res'],
    name: P,
    args: Nfs3Calls[P]['args'],
    operation: Operation | undefined,
    begunAtMs: number,
  ): Promise<Nfs3Calls[P]['res']> {
    const endMs = begunAtMs + this.#rpc.timeoutMs(operation, begunAtMs);
    let waitMs = JUKEBOX_WAIT_MS;
    while (isJukebox(res)) {
      const leftMs = endMs - performance.now();
      if (leftMs <= 0) return res;
      await pause(Math.min(waitMs, leftMs), operation);
      waitMs = Math.min(waitMs * 2, JUKEBOX_WAIT_MS_MAX);
      // A new XID each time: the server would answer the old one as it did, from its duplicate request cache.
      res = await this.#rpc.call(NFS3[name], args, operation);
    }
    return res;
  }

  /** Like call(), but every status other than NFS3_OK is an error. */
  async #ok<P extends Exclude<Nfs3Name, 'NULL'>>(
    name: P,
    args: Nfs3Calls[P]['args'],
    options: CallOptions | undefined,
  ): Promise<Extract<Nfs3Calls[P]['res'], { status: typeof NFS3_OK }>> {
    const operation = Operation.of(options);
    const begunAtMs = performance.now();
    let res: { readonly status: number } = await this.#send(name, args, operation);
    if (res.status === NFS3ERR_JUKEBOX)
      res = await this.#sendAgain(res as Nfs3Calls[P]['res'], name, args, operation, begunAtMs);
    if (res.status !== NFS3_OK) throw new NfsError(res.status, name, operation);
    return res as Extract<Nfs3Calls[P]['res'], { status: typeof NFS3_OK }>;
  }

  async getattr(handle: nfs_fh3, options?: CallOptions): Promise<fattr3> {
    const res = await this.#ok('GETATTR', { object: handle }, options);
    return res.obj_attributes;
  }

  /** `guard`: the ctime that the object must still have, else NFS3ERR_NOT_SYNC. */
  async setattr(
    handle: nfs_fh3,
    attributes: Attributes,
    guard: nfstime3 | null = null,
    options?: CallOptions,
  ): Promise<void> {
    const new_attributes = { ...SATTR3_NOTHING, ...attributes };
    await this.#ok('SETATTR', { object: handle, new_attributes, guard }, options);
  }

  async lookup(dir: nfs_fh3, name: Name, options?: CallOptions): Promise<Found> {
    options = Operation.of(options);
    const res = await this.#ok('LOOKUP', { what: { dir, name: nameBytes(name) } }, options);
    return this.#complete(res.object, res.obj_attributes, options);
  }

  /** Which of the ACCESS3_ bits asked for are granted. */
  async access(handle: nfs_fh3, access: number, options?: CallOptions): Promise<number> {
    const res = await this.#ok('ACCESS', { object: handle, access }, options);
    return res.access;
  }

  async readlink(handle: nfs_fh3, options?: CallOptions): Promise<Uint8Array> {
    const res = await this.#ok('READLINK', { symlink: handle }, options);
    return res.data.slice();
  }

  /** At most `count` bytes; the server may return fewer before the end. The data is a view of the reply. */
  async read(handle: nfs_fh3, offset: number, count: number, options?: CallOptions): Promise<ReadResult> {
    const res = await this.#ok('READ', { file: handle, offset, count }, options);
    return { data: res.data, eof: res.eof };
  }

  /** One WRITE of at most the server's wtmax; `data` must not change until it is answered. */
  async write(
    handle: nfs_fh3,
    offset: number,
    data: Uint8Array,
    stable: stable_how,
    options?: CallOptions,
  ): Promise<WriteResult> {
    const args = { file: handle, offset, count: data.length, stable, data };
    const res = await this.#ok('WRITE', args, options);
    return { count: res.count, committed: res.committed, verifier: res.verf.slice() };
  }

  /** Makes unstable writes durable; returns the verifier to compare with theirs. count 0: the whole file. */
  async commit(handle: nfs_fh3, offset = 0, count = 0, options?: CallOptions): Promise<Uint8Array> {
    const res = await this.#ok('COMMIT', { file: handle, offset, count }, options);
    return res.verf.slice();
  }

  async create(
    dir: nfs_fh3,
    name: Name,
    mode: CreateMode,
    attributes: Attributes = {},
    options?: CallOptions,
  ): Promise<Found> {
    options = Operation.of(options);
    const where = { dir, name: nameBytes(name) };
    const obj_attributes = { ...SATTR3_NOTHING, ...attributes };
    if (mode === 'Exclusive') return this.#createExclusive(where, attributes, options);
    const how = { mode: mode === 'Guarded' ? GUARDED : UNCHECKED, obj_attributes };
    const res = await this.#ok('CREATE', { where, how }, options);
    return this.#made(where, res.obj, res.obj_attributes, options);
  }

  async mkdir(dir: nfs_fh3, name: Name, attributes: Attributes = {}, options?: CallOptions): Promise<Found> {
    options = Operation.of(options);
    const where = { dir, name: nameBytes(name) };
    const res = await this.#ok('MKDIR', { where, attributes: { ...SATTR3_NOTHING, ...attributes } }, options);
    return this.#made(where, res.obj, res.obj_attributes, options);
  }

  async symlink(dir: nfs_fh3, name: Name, target: Name, options?: CallOptions): Promise<Found> {
    options = Operation.of(options);
    const where = { dir, name: nameBytes(name) };
    const symlink = { symlink_attributes: { ...SATTR3_NOTHING }, symlink_data: nameBytes(target) };
    const res = await this.#ok('SYMLINK', { where, symlink }, options);
    return this.#made(where, res.obj, res.obj_attributes, options);
  }

  async link(handle: nfs_fh3, dir: nfs_fh3, name: Name, options?: CallOptions): Promise<void> {
    await this.#ok('LINK', { file: handle, link: { dir, name: nameBytes(name) } }, options);
  }

  async remove(dir: nfs_fh3, name: Name, options?: CallOptions): Promise<void> {
    await this.#ok('REMOVE', { object: { dir, name: nameBytes(name) } }, options);
  }

  async rmdir(dir: nfs_fh3, name: Name, options?: CallOptions): Promise<void> {
    await this.#ok('RMDIR', { object: { dir, name: nameBytes(name) } }, options);
  }

  async rename(
    fromDir: nfs_fh3,
    fromName: Name,
    toDir: nfs_fh3,
    toName: Name,
    options?: CallOptions,
  ): Promise<void> {
    const from = { dir: fromDir, name: nameBytes(fromName) };
    const to = { dir: toDir, name: nameBytes(toName) };
    await this.#ok('RENAME', { from, to }, options);
  }

  /** All entries but `.` and `..`, a reply at a time. `size`: bytes of one reply, the server's dtpref. */
  async *entries(dir: nfs_fh3, size = 64 * 1024, options?: CallOptions): AsyncGenerator<DirectoryEntry> {
    const operation = Operation.of(options);
    let cookie = 0n;
    let cookieverf: Uint8Array = new Uint8Array(8);
    for (;;) {
      const args = { dir, cookie, cookieverf, dircount: size, maxcount: size };
      const res = await this.#ok('READDIRPLUS', args, operation);
      for (const entry of res.entries) {
        cookie = entry.cookie;
        const name = Buffer.from(entry.name);
        const text = name.toString('utf8');
        if (text === '.' || text === '..') continue;
        yield {
          name: text,
          nameBytes: name,
          fileid: entry.fileid,
          attributes: entry.name_attributes,
          handle: entry.name_handle?.slice() ?? null,
        };
      }
      if (res.eof) return;
      // RFC 1813 §3.3.17: a reply that is not the last holds an entry at least. To end here would hide the rest.
      if (res.entries.length === 0)
        throw new RpcError('EPROTO', 'READDIRPLUS: the server ended the list before its end', operation);
      cookieverf = res.cookieverf.slice();
    }
  }

  async fsstat(root: nfs_fh3, options?: CallOptions) {
    return this.#ok('FSSTAT', { fsroot: root }, options);
  }

  async fsinfo(root: nfs_fh3, options?: CallOptions) {
    return this.#ok('FSINFO', { fsroot: root }, options);
  }

  /** RFC 1813 §3.3.8: an exclusive create carries a verifier instead of attributes; they follow by SETATTR. */
  async #createExclusive(
    where: { dir: nfs_fh3; name: Uint8Array },
    attributes: Attributes,
    options?: CallOptions,
  ): Promise<Found> {
    const verf = crypto.getRandomValues(new Uint8Array(NFS3_CREATEVERFSIZE));
    const res = await this.#ok('CREATE', { where, how: { mode: EXCLUSIVE, verf } }, options);
    const made = await this.#made(where, res.obj, null, options);
    // Also without any attributes wanted: servers may keep the verifier in the times until then.
    const wanted: Attributes = { mode: 0o644, mtime: { how: 1 }, atime: { how: 1 }, ...attributes };
    await this.setattr(made.handle, wanted, null, options);
    return { handle: made.handle, attributes: await this.getattr(made.handle, options) };
  }

  /** RFC 1813 §3.3.8: handle and attributes of a new object are optional in the reply. */
  async #made(
    where: { dir: nfs_fh3; name: Uint8Array },
    handle: nfs_fh3 | null,
    attributes: fattr3 | null,
    options?: CallOptions,
  ): Promise<Found> {
    if (handle === null) return this.lookup(where.dir, where.name, options);
    return this.#complete(handle, attributes, options);
  }

  async #complete(handle: nfs_fh3, attributes: fattr3 | null, options?: CallOptions): Promise<Found> {
    // A handle outlives the reply; as a view it would keep the whole received record in memory.
    const own = handle.slice();
    return { handle: own, attributes: attributes ?? (await this.getattr(own, options)) };
  }
}

/** Ends early when the operation is aborted. */
async function pause(ms: number, operation: Operation | undefined): Promise<void> {
  await delay(ms, undefined, { signal: operation?.signal }).catch(() => {});
  operation?.throwIfOver();
}

/** NULL has no result. */
function isJukebox(res: unknown): boolean {
  return (res as { readonly status?: number } | null | undefined)?.status === NFS3ERR_JUKEBOX;
}

export function nameBytes(name: Name): Uint8Array {
  return typeof name === 'string' ? Buffer.from(name, 'utf8') : name;
}
