/** READ, RFC 1813 §3.3.6: from the file into the reply, without a copy in between. */
import { NFS3_IO_SIZE_MAX, NFS3_OK, POST_OP_ATTR_SIZE, reserveREAD3data } from '../../protocol/nfs3.ts';
import type { XdrWriter } from '../../protocol/xdr.ts';
import { readInto } from '../system/file-calls.ts';
import { addressOf } from '../system/native-buffer.ts';
import { S_IFDIR, S_IFREG } from '../system/statx.ts';
import type { OpenFile } from '../volume/open-file.ts';
import { mayRead } from '../volume/permissions.ts';
import { failureOfResult, type VolumeFailure } from '../volume/status.ts';
import { encodeAttributes } from './attributes.ts';
import { type NfsCall, type Outcome, readFile } from './call.ts';
import { failedWithAttributes } from './failure.ts';

export function read(call: NfsCall): Outcome {
  const { w, r } = call;
  const file = readFile(call);
  const offset = r.u64Saturated();
  const count = Math.min(r.u32(), NFS3_IO_SIZE_MAX);
  r.expectEnd();
  if (typeof file === 'string') return failedWithAttributes(call, file, null);
  const refused = prepare(call, file);
  if (refused !== null) return failedWithAttributes(call, refused, refused === 'stale' ? null : file);
  const { volume } = file;
  const at = reserveREAD3data(w, count);
  const beyond = offset >= Number.MAX_SAFE_INTEGER;
  const got = beyond ? 0 : readInto(openFd(file), addressIn(w, at), count, offset);
  if (got < 0) {
    volume.failOn(got, 'read');
    return failedWithAttributes(call, failureOfResult(got), file);
  }
  const status = call.service.diskSet.attributes(file, volume.stat);
  if (status !== 'ok') return failedWithAttributes(call, status, null);
  complete(w, file, got, beyond || offset + got >= volume.stat.size);
  return 'answered';
}

function openFd(file: OpenFile): number {
  return file.writeFd >= 0 ? file.writeFd : file.readFd;
}

/** Opens the file, knows its type, checks the permission. */
function prepare(call: NfsCall, file: OpenFile): VolumeFailure | null {
  const { volume } = file;
  const { diskSet } = call.service;
  if (file.writeFd < 0 && file.readFd < 0) {
    const status = diskSet.attributes(file, volume.stat);
    if (status !== 'ok') return status;
    const { type } = volume.stat;
    if (type === S_IFDIR) return 'isDirectory';
    // RFC 1813 §3.3.6: NFS3ERR_INVAL for what is neither a regular file nor a directory.
    if (type !== S_IFREG) return 'invalid';
  }
  const pathFd = diskSet.pathFd(file);
  if (pathFd < 0) return failureOfResult(pathFd);
  const fd = diskSet.table.readFd(file);
  if (fd < 0) return failureOfResult(fd);
  const status = mayRead(pathFd, call.caller.identity(file.tree), volume.stat);
  return status === 'ok' ? null : status;
}

/** The address of the writer's buffer, asked of the engine only when the buffer is another one. */
let knownBytes: Uint8Array | null = null;
let knownAddress = 0;

function addressIn(w: XdrWriter, at: number): number {
  if (w.bytes !== knownBytes) {
    knownBytes = w.bytes;
    knownAddress = addressOf(w.bytes);
  }
  return knownAddress + at;
}

/** READ3resok around the data that is in place already; see reserveREAD3data(). */
function complete(w: XdrWriter, file: OpenFile, count: number, eof: boolean): void {
  const start = w.position;
  w.u32(NFS3_OK);
  w.u32(1);
  encodeAttributes(w, file.volume.stat, file.volume);
  w.u32(count);
  w.bool(eof);
  w.u32(count);
  if (w.position - start !== 4 + POST_OP_ATTR_SIZE + 12) throw new Error('READ3resok has another layout');
  w.position += count;
  w.pad(count);
}
