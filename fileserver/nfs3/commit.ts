/** COMMIT, RFC 1813 §3.3.21: what was written unstable is on the disk when this is answered. Flushes the whole file. */
import { NFS3_OK } from '../../protocol/nfs3.ts';
import { XdrWriter } from '../../protocol/xdr.ts';
import type { VolumeFailure } from '../storage/failures/status.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import { mayWrite } from '../storage/files/permissions.ts';
import type { FlushOutcome } from '../storage/flush/data-flusher.ts';
import { S_IFREG } from '../system/statx.ts';
import { BeforeAttributes, encodePostOp } from './attributes.ts';
import { contained, type NfsCall, type Outcome, readFile } from './call.ts';
import { nfsstat3Of } from './nfs-status.ts';

const before = new BeforeAttributes();
const held = new XdrWriter(256);

export function commit(call: NfsCall): Outcome {
  const { r, service } = call;
  const file = readFile(call);
  // Offset and count: a hint that needs no using, since the whole file is flushed.
  r.u64Saturated();
  r.u32();
  r.expectEnd();
  before.forget();
  if (typeof file === 'string') return failed(call, file, null);
  const { volume } = file;
  const status = service.diskSet.attributes(file, volume.stat);
  if (status !== 'ok') return failed(call, status, null);
  before.take(volume.stat);
  if (volume.stat.type !== S_IFREG) return failed(call, 'invalid', file);
  const permitted = mayWrite(file, call.caller.identity(file.tree), volume.stat);
  if (permitted !== 'ok') return failed(call, permitted, file);
  const answer = call.answerLater();
  const flushed = (outcome: FlushOutcome): void => {
    if (outcome === 'ioError') {
      volume.fail('IoError', `volume ${volume.spec.name}: data could not be flushed`);
      return;
    }
    held.reset();
    held.u32(outcome === 'ok' ? NFS3_OK : nfsstat3Of(outcome));
    held.u32(0);
    encodePostOp(held, service.diskSet.attributes(file, volume.stat) === 'ok' ? volume.stat : null, volume);
    if (outcome === 'ok') held.opaqueFixed(volume.writeVerifier);
    answer(held.bytes.slice(0, held.position));
  };
  service.flusher.flush(file, 'data', (outcome) => contained(service, answer, () => flushed(outcome)));
  return 'later';
}

function failed(call: NfsCall, failure: VolumeFailure, file: OpenFile | null): Outcome {
  const { w, service } = call;
  w.u32(nfsstat3Of(failure));
  if (file === null) {
    w.u32(0);
    w.u32(0);
    return 'answered';
  }
  before.encode(w);
  const { volume } = file;
  encodePostOp(w, service.diskSet.attributes(file, volume.stat) === 'ok' ? volume.stat : null, volume);
  return 'answered';
}
