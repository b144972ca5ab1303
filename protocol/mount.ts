// MOUNT version 3 (RFC 1813 appendix I): how a client gets the first file handle. Both directions.
//
// Paths and names are bytes, handed out as views. Lists are linked lists in XDR; their length is bounded by the
// record that holds them.

import { NFS3_FHSIZE } from './nfs3/constants.ts';
import type { XdrReader, XdrWriter } from './xdr.ts';

export const MOUNT_PROGRAM = 100005;
export const MOUNT_V3 = 3;

/** RFC 1813 appendix I §5.1.4: bytes of the longest path name, name and handle. */
export const MNTPATHLEN = 1024;
export const MNTNAMLEN = 255;
export const FHSIZE3 = NFS3_FHSIZE;

/** RFC 1813 appendix I §5.2: procedure numbers. */
export const mountproc3 = { NULL: 0, MNT: 1, DUMP: 2, UMNT: 3, UMNTALL: 4, EXPORT: 5 } as const;
export type mountproc3 = (typeof mountproc3)[keyof typeof mountproc3];
export const {
  NULL: MOUNTPROC3_NULL,
  MNT: MOUNTPROC3_MNT,
  DUMP: MOUNTPROC3_DUMP,
  UMNT: MOUNTPROC3_UMNT,
  UMNTALL: MOUNTPROC3_UMNTALL,
  EXPORT: MOUNTPROC3_EXPORT,
} = mountproc3;

/** RFC 1813 appendix I §5.1.5: mountstat3. */
export const mountstat3 = {
  MNT3_OK: 0,
  MNT3ERR_PERM: 1,
  MNT3ERR_NOENT: 2,
  MNT3ERR_IO: 5,
  MNT3ERR_ACCES: 13,
  MNT3ERR_NOTDIR: 20,
  MNT3ERR_INVAL: 22,
  MNT3ERR_NAMETOOLONG: 63,
  MNT3ERR_NOTSUPP: 10004,
  MNT3ERR_SERVERFAULT: 10006,
} as const;
export type mountstat3 = (typeof mountstat3)[keyof typeof mountstat3];
export type mountstat3_error = Exclude<mountstat3, 0>;
export const {
  MNT3_OK,
  MNT3ERR_PERM,
  MNT3ERR_NOENT,
  MNT3ERR_IO,
  MNT3ERR_ACCES,
  MNT3ERR_NOTDIR,
  MNT3ERR_INVAL,
  MNT3ERR_NAMETOOLONG,
  MNT3ERR_NOTSUPP,
  MNT3ERR_SERVERFAULT,
} = mountstat3;

const statusNames = new Map<number, string>(Object.entries(mountstat3).map(([name, value]) => [value, name]));

/** For logs and error texts: `MNT3ERR_ACCES`, or `mountstat3 4711` for a number that the RFC does not list. */
export function mountstat3Name(status: number): string {
  return statusNames.get(status) ?? `mountstat3 ${status}`;
}

export type dirpath = Uint8Array;

/** Arguments of MNT and UMNT. */
export function decodeDirpath(r: XdrReader): dirpath {
  return r.opaque(MNTPATHLEN);
}

export function encodeDirpath(w: XdrWriter, path: dirpath): void {
  w.opaque(path);
}

/** RFC 1813 appendix I §5.2.1: mountres3. */
export type mountres3 =
  | { status: typeof MNT3_OK; fhandle: Uint8Array; auth_flavors: number[] }
  | { status: mountstat3_error };

export function encodeMountres3(w: XdrWriter, res: mountres3): void {
  w.u32(res.status);
  if (res.status !== MNT3_OK) return;
  w.opaque(res.fhandle);
  w.u32(res.auth_flavors.length);
  for (const flavor of res.auth_flavors) w.u32(flavor);
}

export function decodeMountres3(r: XdrReader): mountres3 {
  const status = r.u32() as mountstat3;
  if (status !== MNT3_OK) return { status };
  const fhandle = r.opaque(FHSIZE3);
  const count = r.u32();
  const auth_flavors: number[] = [];
  // The count is only claimed: u32() ends the loop with an XdrError where the record ends.
  for (let i = 0; i < count; i++) auth_flavors.push(r.u32());
  return { status, fhandle, auth_flavors };
}

/** RFC 1813 appendix I §5.2.2: an element of mountlist. */
export interface mountbody {
  ml_hostname: Uint8Array;
  ml_directory: dirpath;
}

export function encodeMountlist(w: XdrWriter, list: readonly mountbody[]): void {
  for (const { ml_hostname, ml_directory } of list) {
    w.u32(1);
    w.opaque(ml_hostname);
    w.opaque(ml_directory);
  }
  w.u32(0);
}

export function decodeMountlist(r: XdrReader): mountbody[] {
  const list: mountbody[] = [];
  while (r.bool()) {
    const ml_hostname = r.opaque(MNTNAMLEN);
    list.push({ ml_hostname, ml_directory: r.opaque(MNTPATHLEN) });
  }
  return list;
}

/** RFC 1813 appendix I §5.2.5: an element of exports. No groups: everybody may mount it. */
export interface exportnode {
  ex_dir: dirpath;
  ex_groups: Uint8Array[];
}

export function encodeExports(w: XdrWriter, exports: readonly exportnode[]): void {
  for (const { ex_dir, ex_groups } of exports) {
    w.u32(1);
    w.opaque(ex_dir);
    for (const group of ex_groups) {
      w.u32(1);
      w.opaque(group);
    }
    w.u32(0);
  }
  w.u32(0);
}

export function decodeExports(r: XdrReader): exportnode[] {
  const exports: exportnode[] = [];
  while (r.bool()) {
    const ex_dir = r.opaque(MNTPATHLEN);
    const ex_groups: Uint8Array[] = [];
    while (r.bool()) ex_groups.push(r.opaque(MNTNAMLEN));
    exports.push({ ex_dir, ex_groups });
  }
  return exports;
}
