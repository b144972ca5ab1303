/**
 * WRITE, RFC 1813 §3.3.7. UNSTABLE data stays in the page cache and is answered at once; DATA_SYNC and FILE_SYNC are
 * answered when the data is on the disk. On a volume that must not keep dirty pages (docs/design.md R9) every write is
 * DATA_SYNC at least. A copy of a WRITE that was executed a moment ago is answered and not executed (recent-writes.ts).
 */
import {
  DATA_SYNC,
  decodeWRITE3argsBehindFile,
  FILE_SYNC,
  NFS3_OK,
  type stable_how,
  UNSTABLE,
  type WRITE3argsBehindFile,
} from '../../protocol/nfs3.ts';
import { paddedSize, type XdrWriter } from '../../protocol/xdr.ts';
import { LATER, LEASE_EXPIRED, type Outcome, type RpcCall } from '../rpc/rpc-program.ts';
import type { ReplyListener } from '../storage/duplicate-requests/reply-listener.ts';
import { failureOfResult, type VolumeFailure } from '../storage/failures/status.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import { mayWrite } from '../storage/files/permissions.ts';
import { OFFSET_MAX, writeFrom } from '../system/data-calls.ts';
import { S_IFDIR, S_IFREG } from '../system/statx.ts';
import { asUser, type Identity } from '../system/thread-identity.ts';
import { REFUSED } from '../system/write-gate.ts';
import { encodeAttributesNow, failedWithWcc, readFile } from './call.ts';
import type { NfsContext } from './nfs-context.ts';
import type { Arrived } from './recent-writes.ts';

export function write(call: RpcCall, context: NfsContext): Outcome {
  const { caller, r } = call;
  const { recentWrites } = context;
  const file = readFile(call, context);
  const args = decodeWRITE3argsBehindFile(r);
  r.expectEnd();
  const arrived = {
    // Signed, as the sum: a small integer is no object of the engine's.
    xid: r.wordAt(call.callStart) | 0,
    sum: recentWrites.sumOf(r, call.callStart, r.end - paddedSize(args.data.length)),
    caller,
  };
  const known = recentWrites.find(arrived);
  if (known >= 0) return again(call, context, file, known);
  if (typeof file === 'string') return failed(call.w, context, file, null);
  const { volume } = file;
  const user = caller.identity(file.tree);
  if (volume.changing.size > 0 && volume.changing.has(file.key))
    return wait(call, context, file, args, arrived);
  const stable = volume.spec.writeThrough === true && args.stable === UNSTABLE ? DATA_SYNC : args.stable;
  if (stable === UNSTABLE) {
    const { w } = call;
    const status = perform(context, w, file, args, stable, user);
    if (status === NFS3_OK) call.byteCount = args.count;
    if (status !== LEASE_EXPIRED) recentWrites.executed(arrived, status, w.bytes, w.position);
    return status;
  }
  const { out } = context;
  out.reset();
  const status = perform(context, out, file, args, stable, user);
  if (status === LEASE_EXPIRED) return status;
  recentWrites.begin(arrived);
  const reply = replyTo(context, arrived, call.answerLater());
  flushThenReply(context, file, args, stable, status, reply);
  return LATER;
}

/** It was executed: what was answered, with attributes as they are now. Or it is being executed: then it is answered with it. */
function again(call: RpcCall, context: NfsContext, file: OpenFile | VolumeFailure, known: number): Outcome {
  const { w } = call;
  const { recentWrites } = context;
  if (recentWrites.isRunning(known)) {
    recentWrites.join(known, call.answerLater());
    return LATER;
  }
  const status = recentWrites.statusAt(known);
  w.u32(status);
  w.u32(0);
  if (typeof file === 'string') w.u32(0);
  else encodeAttributesNow(w, context, file);
  if (status === NFS3_OK) recentWrites.encodeKept(w, known);
  return status;
}

/** Answers a WRITE that was begun, and copies of it that have come since. */
function replyTo({ recentWrites }: NfsContext, arrived: Arrived, reply: ReplyListener): ReplyListener {
  return (results, status, byteCount) => {
    const copies =
      results === null ? recentWrites.forget(arrived) : recentWrites.ended(arrived, status, results);
    reply(results, status, byteCount);
    for (const copy of copies) copy(results, status, 0);
  };
}

/**
 * A SETATTR or the like of this file is being executed, and might cut off what this WRITE adds if it had to be
 * completed after a crash. So the WRITE comes after it; its data is copied, since its record won't stay. Exports may change
 * meanwhile: its file and its rights are looked up again.
 */
