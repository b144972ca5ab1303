/** FSINFO, RFC 1813 §3.3.19: what this server can do, which sizes it likes. */
import {
  FSF3_CANSETTIME,
  FSF3_HOMOGENEOUS,
  FSF3_LINK,
  FSF3_SYMLINK,
  NFS3_IO_SIZE_MAX,
  NFS3_OK,
} from '../../protocol/nfs3.ts';
import type { Outcome, RpcCall } from '../rpc/rpc-program.ts';
import { encodePostOp } from './attributes.ts';
import { readFileWithAttributes } from './call.ts';
import type { NfsContext } from './nfs-context.ts';

const IO_SIZE_MULTIPLE = 4096;
const LISTING_SIZE = 64 * 1024;

export function fsinfo(call: RpcCall, context: NfsContext): Outcome {
  const { w } = call;
  const file = readFileWithAttributes(call, context);
  if (typeof file === 'number') return file;
  const { volume } = file;
  w.u32(NFS3_OK);
  encodePostOp(w, volume.stat, volume);
  // rtmax, rtpref, rtmult, wtmax, wtpref, wtmult, dtpref
  for (let direction = 0; direction < 2; direction++) {
    w.u32(NFS3_IO_SIZE_MAX);
    w.u32(NFS3_IO_SIZE_MAX);
    w.u32(IO_SIZE_MULTIPLE);
  }
  w.u32(LISTING_SIZE);
  w.u64(volume.fileSizeMax);
  // time_delta: one nanosecond.
  w.u32(0);
  w.u32(1);
  w.u32(FSF3_LINK | FSF3_SYMLINK | FSF3_HOMOGENEOUS | FSF3_CANSETTIME);
  return NFS3_OK;
}
