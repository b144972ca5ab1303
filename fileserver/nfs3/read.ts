/**
 * READ, RFC 1813 §3.3.6: from the file into the reply, without a copy in between. What is not in memory is read in the
 * pool and answered when it is there; meanwhile other calls go on, also those of the same connection.
 */
import { constants } from 'node:os';
import { NFS3_IO_SIZE_MAX, NFS3_OK, POST_OP_ATTR_SIZE } from '../../protocol/nfs3.ts';
import { XdrWriter } from '../../protocol/xdr.ts';
import { LATER, type Outcome, type RpcCall } from '../rpc/rpc-program.ts';
import { failureOfResult, type VolumeFailure } from '../storage/failures/status.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import { couldRead, mayRead, mayStillRead, rememberReadable } from '../storage/files/permissions.ts';
import type { Volume } from '../storage/volume/volume.ts';
import { OFFSET_MAX, type Offset, readCachedInto, readInto } from '../system/data-calls.ts';
import { S_IFDIR, S_IFREG, type StatBuffer } from '../system/statx.ts';
import { encodeAttributes, encodePostOp } from './attributes.ts';
import { failedWithAttributes, readFile } from './call.ts';
import type { NfsContext } from './nfs-context.ts';
import { nfsstat3Of } from './nfs-status.ts';

const { EAGAIN, EOPNOTSUPP } = constants.errno;
/** Bytes around the data in a reply, with room to spare. */
const AROUND_DATA = 256;

export function read(call: RpcCall, context: NfsContext): Outcome {
  const { w, r } = call;
  const file = readFile(call, context);
  const offset = r.u64Exact();
  const count = countFrom(offset, Math.min(r.u32(), NFS3_IO_SIZE_MAX));
  r.expectEnd();
  if (typeof file === 'string') return failedWithAttributes(call, context, file, null);
  const unopened = open(context, file);
  if (unopened !== null)
    return failedWithAttributes(call, context, unopened, unopened === 'stale' ? null : file);
  const { volume } = file;
  // A user who could read a moment ago is checked afterwards, with attributes that are read anyway.
  const user = call.caller.identity(file.tree);
  const could = couldRead(file, user);
  const askedAtMs = could ? 0 : Date.now();
  const permitted = could ? 'ok' : mayRead(file, user, volume.stat);
  if (permitted !== 'ok') return failedWithAttributes(call, context, permitted, file);
  const at = reserve(w, count);
  // As Linux' server has it: no file is that long, so this is behind its end.
  const beyond = offset > OFFSET_MAX;
  const got = beyond ? 0 : readNow(file, context.addressIn(w, at), count, offset);
  const status = context.diskSet.attributes(file, volume.stat);
  if (status !== 'ok') return failedWithAttributes(call, context, status, null);
  if (could) {
    const refused = mayStillRead(file, user, volume.stat);
    if (refused !== 'ok') return failedWithAttributes(call, context, refused, file);
  } else rememberReadable(file, user, volume.stat, askedAtMs);
  if (got === -EAGAIN) return readLater(call, context, file, count, offset);
  if (got < 0)
    return failedWithAttributes(call, context, volume.failure('preadv2', got, volume.stat.inode), file);
  const atEnd = beyond || reaches(offset, got, volume.stat);
  if (got < count && !atEnd) return readLater(call, context, file, count, offset);
  complete(w, volume.stat, volume, got, atEnd);
  call.byteCount = got;
  return NFS3_OK;
}

/** The kernel refuses to look beyond OFFSET_MAX. */
function countFrom(offset: Offset, count: number): number {
  if (typeof offset === 'number' || offset > OFFSET_MAX) return count;
  const most = OFFSET_MAX - offset;
  return most < count ? Number(most) : count;
}

/** Bytes that are in memory, -EAGAIN if none are, or -errno. */
function readNow(file: OpenFile, address: number, count: number, offset: Offset): number {
  const { volume } = file;
  if (volume.knowsWhatIsCached) {
    const got = readCachedInto(openFd(file), address, count, offset);
    if (got !== -EOPNOTSUPP) return got;
    volume.knowsWhatIsCached = false;
  }
  // Then every read is taken for one that waits: in this thread it would hold up all volumes, and in the pool only its own queue.
  return volume.isInMemory ? readInto(openFd(file), address, count, offset) : -EAGAIN;
}

function readLater(
  call: RpcCall,
  context: NfsContext,
  file: OpenFile,
  count: number,
  offset: Offset,
): Outcome {
  const { volume } = file;
  const { diskSet } = context;
  const reply = call.answerLater();
  const w = new XdrWriter(count + AROUND_DATA);
  const at = reserve(w, count);
  diskSet.table.pin(file);
  const completeLater = (got: number): void => {
    diskSet.table.unpin(file);
    const known = diskSet.attributes(file, volume.stat);
    if (got >= 0 && known === 'ok') {
      complete(w, volume.stat, volume, got, reaches(offset, got, volume.stat));
      reply(w.written(), NFS3_OK, got);
      return;
    }
    const inode = known === 'ok' ? volume.stat.inode : null;
    const status = nfsstat3Of(got < 0 ? volume.failure('read', got, inode) : (known as VolumeFailure));
    w.u32(status);
    encodePostOp(w, known === 'ok' ? volume.stat : null, volume);
    reply(w.written(), status, 0);
  };
  volume.uncachedReads.read(openFd(file), w.bytes, at, count, offset, (got) =>
    context.contained(reply, () => completeLater(got)),
  );
  return LATER;
}

/** Is what was read from `offset` on the last of the file? */
function reaches(offset: Offset, got: number, stat: StatBuffer): boolean {
  const { size } = stat;
  if (size < Number.MAX_SAFE_INTEGER && typeof offset === 'number') return offset + got >= size;
  return BigInt(offset) + BigInt(got) >= stat.sizeExact;
}

function openFd(file: OpenFile): number {
  return file.writeFd >= 0 ? file.writeFd : file.readFd;
}

/** Opens the file, if it is one. */
function open({ diskSet }: NfsContext, file: OpenFile): VolumeFailure | null {
  const { volume } = file;
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
  return fd < 0 ? failureOfResult(fd) : null;
}

/** Bytes of READ3resok in front of the data, with attributes: status, attributes, count, eof, length. */
const DATA_AT = 4 + POST_OP_ATTR_SIZE + 12;

/** Makes room for a READ3resok of up to `count` bytes of data. Index into w.bytes, which this may move, at which to read them. */
export function reserve(w: XdrWriter, count: number): number {
  w.ensure(DATA_AT + count + 3);
  return w.position + DATA_AT;
}

/** READ3resok around the data that is in place already; see reserve(). */
export function complete(w: XdrWriter, stat: StatBuffer, volume: Volume, count: number, eof: boolean): void {
  const start = w.position;
  w.u32(NFS3_OK);
  w.u32(1);
  encodeAttributes(w, stat, volume);
  w.u32(count);
  w.bool(eof);
  w.u32(count);
  if (w.position - start !== DATA_AT) throw new Error('READ3resok has another layout');
  w.position += count;
  w.pad(count);
}
