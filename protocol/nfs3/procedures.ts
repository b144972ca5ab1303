// NFS version 3: the 22 procedures as a table, for code that treats all of them alike: a client's generic call,
// a test of every codec, a tool that prints traffic. A server's hot path calls the codecs themselves.

import type { XdrReader, XdrWriter } from '../xdr.ts';
import * as args from './arguments.ts';
import type { nfsproc3 } from './constants.ts';
import { nfsproc3 as numbers } from './constants.ts';
import * as listings from './listings.ts';
import * as results from './results.ts';

/** Arguments and result of each procedure but NULL, which has neither. */
export interface Nfs3Calls {
  GETATTR: { args: args.GETATTR3args; res: results.GETATTR3res };
  SETATTR: { args: args.SETATTR3args; res: results.SETATTR3res };
  LOOKUP: { args: args.LOOKUP3args; res: results.LOOKUP3res };
  ACCESS: { args: args.ACCESS3args; res: results.ACCESS3res };
  READLINK: { args: args.READLINK3args; res: results.READLINK3res };
  READ: { args: args.READ3args; res: results.READ3res };
  WRITE: { args: args.WRITE3args; res: results.WRITE3res };
  CREATE: { args: args.CREATE3args; res: results.CREATE3res };
  MKDIR: { args: args.MKDIR3args; res: results.MKDIR3res };
  SYMLINK: { args: args.SYMLINK3args; res: results.SYMLINK3res };
  MKNOD: { args: args.MKNOD3args; res: results.MKNOD3res };
  REMOVE: { args: args.REMOVE3args; res: results.REMOVE3res };
  RMDIR: { args: args.RMDIR3args; res: results.RMDIR3res };
  RENAME: { args: args.RENAME3args; res: results.RENAME3res };
  LINK: { args: args.LINK3args; res: results.LINK3res };
  READDIR: { args: args.READDIR3args; res: listings.READDIR3res };
  READDIRPLUS: { args: args.READDIRPLUS3args; res: listings.READDIRPLUS3res };
  FSSTAT: { args: args.FSSTAT3args; res: results.FSSTAT3res };
  FSINFO: { args: args.FSINFO3args; res: results.FSINFO3res };
  PATHCONF: { args: args.PATHCONF3args; res: results.PATHCONF3res };
  COMMIT: { args: args.COMMIT3args; res: results.COMMIT3res };
}
export type Nfs3Name = keyof Nfs3Calls;

export interface Nfs3Procedure<Args, Res> {
  proc: nfsproc3;
  encodeArgs(w: XdrWriter, args: Args): void;
  decodeArgs(r: XdrReader): Args;
  encodeRes(w: XdrWriter, res: Res): void;
  decodeRes(r: XdrReader): Res;
}

function procedure<Args, Res>(
  proc: nfsproc3,
  encodeArgs: (w: XdrWriter, args: Args) => void,
  decodeArgs: (r: XdrReader) => Args,
  encodeRes: (w: XdrWriter, res: Res) => void,
  decodeRes: (r: XdrReader) => Res,
): Nfs3Procedure<Args, Res> {
  return { proc, encodeArgs, decodeArgs, encodeRes, decodeRes };
}

