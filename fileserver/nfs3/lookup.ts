/** LOOKUP, RFC 1813 §3.3.3. */
import { filename3, NFS3_OK } from '../../protocol/nfs3.ts';
import { StatBuffer } from '../system/statx.ts';
import { encodePostOp } from './attributes.ts';
import { type NfsCall, type Outcome, readFile } from './call.ts';
import { failedWithAttributes } from './failure.ts';

const dirStat = new StatBuffer();

export function lookup(call: NfsCall): Outcome {
  const { w, r, service } = call;
  const dir = readFile(call);
  const name = filename3.decode(r);
  r.expectEnd();
  if (typeof dir === 'string') return failedWithAttributes(call, dir, null);
  const { diskSet } = service;
  const file = diskSet.lookup(dir, name, call.caller.identity(dir.tree));
  if (typeof file === 'string') return failedWithAttributes(call, file, dir);
  const { volume } = file;
  const status = diskSet.attributes(file, volume.stat);
  // Removed between the two calls: as if it had been before the first.
  if (status !== 'ok') return failedWithAttributes(call, status === 'stale' ? 'noEntry' : status, dir);
  w.u32(NFS3_OK);
  w.opaque(file.handle);
  encodePostOp(w, volume.stat, volume);
  encodePostOp(w, diskSet.attributes(dir, dirStat) === 'ok' ? dirStat : null, volume);
  return 'answered';
}
