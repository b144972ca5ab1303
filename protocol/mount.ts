/** MOUNT version 3 (RFC 1813 appendix I): how a client gets the first file handle. Both directions. */

import { NFS3_FHSIZE } from './nfs3/constants.ts';
import { array, list, opaque, result, struct, u32, type Value } from './xdr-types.ts';

// Paths and names are bytes, handed out as views. Lists are linked lists in XDR; the record that holds them bounds their length.

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

const MOUNTED = { fhandle: opaque(FHSIZE3), auth_flavors: array(u32) };
const NOT_MOUNTED = {};

const statusNames = new Map<number, string>(Object.entries(mountstat3).map(([name, value]) => [value, name]));

/** For logs and error texts: `MNT3ERR_ACCES`, or `mountstat3 4711` for a number that the RFC does not list. */
export function mountstat3Name(status: number): string {
  return statusNames.get(status) ?? `mountstat3 ${status}`;
}

/** Arguments of MNT and UMNT. */
export const dirpath = opaque(MNTPATHLEN);

/** RFC 1813 appendix I §5.2.1: mountres3. */
export type mountres3 = Value<typeof mountres3>;
export const mountres3 = result<mountstat3, typeof MOUNTED, typeof NOT_MOUNTED>(MOUNTED, NOT_MOUNTED);

/** RFC 1813 appendix I §5.2.2. */
export const mountlist = list(struct({ ml_hostname: opaque(MNTNAMLEN), ml_directory: dirpath }));

/** RFC 1813 appendix I §5.2.5: an element of exports. No groups: everybody may mount it. */
const exportnode = struct({ ex_dir: dirpath, ex_groups: list(opaque(MNTNAMLEN)) });
export type exportnode = Value<typeof exportnode>;
export const exportlist = list(exportnode);