function wait(
  call: RpcCall,
  context: NfsContext,
  file: OpenFile,
  args: WRITE3argsBehindFile,
  arrived: Arrived,
): Outcome {
  const { out, recentWrites, diskSet } = context;
  const userOf = call.caller.userOf();
  recentWrites.begin(arrived);
  const reply = replyTo(context, arrived, call.answerLater());
  const copied: WRITE3argsBehindFile = { ...args, data: args.data.slice() };
  const go = (): void => {
    out.reset();
    const stable = copied.stable === UNSTABLE ? DATA_SYNC : copied.stable;
    const now = diskSet.resolveHandle(file.handle);
    const user = typeof now === 'string' ? now : userOf(now.tree);
    if (typeof now === 'string' || typeof user === 'string') {
      const status = failed(out, context, typeof now === 'string' ? now : 'accessDenied', null);
      reply(out.bytes.slice(0, out.position), status, 0);
      return;
    }
    const status = perform(context, out, now, copied, stable, user);
    if (status !== LEASE_EXPIRED) flushThenReply(context, now, copied, stable, status, reply);
  };
  context.logOf(file.volume)!.whenUnchanging(file.key, () => context.contained(reply, go));
  return LATER;
}

/** The results are in NfsContext.out. */
function flushThenReply(
  context: NfsContext,
  file: OpenFile,
  { count }: WRITE3argsBehindFile,
  stable: stable_how,
  status: number,
  reply: ReplyListener,
): void {
  const { out } = context;
  const results = out.bytes.slice(0, out.position);
  if (status !== NFS3_OK) {
    reply(results, status, 0);
    return;
  }
  context.flusher.flush(file, stable === FILE_SYNC ? 'all' : 'data', (outcome) => {
    if (outcome === 'ok') reply(results, NFS3_OK, count);
    else if (outcome === 'stale') replyStale(context, reply);
    // The state that a failed flush leaves is unknown, and stays so even if a later one succeeds.
    else file.volume.fail('IoError', `volume ${file.volume.spec.name}: data could not be flushed`);
  });
}

/** The status, or LEASE_EXPIRED. */
function perform(
  context: NfsContext,
  w: XdrWriter,
  file: OpenFile,
  args: WRITE3argsBehindFile,
  stable: stable_how,
  user: Identity,
): Outcome {
  const { volume } = file;
  const [before] = context.before;
  const status = context.diskSet.attributes(file, volume.stat);
  if (status !== 'ok') return failed(w, context, status, null);
  before.take(volume.stat);
  const refused = check(context, file, args, user);
  if (refused !== null) return failed(w, context, refused, file);
  const { gate } = volume;
  const count = args.count === 0 ? 0 : asUser(user, writeFrom, gate, file.writeFd, args.data, args.offset);
  if (count === REFUSED) return LEASE_EXPIRED;
  if (count < 0) return failed(w, context, volume.failure('pwrite64', count, volume.stat.inode), file);
  if (stable === UNSTABLE) context.flusher.noteUnstable(file);
  w.u32(NFS3_OK);
  before.encode(w);
  encodeAttributesNow(w, context, file);
  w.u32(count);
  w.u32(stable);
  w.opaqueFixed(volume.writeVerifier);
  return NFS3_OK;
}

/** May the user write there? Opens the file. volume.stat holds its attributes before and, if not null, after. */
function check(
  context: NfsContext,
  file: OpenFile,
  args: WRITE3argsBehindFile,
  user: Identity,
): VolumeFailure | null {
  const { volume, tree } = file;
  const { type } = volume.stat;
  if (type === S_IFDIR) return 'isDirectory';
  // RFC 1813 §3.3.7: NFS3ERR_INVAL for an object that is not a regular file, and where count and the data's length differ.
  if (type !== S_IFREG || args.count !== args.data.length) return 'invalid';
  if (tree.readOnly) return 'readOnly';
  if (typeof args.offset === 'bigint' && args.offset + BigInt(args.count) > OFFSET_MAX) return 'fileTooBig';
  const { shortage } = volume.reserve;
  if (shortage !== null) return shortage;
  const fd = context.diskSet.table.writeFd(file);
  if (fd < 0) return failureOfResult(fd);
  const status = mayWrite(file, user, volume.stat);
  return status === 'ok' ? null : status;
}

/** The file was removed before its data could be flushed: RFC 1813 §3.3.7 WRITE3resfail, without attributes. */
function replyStale(context: NfsContext, reply: ReplyListener): void {
  const { out } = context;
  out.reset();
  const status = failed(out, context, 'stale', null);
  reply(out.bytes.slice(0, out.position), status, 0);
}

/** file: null where its attributes are not to be had; otherwise those before are in NfsContext.before. */
function failed(w: XdrWriter, context: NfsContext, failure: VolumeFailure, file: OpenFile | null): Outcome {
  return failedWithWcc(w, context, failure, context.before[0], file);
}
