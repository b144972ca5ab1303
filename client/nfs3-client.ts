// NFSv3 by file handle: a method for what a program does with a handle, each one procedure (RFC 1813 §3.3).
// Paths are the business of filer-pair-client.ts.
import { setTimeout as delay } from 'node:timers/promises';
import {
  DONT_CHANGE,
  EXCLUSIVE,
  type fattr3,
  GUARDED,
  NFS3_CREATEVERFSIZE,
  NFS3_OK,
  NFS3ERR_JUKEBOX,
  type Nfs3Calls,
  type Nfs3Name,
  type nfsstat3,
  type nfstime3,
  SATTR3_NOTHING,
  type sattr3,
  type stable_how,
  UNCHECKED,
} from '../protocol/nfs3.ts';
import { NfsError, RpcError } from './errors.ts';
import { NFS3 } from './procedures.ts';
import type { RpcClient } from './rpc-client.ts';

/** Between calls that are answered NFS3ERR_JUKEBOX: at first, and at most, which is what Linux waits (NFS_JUKEBOX_RETRY_TIME). */
const JUKEBOX_WAIT_MS = 100;
const JUKEBOX_WAIT_MS_MAX = 5000;

export type FileHandle = Uint8Array;
/** Names are bytes on the wire; a string is sent as UTF-8. */
export type Name = string | Uint8Array;

/** A file, directory or other object with the attributes that came with it. */
export interface Found {
  readonly handle: FileHandle;
  readonly attributes: fattr3;
}

/** `Unchecked` takes what is there, `Guarded` refuses it, `Exclusive` refuses it and survives a lost reply. */
export type CreateMode = 'Unchecked' | 'Guarded' | 'Exclusive';

export interface DirectoryEntry {
  /** The name as text; undecodable bytes are replaced, `nameBytes` has them all. */
  readonly name: string;
  readonly nameBytes: Uint8Array;
  readonly fileid: bigint;
  /** Null where the server does not say; ask with LOOKUP. */
  readonly attributes: fattr3 | null;
  readonly handle: FileHandle | null;
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

export type Attributes = Partial<sattr3>;

export class Nfs3Client {
  private readonly rpc: RpcClient;

  constructor(rpc: RpcClient) {
    this.rpc = rpc;
  }

  /**
   * Any procedure with the RFC's own arguments and result, whatever its status; but NFS3ERR_JUKEBOX, "try again later"
   * (RFC 1813 §2.6), is waited for, as long as for a reply. Data in the arguments must not be changed until then.
   */
  async call<P extends Nfs3Name>(name: P, args: Nfs3Calls[P]['args']): Promise<Nfs3Calls[P]['res']> {
    const { timeoutMs } = this.rpc;
    const startedMs = performance.now();
    let waitMs = JUKEBOX_WAIT_MS;
    for (;;) {
      // A new XID each time: the server would answer the old one as it did, from its duplicate request cache.
      const res = await this.rpc.call(NFS3[name], args);
      if (!isJukebox(res)) return res;
      const leftMs = startedMs + timeoutMs - performance.now();
      if (leftMs <= 0) return res;
      await delay(Math.min(waitMs, leftMs));
      waitMs = Math.min(waitMs * 2, JUKEBOX_WAIT_MS_MAX);
    }
  }

  async getattr(handle: FileHandle, what?: string): Promise<fattr3> {
    const res = await this.call('GETATTR', { object: handle });
    if (res.status !== NFS3_OK) throw new NfsError(res.status, 'GETATTR', what);
    return res.obj_attributes;
  }

  /** `guard`: the ctime that the object must still have, else NFS3ERR_NOT_SYNC. */
  async setattr(
    handle: FileHandle,
    attributes: Attributes,
    guard: nfstime3 | null = null,
    what?: string,
  ): Promise<void> {
    const new_attributes = { ...SATTR3_NOTHING, ...attributes };
    const res = await this.call('SETATTR', { object: handle, new_attributes, guard });
    check(res.status, 'SETATTR', what);
  }

