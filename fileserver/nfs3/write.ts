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
import { paddedSize, XdrWriter } from '../../protocol/xdr.ts';
import type { AnswerListener } from '../storage/duplicate-requests/reply-cache.ts';
import { failureOfResult, type VolumeFailure } from '../storage/failures/status.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import { mayWrite } from '../storage/files/permissions.ts';
import { OFFSET_MAX, writeFrom } from '../system/file-calls.ts';
import { S_IFDIR, S_IFREG } from '../system/statx.ts';
import { become, type Identity } from '../system/thread-identity.ts';
import { REFUSED } from '../system/write-gate.ts';
import { BeforeAttributes, encodePostOp } from './attributes.ts';
import { contained, type NfsCall, type NfsService, type Outcome, readFile } from './call.ts';
import { nfsstat3Of } from './nfs-status.ts';
import type { Arrived } from './recent-writes.ts';

const before = new BeforeAttributes();
/** For results that are not answered at once. */
const held = new XdrWriter(256);

export function write(call: NfsCall): Outcome {
  const { service, caller, r } = call;
  const file = readFile(call);
  const args = decodeWRITE3argsBehindFile(r);
  r.expectEnd();
  const arrived = {
    xid: r.wordAt(call.callStart),
    sum: service.recentWrites.sumOf(r, call.callStart, r.end - paddedSize(args.data.length)),
    caller,
  };
  const known = service.recentWrites.find(arrived);
  before.forget();
  if (known >= 0) return again(call, file, known);
  if (typeof file === 'string') return failed(call.w, file, null, service);
  const { volume } = file;
  const user = caller.identity(file.tree);
  if (volume.changing.size > 0 && volume.changing.has(file.key)) return wait(call, file, args, arrived);
  const stable = volume.spec.writeThrough === true && args.stable === UNSTABLE ? DATA_SYNC : args.stable;
  if (stable === UNSTABLE) {
    const { w } = call;
    const start = w.position;
    const outcome = perform(service, w, file, args, stable, user);
    if (outcome === 'answered') service.recentWrites.executed(arrived, w.bytes, start, w.position);
    return outcome;
  }
  held.reset();
  const outcome = perform(service, held, file, args, stable, user);
  if (outcome !== 'answered') return outcome;
  service.recentWrites.begin(arrived);
  const answer = answerOf(service, arrived, call.answerLater());
  flushThenAnswer(service, file, stable, held.bytes.slice(0, held.position), answer);
  return 'later';
}

/** It was executed: what was answered, with attributes as they are now. Or it is being executed: then it is answered with it. */
function again(call: NfsCall, file: OpenFile | VolumeFailure, known: number): Outcome {
  const { service, w } = call;
  const { recentWrites } = service;
  if (recentWrites.isRunning(known)) {
    recentWrites.join(known, call.answerLater());
    return 'later';
  }
  const status = recentWrites.statusAt(known);
  w.u32(status);
  before.encode(w);
  const there = typeof file !== 'string' && service.diskSet.attributes(file, file.volume.stat) === 'ok';
  if (there) encodePostOp(w, file.volume.stat, file.volume);
  else w.u32(0);
  if (status === NFS3_OK) recentWrites.encodeKept(w, known);
  return 'answered';
}

/** Answers a WRITE that was begun, and copies of it that have come since. */
function answerOf(service: NfsService, arrived: Arrived, answer: AnswerListener): AnswerListener {
  const { recentWrites } = service;
  return (results) => {
    const copies = results === null ? recentWrites.forget(arrived) : recentWrites.ended(arrived, results);
    answer(results);
    for (const copy of copies) copy(results);
  };
}

/**
 * A SETATTR or the like of this file is being executed, and might cut off what this WRITE adds if it had to be
 * completed after a crash. So the WRITE comes after it; its data is copied, since its record won't stay. Exports may change
 * meanwhile: its file and its rights are looked up again.
 */
