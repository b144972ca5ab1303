/** Parts of a call that the NFS procedures read: its file, and the reply if there is none. */
import { NFS3_FHSIZE } from '../../protocol/nfs3.ts';
import { paddedSize, type XdrWriter } from '../../protocol/xdr.ts';
import { type Outcome, type RpcCall, WOULD_BLOCK } from '../rpc/rpc-program.ts';
import type { VolumeFailure } from '../storage/failures/status.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import type { BeforeAttributes } from './attributes.ts';
import { encodePostOp } from './attributes.ts';
import type { NfsContext } from './nfs-context.ts';
import { nfsstat3Of } from './nfs-status.ts';

/** A procedure: reads its arguments, writes its results, returns their status. */
export type Handler = (call: RpcCall, context: NfsContext) => Outcome;

/** Reads a file handle and finds its file; or why the client can't have it. */
export function readFile({ r, caller }: RpcCall, { diskSet }: NfsContext): OpenFile | VolumeFailure {
  const size = r.skipOpaque(NFS3_FHSIZE);
  const file = diskSet.resolve(r.bytes, r.position - paddedSize(size), size);
  if (typeof file === 'string') return file;
  return caller.allowed(file.tree) ? file : 'accessDenied';
}

/** post_op_attr as they are now. */
export function encodeAttributesNow(w: XdrWriter, { diskSet }: NfsContext, file: OpenFile): void {
  const { volume } = file;
  encodePostOp(w, diskSet.attributes(file, volume.stat) === 'ok' ? volume.stat : null, volume);
}

/**
 * The failure arm of most procedures that read: the status and the object's attributes, where known.
 * file: null if there is none, or if the client may not know of it.
 */
export function failedWithAttributes(
  { w }: RpcCall,
  context: NfsContext,
  failure: VolumeFailure,
  file: OpenFile | null,
): Outcome {
  if (failure === 'wouldBlock') return WOULD_BLOCK;
  const status = nfsstat3Of(failure);
  w.u32(status);
  if (file === null) w.u32(0);
  else encodeAttributesNow(w, context, file);
  return status;
}

/** The failure arm of WRITE and COMMIT: the status and the file's wcc_data. file: null where its attributes are not to be had. */
export function failedWithWcc(
  w: XdrWriter,
  context: NfsContext,
  failure: VolumeFailure,
  before: BeforeAttributes,
  file: OpenFile | null,
): Outcome {
  const status = nfsstat3Of(failure);
  w.u32(status);
  if (file === null) {
    w.u32(0);
    w.u32(0);
  } else {
    before.encode(w);
    encodeAttributesNow(w, context, file);
  }
  return status;
}

/** The file of a procedure that asks about one object and nothing else, with its attributes in Volume.stat. Or what it answers. */
export function readFileWithAttributes(call: RpcCall, context: NfsContext): OpenFile | Outcome {
  const file = readFile(call, context);
  call.r.expectEnd();
  if (typeof file === 'string') return failedWithAttributes(call, context, file, null);
  const status = context.diskSet.attributes(file, file.volume.stat);
  return status === 'ok' ? file : failedWithAttributes(call, context, status, null);
}