  async lookup(dir: FileHandle, name: Name, what?: string): Promise<Found> {
    const res = await this.call('LOOKUP', { what: { dir, name: nameBytes(name) } });
    if (res.status !== NFS3_OK) throw new NfsError(res.status, 'LOOKUP', what);
    return this.complete(res.object, res.obj_attributes, what);
  }

  /** Which of the ACCESS3_ bits asked for are granted. */
  async access(handle: FileHandle, access: number, what?: string): Promise<number> {
    const res = await this.call('ACCESS', { object: handle, access });
    if (res.status !== NFS3_OK) throw new NfsError(res.status, 'ACCESS', what);
    return res.access;
  }

  async readlink(handle: FileHandle, what?: string): Promise<Uint8Array> {
    const res = await this.call('READLINK', { symlink: handle });
    if (res.status !== NFS3_OK) throw new NfsError(res.status, 'READLINK', what);
    return res.data.slice();
  }

  /** At most `count` bytes; the server may return fewer before the end. The data is a view of the reply. */
  async read(handle: FileHandle, offset: number, count: number, what?: string): Promise<ReadResult> {
    const res = await this.call('READ', { file: handle, offset, count });
    if (res.status !== NFS3_OK) throw new NfsError(res.status, 'READ', what);
    return { data: res.data, eof: res.eof };
  }

  /** One WRITE of at most the server's wtmax; `data` must not change until it is answered. */
  async write(
    handle: FileHandle,
    offset: number,
    data: Uint8Array,
    stable: stable_how,
    what?: string,
  ): Promise<WriteResult> {
    const args = { file: handle, offset, count: data.length, stable, data };
    const res = await this.call('WRITE', args);
    if (res.status !== NFS3_OK) throw new NfsError(res.status, 'WRITE', what);
    return { count: res.count, committed: res.committed, verifier: res.verf.slice() };
  }

  /** Makes unstable writes durable; returns the verifier to compare with theirs. count 0: the whole file. */
  async commit(handle: FileHandle, offset = 0, count = 0, what?: string): Promise<Uint8Array> {
    const res = await this.call('COMMIT', { file: handle, offset, count });
    if (res.status !== NFS3_OK) throw new NfsError(res.status, 'COMMIT', what);
    return res.verf.slice();
  }

  async create(
    dir: FileHandle,
    name: Name,
    mode: CreateMode,
    attributes: Attributes = {},
    what?: string,
  ): Promise<Found> {
    const where = { dir, name: nameBytes(name) };
    const obj_attributes = { ...SATTR3_NOTHING, ...attributes };
    if (mode === 'Exclusive') return this.createExclusive(where, attributes, what);
    const how = { mode: mode === 'Guarded' ? GUARDED : UNCHECKED, obj_attributes };
    const res = await this.call('CREATE', { where, how });
    if (res.status !== NFS3_OK) throw new NfsError(res.status, 'CREATE', what);
    return this.made(where, res.obj, res.obj_attributes, what);
  }

  async mkdir(dir: FileHandle, name: Name, attributes: Attributes = {}, what?: string): Promise<Found> {
    const where = { dir, name: nameBytes(name) };
    const res = await this.call('MKDIR', { where, attributes: { ...SATTR3_NOTHING, ...attributes } });
    if (res.status !== NFS3_OK) throw new NfsError(res.status, 'MKDIR', what);
    return this.made(where, res.obj, res.obj_attributes, what);
  }

  async symlink(dir: FileHandle, name: Name, target: Name, what?: string): Promise<Found> {
    const where = { dir, name: nameBytes(name) };
    const symlink = { symlink_attributes: { ...SATTR3_NOTHING }, symlink_data: nameBytes(target) };
    const res = await this.call('SYMLINK', { where, symlink });
    if (res.status !== NFS3_OK) throw new NfsError(res.status, 'SYMLINK', what);
    return this.made(where, res.obj, res.obj_attributes, what);
  }

  async link(handle: FileHandle, dir: FileHandle, name: Name, what?: string): Promise<void> {
    const res = await this.call('LINK', { file: handle, link: { dir, name: nameBytes(name) } });
    check(res.status, 'LINK', what);
  }

  async remove(dir: FileHandle, name: Name, what?: string): Promise<void> {
    const res = await this.call('REMOVE', { object: { dir, name: nameBytes(name) } });
    check(res.status, 'REMOVE', what);
  }