function wait(call: NfsCall, file: OpenFile, args: WRITE3argsBehindFile, arrived: Arrived): Outcome {
  const { service } = call;
  const userOf = call.caller.userOf();
  service.recentWrites.begin(arrived);
  const answer = answerOf(service, arrived, call.answerLater());
  const copied: WRITE3argsBehindFile = { ...args, data: args.data.slice() };
  const go = (): void => {
    held.reset();
    before.forget();
    const stable = copied.stable === UNSTABLE ? DATA_SYNC : copied.stable;
    const now = service.diskSet.resolveHandle(file.handle);
    const user = typeof now === 'string' ? now : userOf(now.tree);
    if (typeof now === 'string' || typeof user === 'string') {
      failed(held, typeof now === 'string' ? now : 'accessDenied', null, service);
      answer(held.bytes.slice(0, held.position));
      return;
    }
    const outcome = perform(service, held, now, copied, stable, user);
    if (outcome === 'refused') return;
    flushThenAnswer(service, now, stable, held.bytes.slice(0, held.position), answer);
  };
  service.changesOf(file.volume).whenUnchanging(file.key, () => contained(service, answer, go));
  return 'later';
}

function flushThenAnswer(
  service: NfsService,
  file: OpenFile,
  stable: stable_how,
  results: Uint8Array,
  answer: AnswerListener,
): void {
  if (new DataView(results.buffer, results.byteOffset).getUint32(0) !== NFS3_OK) {
    answer(results);
    return;
  }
  service.flusher.flush(file, stable === FILE_SYNC ? 'all' : 'data', (outcome) => {
    if (outcome === 'ok') answer(results);
    else if (outcome === 'stale') answer(staleResults());
    // What a failed flush leaves behind is unknown, and stays so even if a later one succeeds.
    else file.volume.fail('IoError', `volume ${file.volume.spec.name}: data could not be flushed`);
  });
}

function perform(
  service: NfsService,
  w: XdrWriter,
  file: OpenFile,
  args: WRITE3argsBehindFile,
  stable: stable_how,
  user: Identity,
): Outcome {
  const { volume } = file;
  const status = service.diskSet.attributes(file, volume.stat);
  before.forget();
  if (status !== 'ok') return failed(w, status, null, service);
  before.take(volume.stat);
  const refused = check(service, file, args, user);
  if (refused !== null) return failed(w, refused, file, service);
  become(user);
  const count = args.count === 0 ? 0 : writeFrom(volume.gate, file.writeFd, args.data, args.offset);
  if (count === REFUSED) return 'refused';
  if (count < 0) return failed(w, volume.failure('pwrite64', count, volume.stat.inode), file, service);
  if (stable === UNSTABLE) service.flusher.noteUnstable(file);
  const after = service.diskSet.attributes(file, volume.stat) === 'ok';
  w.u32(NFS3_OK);
  before.encode(w);
  encodePostOp(w, after ? volume.stat : null, volume);
  w.u32(count);
  w.u32(stable);
  w.opaqueFixed(volume.writeVerifier);
  return 'answered';
}

/** May the user write there? Opens the file. volume.stat holds its attributes before and, if not null, after. */
function check(
  service: NfsService,
  file: OpenFile,
  args: WRITE3argsBehindFile,
  user: Identity,
): VolumeFailure | null {
  const { volume, tree } = file;
  const { type } = volume.stat;
  if (type === S_IFDIR) return 'isDirectory';
  // RFC 1813 §3.3.7: NFS3ERR_INVAL for what is no regular file, and where count and the data's length differ.
  if (type !== S_IFREG || args.count !== args.data.length) return 'invalid';
  if (tree.readOnly) return 'readOnly';
  if (typeof args.offset === 'bigint' && args.offset + BigInt(args.count) > OFFSET_MAX) return 'fileTooBig';
  const { shortage } = volume.reserve;
  if (shortage !== null) return shortage;
  const fd = service.diskSet.table.writeFd(file);
  if (fd < 0) return failureOfResult(fd);
  const status = mayWrite(file, user, volume.stat);
  return status === 'ok' ? null : status;
}

/** The file was removed before its data could be flushed: RFC 1813 §3.3.7 WRITE3resfail, without attributes. */
function staleResults(): Uint8Array {
  held.reset();
  held.u32(nfsstat3Of('stale'));
  held.u32(0);
  held.u32(0);
  return held.bytes.slice(0, held.position);
}

/** file: null where its attributes are not to be had. */
function failed(w: XdrWriter, failure: VolumeFailure, file: OpenFile | null, service: NfsService): Outcome {
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
