/** LOOKUP, RFC 1813 §3.3.3. */
import { filename3, NFS3_OK } from '../../protocol/nfs3.ts';
import type { Outcome, RpcCall } from '../rpc/rpc-program.ts';
import { encodePostOp } from './attributes.ts';
import { failedWithAttributes, readFile } from './call.ts';
import type { NfsContext } from './nfs-context.ts';

export function lookup(call: RpcCall, context: NfsContext): Outcome {
  const { w, r } = call;
  const { diskSet, stat: dirStat } = context;
  const dir = readFile(call, context);
  const name = filename3.decode(r);
  r.expectEnd();
  if (typeof dir === 'string') return failedWithAttributes(call, context, dir, null);
  const file = diskSet.lookup(dir, name, call.caller.identity(dir.tree));
  if (typeof file === 'string') return failedWithAttributes(call, context, file, dir);
  const { volume } = file;
  const status = diskSet.attributes(file, volume.stat);
  // Removed between the two calls: as if it had been before the first.
  if (status !== 'ok')
    return failedWithAttributes(call, context, status === 'stale' ? 'noEntry' : status, dir);
  w.u32(NFS3_OK);
  w.opaque(file.handle);
  encodePostOp(w, volume.stat, volume);
  encodePostOp(w, diskSet.attributes(dir, dirStat) === 'ok' ? dirStat : null, volume);
  return NFS3_OK;
}
