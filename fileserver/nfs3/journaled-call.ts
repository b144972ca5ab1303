/** From a call to an operation in the volume's log: distinguishes duplicates from new requests. */
import { hash } from 'node:crypto';
import { NFS3_FHSIZE } from '../../protocol/nfs3.ts';
import { LATER, type Outcome, type RpcCall } from '../rpc/rpc-program.ts';
import { statusOfResults } from '../storage/journal/journal-payloads.ts';
import { KEY_SIZE } from '../storage/journal/journal-records.ts';
import type { Volume } from '../storage/volume/volume.ts';
import { type AnyJournaledProcedure, Request } from './journaled-procedure.ts';
import type { NfsContext } from './nfs-context.ts';

export function callJournaled(procedure: AnyJournaledProcedure, call: RpcCall, context: NfsContext): Outcome {
  const { r, caller } = call;
  const key = keyOf(call);
  const volume = volumeOf(call, context);
  const log = volume === null ? null : context.logOf(volume);
  // Before the rights are looked up: what was executed is answered so, whatever has become of its export since.
  const known = log?.requests.find(key) ?? null;
  if (known === 'running') {
    log!.requests.admit(key, call.answerLater(), caller.origin.host);
    return LATER;
  }
  if (known !== null) return answerNow(call, known);
  const args = context.argumentMemory.copy(r.bytes, r.position, r.end);
  const request = new Request(context, key, procedure, args, caller.userOf());
  const bound = request.bind();
  if (typeof bound === 'string') return answerNow(call, request.refuse(bound));
  // Its objects lie on volumes that different threads change. RFC 1813 §3.3.14, §3.3.15: NFS3ERR_XDEV.
  if (log === null) return answerNow(call, request.refuse('crossesVolumes'));
  log.requests.admit(key, call.answerLater(), caller.origin.host);
  log.submit(request);
  return LATER;
}

/** Volume of the first handle of the arguments, which all nine begin with; null: it is not open here. */
function volumeOf({ r }: RpcCall, { diskSet }: NfsContext): Volume | null {
  const start = r.position;
  const size = r.skipOpaque(NFS3_FHSIZE);
  r.position = start;
  return diskSet.volumeOf(r.bytes, start + 4, size);
}

function answerNow({ w }: RpcCall, results: Uint8Array): Outcome {
  w.ensure(results.length);
  w.bytes.set(results, w.position);
  w.position += results.length;
  return statusOfResults(results);
}

/**
 * The request's key: a hash of the whole call, from the XID on, and whose it is. A resent call is the same to the byte and comes
 * from the same client; two calls that differ in anything are two requests.
 */
function keyOf({ r, callStart, caller }: RpcCall): string {
  const request = hash('sha256', r.bytes.subarray(callStart, r.end), 'binary').slice(0, KEY_SIZE);
  return request + caller.clientKey.text;
}
