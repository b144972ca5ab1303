/** FSSTAT, RFC 1813 §3.3.18: how full the volume is. */
import { NFS3_OK } from '../../protocol/nfs3.ts';
import type { Outcome, RpcCall } from '../rpc/rpc-program.ts';
import { fileSystemInfo } from '../system/file-system-info.ts';
import { encodePostOp } from './attributes.ts';
import { failedWithAttributes, readFileWithAttributes } from './call.ts';
import type { NfsContext } from './nfs-context.ts';

export function fsstat(call: RpcCall, context: NfsContext): Outcome {
  const { w } = call;
  const file = readFileWithAttributes(call, context);
  if (typeof file === 'number') return file;
  const { volume } = file;
  const info = fileSystemInfo(file.pathFd);
  if (typeof info === 'number')
    return failedWithAttributes(call, context, volume.failure('fstatfs64', info), file);
  w.u32(NFS3_OK);
  encodePostOp(w, volume.stat, volume);
  w.u64(info.total);
  w.u64(info.free);
  w.u64(info.available);
  w.u64(info.files);
  w.u64(info.filesFree);
  w.u64(info.filesFree);
  // invarsec: it may change at any moment.
  w.u32(0);
  return NFS3_OK;
}
