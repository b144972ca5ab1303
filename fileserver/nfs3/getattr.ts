/** GETATTR, RFC 1813 §3.3.1. */
import { NFS3_OK } from '../../protocol/nfs3.ts';
import { type Outcome, type RpcCall, WOULD_BLOCK } from '../rpc/rpc-program.ts';
import { encodeAttributes } from './attributes.ts';
import { readFile } from './call.ts';
import type { NfsContext } from './nfs-context.ts';
import { nfsstat3Of } from './nfs-status.ts';

export function getattr(call: RpcCall, context: NfsContext): Outcome {
  const { w } = call;
  const file = readFile(call, context);
  call.r.expectEnd();
  const failure = typeof file === 'string' ? file : context.diskSet.attributes(file, file.volume.stat);
  if (failure === 'wouldBlock') return WOULD_BLOCK;
  if (typeof file === 'string' || failure !== 'ok') {
    const status = nfsstat3Of(failure as Exclude<typeof failure, 'ok'>);
    w.u32(status);
    return status;
  }
  w.u32(NFS3_OK);
  encodeAttributes(w, file.volume.stat, file.volume);
  return NFS3_OK;
}
