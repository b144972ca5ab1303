/** The MOUNT program, version 3 (RFC 1813 appendix I): all six procedures. */
import {
  dirpath,
  exportlist,
  MNT3_OK,
  MNT3ERR_ACCES,
  MNT3ERR_INVAL,
  MNT3ERR_IO,
  MNT3ERR_NAMETOOLONG,
  MNT3ERR_NOENT,
  MNT3ERR_NOTDIR,
  MNT3ERR_SERVERFAULT,
  MNTNAMLEN,
  MOUNT_V3,
  mountlist,
  mountproc3,
  mountres3,
  type mountstat3_error,
} from '../../protocol/mount.ts';
import { AUTH_SYS } from '../../protocol/rpc.ts';
import type { XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import type { VolumeFailure } from '../storage/failures/status.ts';
import type { DiskSet } from '../storage/files/disk-set.ts';
import { S_IFDIR } from '../system/statx.ts';
import type { Mounts } from './mount-list.ts';

export const MOUNT_VERSION_MIN = MOUNT_V3;
export const MOUNT_VERSION_MAX = MOUNT_V3;

export interface MountCall {
  readonly diskSet: DiskSet;
  readonly mounts: Mounts;
  /** The client's address. */
  readonly host: string;
  /** Its port. */
  readonly port: number;
  r: XdrReader;
  w: XdrWriter;
}

export type MountProcedure = (call: MountCall) => void;

/** By procedure number; a number beyond the end is PROC_UNAVAIL. */
export const mountProcedures: readonly MountProcedure[] = (() => {
  const table: MountProcedure[] = [];
  table[mountproc3.NULL] = () => {};
  table[mountproc3.MNT] = mnt;
  table[mountproc3.DUMP] = dump;
  table[mountproc3.UMNT] = umnt;
  table[mountproc3.UMNTALL] = umntall;
  table[mountproc3.EXPORT] = exportList;
  return table;
})();

/** Appendix I §5.2.1. A directory below an export can be mounted too; symbolic links on the way are not followed. */
function mnt(call: MountCall): void {
  const { w, r, diskSet } = call;
  const path = readPath(r);
  r.expectEnd();
  const entry = diskSet.exports.find(path);
  if (entry === null) {
    mountres3.encode(w, { status: MNT3ERR_NOENT });
    return;
  }
  const { found, below } = entry;
  if (!found.isFor(call.host, call.port)) {
    mountres3.encode(w, { status: MNT3ERR_ACCES });
    return;
  }
  // Its directory is not there: told and looked for elsewhere.
  if (found.rootKey === '') {
    mountres3.encode(w, { status: MNT3ERR_NOENT });
    return;
  }
  const names = below.split('/').filter((part) => part !== '');
  const file = diskSet.below(
    found,
    names.map((name) => new Uint8Array(Buffer.from(name, 'latin1'))),
  );
  const { stat } = found.volume;
  const status = typeof file === 'string' ? file : diskSet.attributes(file, stat);
  if (typeof file === 'string' || status !== 'ok') {
    mountres3.encode(w, { status: mountstatOf(status === 'ok' ? 'ioError' : status) });
    return;
  }
  if (stat.type !== S_IFDIR) {
    mountres3.encode(w, { status: MNT3ERR_NOTDIR });
    return;
  }
  call.mounts.add(call.host, path);
  mountres3.encode(w, { status: MNT3_OK, fhandle: file.handle, auth_flavors: [AUTH_SYS] });
}

/** One character a byte, so that names of any encoding survive; a slash at the end means nothing. */
function readPath(r: XdrReader): string {
  const path = Buffer.from(dirpath.decode(r)).toString('latin1');
  return path.length > 1 ? path.replace(/\/+$/, '') || '/' : path;
}

function mountstatOf(failure: VolumeFailure): mountstat3_error {
  switch (failure) {
    case 'noEntry':
    case 'stale':
      return MNT3ERR_NOENT;
    case 'accessDenied':
    case 'notPermitted':
      return MNT3ERR_ACCES;
    case 'notDirectory':
      return MNT3ERR_NOTDIR;
    case 'nameTooLong':
      return MNT3ERR_NAMETOOLONG;
    case 'invalid':
      return MNT3ERR_INVAL;
    case 'ioError':
      return MNT3ERR_IO;
    default:
      return MNT3ERR_SERVERFAULT;
  }
}

/** Appendix I §5.2.2. */
function dump(call: MountCall): void {
  call.r.expectEnd();
  mountlist.encode(
    call.w,
    call.mounts.all.map(({ host, path }) => ({
      ml_hostname: bytesOf(host).subarray(0, MNTNAMLEN),
      ml_directory: bytesOf(path),
    })),
  );
}

/** Appendix I §5.2.3. */
function umnt(call: MountCall): void {
  const path = readPath(call.r);
  call.r.expectEnd();
  call.mounts.remove(call.host, path);
}

/** Appendix I §5.2.4. */
function umntall(call: MountCall): void {
  call.r.expectEnd();
  call.mounts.remove(call.host, null);
}

/** Appendix I §5.2.5. `*` is said by naming no group. */
function exportList(call: MountCall): void {
  call.r.expectEnd();
  exportlist.encode(
    call.w,
    call.diskSet.exports.all.map(({ wirePath, spec }) => ({
      ex_dir: bytesOf(wirePath),
      ex_groups: spec.clients.includes('*') ? [] : spec.clients.map(bytesOf),
    })),
  );
}

function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'));
}
