/** READLINK, RFC 1813 §3.3.5. The target is the client's to interpret; this server never follows it. */
import { NFS3_OK } from '../../protocol/nfs3.ts';
import type { Outcome, RpcCall } from '../rpc/rpc-program.ts';
import { readLink } from '../system/file-calls.ts';
import { S_IFLNK } from '../system/statx.ts';
import { encodePostOp } from './attributes.ts';
import { failedWithAttributes, readFileWithAttributes } from './call.ts';
import type { NfsContext } from './nfs-context.ts';

export function readlink(call: RpcCall, context: NfsContext): Outcome {
  const { w } = call;
  const file = readFileWithAttributes(call, context);
  if (typeof file === 'number') return file;
  const { volume } = file;
  // RFC 1813 §3.3.5: NFS3ERR_INVAL where the object is no symbolic link.
  if (volume.stat.type !== S_IFLNK) return failedWithAttributes(call, context, 'invalid', file);
  const target = readLink(file.pathFd);
  if (typeof target === 'number')
    return failedWithAttributes(call, context, volume.failure('readlinkat', target, volume.stat.inode), file);
  w.u32(NFS3_OK);
  encodePostOp(w, volume.stat, volume);
  w.opaque(target);
  return NFS3_OK;
}
