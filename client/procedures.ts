/** The procedures of NFSv3 and MOUNTv3 in the shape that the RPC client calls. */
import {
  dirpath,
  exportlist,
  type exportnode,
  MOUNT_PROGRAM,
  MOUNT_V3,
  mountproc3,
  mountres3,
} from '../protocol/mount.ts';
import {
  encodeWRITE3argsBeforeData,
  NFS_PROGRAM,
  NFS_V3,
  type Nfs3Calls,
  type Nfs3Name,
  nfs3Procedures,
} from '../protocol/nfs3.ts';
import type { XdrReader, XdrWriter } from '../protocol/xdr.ts';
import type { Procedure } from './rpc-client.ts';

export type Nfs3Table = {
  readonly [Name in Nfs3Name]: Procedure<Nfs3Calls[Name]['args'], Nfs3Calls[Name]['res']>;
};

const generic = Object.fromEntries(
  Object.entries(nfs3Procedures).map(([name, codec]) => [
    name,
    {
      name,
      program: NFS_PROGRAM,
      version: NFS_V3,
      procedure: codec.proc,
      encodeArgs: codec.args.encode as (w: XdrWriter, args: never) => void,
      decodeRes: codec.res.decode as (r: XdrReader) => unknown,
    },
  ]),
) as unknown as Nfs3Table;

export const NFS3: Nfs3Table = {
  ...generic,
  // A WRITE is up to a megabyte of data: not copied into the call.
  WRITE: { ...generic.WRITE, encodeArgs: encodeWRITE3argsBeforeData, payloadOf: (args) => args.data },
};

export const MOUNT_MNT: Procedure<Uint8Array, mountres3> = {
  name: 'MNT',
  program: MOUNT_PROGRAM,
  version: MOUNT_V3,
  procedure: mountproc3.MNT,
  encodeArgs: dirpath.encode,
  decodeRes: mountres3.decode,
};

export const MOUNT_EXPORT: Procedure<null, exportnode[]> = {
  name: 'EXPORT',
  program: MOUNT_PROGRAM,
  version: MOUNT_V3,
  procedure: mountproc3.EXPORT,
  encodeArgs: () => {},
  decodeRes: exportlist.decode,
};