export const nfs3Procedures: {
  readonly [Name in Nfs3Name]: Nfs3Procedure<Nfs3Calls[Name]['args'], Nfs3Calls[Name]['res']>;
} = {
  GETATTR: procedure(
    numbers.GETATTR,
    args.encodeGETATTR3args,
    args.decodeGETATTR3args,
    results.encodeGETATTR3res,
    results.decodeGETATTR3res,
  ),
  SETATTR: procedure(
    numbers.SETATTR,
    args.encodeSETATTR3args,
    args.decodeSETATTR3args,
    results.encodeSETATTR3res,
    results.decodeSETATTR3res,
  ),
  LOOKUP: procedure(
    numbers.LOOKUP,
    args.encodeLOOKUP3args,
    args.decodeLOOKUP3args,
    results.encodeLOOKUP3res,
    results.decodeLOOKUP3res,
  ),
  ACCESS: procedure(
    numbers.ACCESS,
    args.encodeACCESS3args,
    args.decodeACCESS3args,
    results.encodeACCESS3res,
    results.decodeACCESS3res,
  ),
  READLINK: procedure(
    numbers.READLINK,
    args.encodeREADLINK3args,
    args.decodeREADLINK3args,
    results.encodeREADLINK3res,
    results.decodeREADLINK3res,
  ),
  READ: procedure(
    numbers.READ,
    args.encodeREAD3args,
    args.decodeREAD3args,
    results.encodeREAD3res,
    results.decodeREAD3res,
  ),
  WRITE: procedure(
    numbers.WRITE,
    args.encodeWRITE3args,
    args.decodeWRITE3args,
    results.encodeWRITE3res,
    results.decodeWRITE3res,
  ),
  CREATE: procedure(
    numbers.CREATE,
    args.encodeCREATE3args,
    args.decodeCREATE3args,
    results.encodeCREATE3res,
    results.decodeCREATE3res,
  ),
  MKDIR: procedure(
    numbers.MKDIR,
    args.encodeMKDIR3args,
    args.decodeMKDIR3args,
    results.encodeMKDIR3res,
    results.decodeMKDIR3res,
  ),
  SYMLINK: procedure(
    numbers.SYMLINK,
    args.encodeSYMLINK3args,
    args.decodeSYMLINK3args,
    results.encodeSYMLINK3res,
    results.decodeSYMLINK3res,
  ),
  MKNOD: procedure(
    numbers.MKNOD,
    args.encodeMKNOD3args,
    args.decodeMKNOD3args,
    results.encodeMKNOD3res,
    results.decodeMKNOD3res,
  ),
  REMOVE: procedure(
    numbers.REMOVE,
    args.encodeREMOVE3args,
    args.decodeREMOVE3args,
    results.encodeREMOVE3res,
    results.decodeREMOVE3res,
  ),
  RMDIR: procedure(
    numbers.RMDIR,
    args.encodeRMDIR3args,
    args.decodeRMDIR3args,
    results.encodeRMDIR3res,
    results.decodeRMDIR3res,
  ),
  RENAME: procedure(
    numbers.RENAME,
    args.encodeRENAME3args,
    args.decodeRENAME3args,
    results.encodeRENAME3res,
    results.decodeRENAME3res,
  ),
  LINK: procedure(
    numbers.LINK,
    args.encodeLINK3args,
    args.decodeLINK3args,
    results.encodeLINK3res,
    results.decodeLINK3res,
  ),
  READDIR: procedure(
    numbers.READDIR,
    args.encodeREADDIR3args,
    args.decodeREADDIR3args,
    listings.encodeREADDIR3res,
    listings.decodeREADDIR3res,
  ),
  READDIRPLUS: procedure(
    numbers.READDIRPLUS,
    args.encodeREADDIRPLUS3args,
    args.decodeREADDIRPLUS3args,
    listings.encodeREADDIRPLUS3res,
    listings.decodeREADDIRPLUS3res,
  ),
  FSSTAT: procedure(
    numbers.FSSTAT,
    args.encodeFSSTAT3args,
    args.decodeFSSTAT3args,
    results.encodeFSSTAT3res,
    results.decodeFSSTAT3res,
  ),
  FSINFO: procedure(
    numbers.FSINFO,
    args.encodeFSINFO3args,
    args.decodeFSINFO3args,
    results.encodeFSINFO3res,
    results.decodeFSINFO3res,
  ),
  PATHCONF: procedure(
    numbers.PATHCONF,
    args.encodePATHCONF3args,
    args.decodePATHCONF3args,
    results.encodePATHCONF3res,
    results.decodePATHCONF3res,
  ),
  COMMIT: procedure(
    numbers.COMMIT,
    args.encodeCOMMIT3args,
    args.decodeCOMMIT3args,
    results.encodeCOMMIT3res,
    results.decodeCOMMIT3res,
  ),
};
