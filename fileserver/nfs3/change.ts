/** From a call to an operation in the change queue: duplicates are told apart from new requests here. */
import { hash } from 'node:crypto';
import { NFS3_FHSIZE, nfsproc3 } from '../../protocol/nfs3.ts';
import type { ChangeQueue } from '../storage/duplicate-requests/change-queue.ts';
import type { OperationStep } from '../storage/duplicate-requests/operation-step.ts';
import { KEY_SIZE } from '../storage/journal/journal-records.ts';
import { BytePool } from '../system/byte-pool.ts';
import type { NfsCall, Outcome, Procedure } from './call.ts';
import { Create } from './create.ts';
import { Link } from './link.ts';
import { Mkdir } from './mkdir.ts';
import { Mknod } from './mknod.ts';
import type { Operation, OperationRequest } from './operation.ts';
import { Remove, Rmdir } from './remove.ts';
import { Rename } from './rename.ts';
import { Setattr } from './setattr.ts';
import { Symlink } from './symlink.ts';

/** By procedure number. Constructors throw XdrError for arguments that are malformed. */
export const operations: Readonly<Record<number, new (request: OperationRequest) => Operation>> = {
  [nfsproc3.SETATTR]: Setattr,
  [nfsproc3.CREATE]: Create,
  [nfsproc3.MKDIR]: Mkdir,
  [nfsproc3.SYMLINK]: Symlink,
  [nfsproc3.MKNOD]: Mknod,
  [nfsproc3.REMOVE]: Remove,
  [nfsproc3.RMDIR]: Rmdir,
  [nfsproc3.RENAME]: Rename,
  [nfsproc3.LINK]: Link,
};

/** Arguments, until the operation is answered. */
const argumentMemory = new BytePool();

export type StepListener = (operation: string, step: OperationStep) => void;

/** A procedure for all nine. */
export function changeProcedure(onStep: StepListener): Procedure {
  return (call) => change(call, onStep);
}

function change(call: NfsCall, onStep: StepListener): Outcome {
  const { r, service, caller, procedure } = call;
  const key = keyOf(call);
  const queue = queueOf(call);
  // Before the rights are looked up: what was executed is answered so, whatever has become of its export since.
  const known = queue?.replyCache.find(key) ?? null;
  if (known === 'running') {
    queue!.replyCache.admit(key, call.answerLater(), caller.origin.host);
    return 'later';
  }
  if (known !== null) return answerNow(call, known);
  const args = argumentMemory.copy(r.bytes, r.position, r.end);
  const request: OperationRequest = { service, key, procedure, args, onStep };
  const operation = new operations[procedure]!(request);
  const failure = operation.bind(caller.userOf());
  if (failure !== null || queue === null) return answerNow(call, operation.results);
  queue.replyCache.admit(key, call.answerLater(), caller.origin.host);
  queue.submit(operation);
  return 'later';
}

/** Of the volume in the first handle of the arguments, which all nine begin with; null: it is none that is open here. */
function queueOf({ r, service }: NfsCall): ChangeQueue | null {
  const start = r.position;
  const size = r.skipOpaque(NFS3_FHSIZE);
  r.position = start;
  const volume = service.diskSet.volumeOf(r.bytes, start + 4, size);
  return volume === null ? null : service.changesOf(volume);
}

function answerNow(call: NfsCall, results: Uint8Array): Outcome {
  call.w.ensure(results.length);
  call.w.bytes.set(results, call.w.position);
  call.w.position += results.length;
  return 'answered';
}

/**
 * The request's key: a hash of the whole call, from the XID on, and whose it is. A resent call is the same to the byte and comes
 * from the same client; two calls that differ in anything are two requests.
 */
function keyOf(call: NfsCall): string {
  const { r, callStart, caller } = call;
  const request = hash('sha256', r.bytes.subarray(callStart, r.end), 'binary').slice(0, KEY_SIZE);
  return request + caller.clientKey.text;
}