  async rmdir(dir: FileHandle, name: Name, what?: string): Promise<void> {
    const res = await this.call('RMDIR', { object: { dir, name: nameBytes(name) } });
    check(res.status, 'RMDIR', what);
  }

  async rename(
    fromDir: FileHandle,
    fromName: Name,
    toDir: FileHandle,
    toName: Name,
    what?: string,
  ): Promise<void> {
    const res = await this.call('RENAME', {
      from: { dir: fromDir, name: nameBytes(fromName) },
      to: { dir: toDir, name: nameBytes(toName) },
    });
    check(res.status, 'RENAME', what);
  }

  /** All entries but `.` and `..`, a reply at a time. `size`: bytes of one reply, the server's dtpref. */
  async *entries(dir: FileHandle, size = 64 * 1024, what?: string): AsyncGenerator<DirectoryEntry> {
    let cookie = 0n;
    let cookieverf: Uint8Array = new Uint8Array(8);
    for (;;) {
      const res = await this.call('READDIRPLUS', { dir, cookie, cookieverf, dircount: size, maxcount: size });
      if (res.status !== NFS3_OK) throw new NfsError(res.status, 'READDIRPLUS', what);
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
        throw new RpcError(`${what ?? 'READDIRPLUS'}: the server ended the list before its end`);
      cookieverf = res.cookieverf.slice();
    }
  }

  async fsstat(root: FileHandle, what?: string) {
    const res = await this.call('FSSTAT', { fsroot: root });
    if (res.status !== NFS3_OK) throw new NfsError(res.status, 'FSSTAT', what);
    return res;
  }

  async fsinfo(root: FileHandle, what?: string) {
    const res = await this.call('FSINFO', { fsroot: root });
    if (res.status !== NFS3_OK) throw new NfsError(res.status, 'FSINFO', what);
    return res;
  }

  /** RFC 1813 §3.3.8: an exclusive create carries a verifier instead of attributes; they follow by SETATTR. */
  private async createExclusive(
    where: { dir: FileHandle; name: Uint8Array },
    attributes: Attributes,
    what?: string,
  ): Promise<Found> {
    const verf = crypto.getRandomValues(new Uint8Array(NFS3_CREATEVERFSIZE));
    const res = await this.call('CREATE', { where, how: { mode: EXCLUSIVE, verf } });
    if (res.status !== NFS3_OK) throw new NfsError(res.status, 'CREATE', what);
    const made = await this.made(where, res.obj, null, what);
    // Also without any attributes wanted: servers may keep the verifier in the times until then.
    const wanted: Attributes = { mode: 0o644, mtime: { how: 1 }, atime: { how: 1 }, ...attributes };
    await this.setattr(made.handle, wanted, null, what);
    return { handle: made.handle, attributes: await this.getattr(made.handle, what) };
  }

  /** RFC 1813 §3.3.8: handle and attributes of a new object are optional in the reply. */
  private async made(
    where: { dir: FileHandle; name: Uint8Array },
    handle: FileHandle | null,
    attributes: fattr3 | null,
    what?: string,
  ): Promise<Found> {
    if (handle === null) return this.lookup(where.dir, where.name, what);
    return this.complete(handle, attributes, what);
  }

  private async complete(handle: FileHandle, attributes: fattr3 | null, what?: string): Promise<Found> {
    // A handle outlives the reply; as a view it would keep the whole received record in memory.
    const own = handle.slice();
    return { handle: own, attributes: attributes ?? (await this.getattr(own, what)) };
  }
}

/** NULL has no result. */
function isJukebox(res: unknown): boolean {
  return (res as { readonly status?: number } | null | undefined)?.status === NFS3ERR_JUKEBOX;
}

/** Leaves both times alone. */
export const KEEP_TIME = { how: DONT_CHANGE } as const;

export function nameBytes(name: Name): Uint8Array {
  return typeof name === 'string' ? Buffer.from(name, 'utf8') : name;
}

function check(status: nfsstat3, procedure: string, what?: string): void {
  if (status !== NFS3_OK) throw new NfsError(status, procedure, what);
}
