/** FSSTAT, RFC 1813 §3.3.18: how full the volume is. */
import { NFS3_OK } from '../../protocol/nfs3.ts';
import { fileSystemInfo } from '../system/file-system-info.ts';
import { encodePostOp } from './attributes.ts';
import { type NfsCall, type Outcome, readFile } from './call.ts';
import { failedWithAttributes } from './failure.ts';

export function fsstat(call: NfsCall): Outcome {
  const { w, r, service } = call;
  const file = readFile(call);
  r.expectEnd();
  if (typeof file === 'string') return failedWithAttributes(call, file, null);
  const { volume } = file;
  const status = service.diskSet.attributes(file, volume.stat);
  if (status !== 'ok') return failedWithAttributes(call, status, null);
  const info = fileSystemInfo(file.pathFd);
  if (typeof info === 'number') return failedWithAttributes(call, volume.failure('fstatfs64', info), file);
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
  return 'answered';
}
