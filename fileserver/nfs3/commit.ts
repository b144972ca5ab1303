/** COMMIT, RFC 1813 §3.3.21: what was written unstable is on the disk when this is answered. Flushes the whole file. */
import { NFS3_OK } from '../../protocol/nfs3.ts';
import { LATER, type Outcome, type RpcCall } from '../rpc/rpc-program.ts';
import { mayWrite } from '../storage/files/permissions.ts';
import type { FlushOutcome } from '../storage/flush/data-flusher.ts';
import { S_IFREG } from '../system/statx.ts';
import { encodeAttributesNow, failedWithWcc, readFile } from './call.ts';
import type { NfsContext } from './nfs-context.ts';
import { nfsstat3Of } from './nfs-status.ts';

export function commit(call: RpcCall, context: NfsContext): Outcome {
  const { r, w } = call;
  const file = readFile(call, context);
  // Offset and count: a hint that needs no using, since the whole file is flushed.
  r.u64Saturated();
  r.u32();
  r.expectEnd();
  const [before] = context.before;
  before.forget();
  if (typeof file === 'string') return failedWithWcc(w, context, file, before, null);
  const { volume } = file;
  const status = context.diskSet.attributes(file, volume.stat);
  if (status !== 'ok') return failedWithWcc(w, context, status, before, null);
  before.take(volume.stat);
  if (volume.stat.type !== S_IFREG) return failedWithWcc(w, context, 'invalid', before, file);
  const permitted = mayWrite(file, call.caller.identity(file.tree), volume.stat);
  if (permitted !== 'ok') return failedWithWcc(w, context, permitted, before, file);
  const reply = call.answerLater();
  const flushed = (outcome: FlushOutcome): void => {
    if (outcome === 'ioError') {
      volume.fail('IoError', `volume ${volume.spec.name}: data could not be flushed`);
      return;
    }
    const { out } = context;
    const committed = outcome === 'ok' ? NFS3_OK : nfsstat3Of(outcome);
    out.reset();
    out.u32(committed);
    out.u32(0);
    encodeAttributesNow(out, context, file);
    if (outcome === 'ok') out.opaqueFixed(volume.writeVerifier);
    reply(out.bytes.slice(0, out.position), committed, 0);
  };
  context.flusher.flush(file, 'data', (outcome) => context.contained(reply, () => flushed(outcome)));
  return LATER;
}
