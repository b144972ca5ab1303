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
  MOUNT_PROGRAM,
  MOUNT_V3,
  mountlist,
  mountproc3,
  mountres3,
  type mountstat3,
  type mountstat3_error,
} from '../../protocol/mount.ts';
import { AUTH_SYS } from '../../protocol/rpc.ts';
import type { XdrReader } from '../../protocol/xdr.ts';
import { lineOf } from '../metrics/data-metrics.ts';
import type { Caller } from '../rpc/caller.ts';
import type { Outcome, RpcCall, RpcProcedure, RpcVersion } from '../rpc/rpc-program.ts';
import type { VolumeFailure } from '../storage/failures/status.ts';
import type { DiskSet } from '../storage/files/disk-set.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import { S_IFDIR } from '../system/statx.ts';
import type { Mounts } from './mount-list.ts';

/** All of its procedures have one line of the metrics. */
const METER = lineOf('MOUNT');

interface MountContext {
  readonly diskSet: DiskSet;
  readonly mounts: Mounts;
}

type Execute = (call: RpcCall, context: MountContext) => mountstat3;

/** All calls of the program are one line of the metrics. */
export function mountProgram(diskSet: DiskSet, mounts: Mounts): RpcVersion {
  const context = { diskSet, mounts };
  const procedures: RpcProcedure[] = [];
  const add = (name: keyof typeof mountproc3, execute: Execute): void => {
    procedures[mountproc3[name]] = {
      name,
      meter: METER,
      runsIn: 'connection',
      handles: 'none',
      isSized: false,
      moves: 'nothing',
      isLong: false,
      execute: (call): Outcome => execute(call, context),
    };
  };
  add('NULL', () => MNT3_OK);
  add('MNT', mnt);
  add('DUMP', dump);
  add('UMNT', umnt);
  add('UMNTALL', umntall);
  add('EXPORT', exportList);
  return { program: MOUNT_PROGRAM, version: MOUNT_V3, procedures, meter: METER };
}

/** Appendix I §5.2.1. A directory below an export can be mounted too; symbolic links on the way are not followed. */
function mnt({ w, r, caller }: RpcCall, { diskSet, mounts }: MountContext): mountstat3 {
  const path = readPath(r);
  r.expectEnd();
  const file = mounted(caller, diskSet, path);
  if (typeof file === 'number') {
    mountres3.encode(w, { status: file });
    return file;
  }
  mounts.add(caller.host, path);
  mountres3.encode(w, { status: MNT3_OK, fhandle: file.handle, auth_flavors: [AUTH_SYS] });
  return MNT3_OK;
}

/** The directory at the path; or why the client can't mount it. */
function mounted(caller: Caller, diskSet: DiskSet, path: string): OpenFile | mountstat3_error {
  const entry = diskSet.exports.find(path);
  if (entry === null) return MNT3ERR_NOENT;
  const { found, below } = entry;
  if (!found.isFor(caller.host, caller.port)) return MNT3ERR_ACCES;
  // Its directory is not there: told and looked for elsewhere.
  if (found.rootKey === '') return MNT3ERR_NOENT;
  const names = below.split('/').filter((part) => part !== '');
  const file = diskSet.below(
    found,
    names.map((name) => new Uint8Array(Buffer.from(name, 'latin1'))),
  );
  if (typeof file === 'string') return mountstatOf(file);
  const { stat } = found.volume;
  const status = diskSet.attributes(file, stat);
  if (status !== 'ok') return mountstatOf(status);
  return stat.type === S_IFDIR ? file : MNT3ERR_NOTDIR;
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
function dump({ r, w }: RpcCall, { mounts }: MountContext): mountstat3 {
  r.expectEnd();
  mountlist.encode(
    w,
    mounts.all.map(({ host, path }) => ({
      ml_hostname: bytesOf(host).subarray(0, MNTNAMLEN),
      ml_directory: bytesOf(path),
    })),
  );
  return MNT3_OK;
}

/** Appendix I §5.2.3. */
function umnt({ r, caller }: RpcCall, { mounts }: MountContext): mountstat3 {
  const path = readPath(r);
  r.expectEnd();
  mounts.remove(caller.host, path);
  return MNT3_OK;
}

/** Appendix I §5.2.4. */
function umntall({ r, caller }: RpcCall, { mounts }: MountContext): mountstat3 {
  r.expectEnd();
  mounts.remove(caller.host, null);
  return MNT3_OK;
}

/** Appendix I §5.2.5. `*` is said by naming no group. */
function exportList({ r, w }: RpcCall, { diskSet }: MountContext): mountstat3 {
  r.expectEnd();
  exportlist.encode(
    w,
    Array.from(diskSet.exported.specs, ({ path, clients }) => ({
      ex_dir: Buffer.from(path),
      ex_groups: clients.includes('*') ? [] : clients.map(bytesOf),
    })),
  );
  return MNT3_OK;
}

function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'));
}
