/** READLINK, RFC 1813 §3.3.5. The target is the client's to interpret; this server never follows it. */
import { NFS3_OK } from '../../protocol/nfs3.ts';
import { readLink } from '../system/file-calls.ts';
import { S_IFLNK } from '../system/statx.ts';
import { encodePostOp } from './attributes.ts';
import { type NfsCall, type Outcome, readFile } from './call.ts';
import { failedWithAttributes } from './failure.ts';

export function readlink(call: NfsCall): Outcome {
  const { w, r, service } = call;
  const file = readFile(call);
  r.expectEnd();
  if (typeof file === 'string') return failedWithAttributes(call, file, null);
  const { volume } = file;
  const status = service.diskSet.attributes(file, volume.stat);
  if (status !== 'ok') return failedWithAttributes(call, status, null);
  // RFC 1813 §3.3.5: NFS3ERR_INVAL where the object is no symbolic link.
  if (volume.stat.type !== S_IFLNK) return failedWithAttributes(call, 'invalid', file);
  const target = readLink(file.pathFd);
  if (typeof target === 'number')
    return failedWithAttributes(call, volume.failure('readlinkat', target, volume.stat.inode), file);
  w.u32(NFS3_OK);
  encodePostOp(w, volume.stat, volume);
  w.opaque(target);
  return 'answered';
}
