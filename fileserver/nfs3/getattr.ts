/** GETATTR, RFC 1813 §3.3.1. */
import { NFS3_OK } from '../../protocol/nfs3.ts';
import { encodeAttributes } from './attributes.ts';
import { type NfsCall, type Outcome, readFile } from './call.ts';
import { nfsstat3Of } from './nfs-status.ts';

export function getattr(call: NfsCall): Outcome {
  const { w, service } = call;
  const file = readFile(call);
  call.r.expectEnd();
  if (typeof file === 'string') {
    w.u32(nfsstat3Of(file));
    return 'answered';
  }
  const { volume } = file;
  const status = service.diskSet.attributes(file, volume.stat);
  if (status === 'needsDisk') return 'elsewhere';
  if (status !== 'ok') {
    w.u32(nfsstat3Of(status));
    return 'answered';
  }
  w.u32(NFS3_OK);
  encodeAttributes(w, volume.stat, volume);
  return 'answered';
}
