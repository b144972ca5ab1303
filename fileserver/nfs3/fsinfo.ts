/** FSINFO, RFC 1813 §3.3.19: what this server can do, which sizes it likes. */
import {
  FSF3_CANSETTIME,
  FSF3_HOMOGENEOUS,
  FSF3_LINK,
  FSF3_SYMLINK,
  NFS3_IO_SIZE_MAX,
  NFS3_OK,
} from '../../protocol/nfs3.ts';
import { encodePostOp } from './attributes.ts';
import { type NfsCall, type Outcome, readFile } from './call.ts';
import { failedWithAttributes } from './failure.ts';

const IO_SIZE_MULTIPLE = 4096;
const LISTING_SIZE = 64 * 1024;

export function fsinfo(call: NfsCall): Outcome {
  const { w, r, service } = call;
  const file = readFile(call);
  r.expectEnd();
  if (typeof file === 'string') return failedWithAttributes(call, file, null);
  const { volume } = file;
  const status = service.diskSet.attributes(file, volume.stat);
  if (status !== 'ok') return failedWithAttributes(call, status, null);
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
  return 'answered';
}
