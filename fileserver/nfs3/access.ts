/** ACCESS, RFC 1813 §3.3.4: which of these would the user be allowed to do? Advice; each request is checked anew. */
import {
  ACCESS3_DELETE,
  ACCESS3_EXECUTE,
  ACCESS3_EXTEND,
  ACCESS3_LOOKUP,
  ACCESS3_MODIFY,
  ACCESS3_READ,
  NFS3_OK,
} from '../../protocol/nfs3.ts';
import type { Outcome, RpcCall } from '../rpc/rpc-program.ts';
import { failureOfResult } from '../storage/failures/status.ts';
import { accessNow } from '../storage/files/permissions.ts';
import { S_IFDIR } from '../system/statx.ts';
import { R_OK, W_OK, X_OK } from '../system/thread-identity.ts';
import { encodePostOp } from './attributes.ts';
import { failedWithAttributes, readFile } from './call.ts';
import type { NfsContext } from './nfs-context.ts';

const DIRECTORY_BITS = ACCESS3_READ | ACCESS3_LOOKUP | ACCESS3_MODIFY | ACCESS3_EXTEND | ACCESS3_DELETE;
/** DELETE is about entries of a directory, LOOKUP about names in it: neither means anything for a file. */
const FILE_BITS = ACCESS3_READ | ACCESS3_MODIFY | ACCESS3_EXTEND | ACCESS3_EXECUTE;
const CHANGE_BITS = ACCESS3_MODIFY | ACCESS3_EXTEND | ACCESS3_DELETE;
const PASS_BITS = ACCESS3_LOOKUP | ACCESS3_EXECUTE;

export function access(call: RpcCall, context: NfsContext): Outcome {
  const { w, r } = call;
  const file = readFile(call, context);
  const asked = r.u32();
  r.expectEnd();
  if (typeof file === 'string') return failedWithAttributes(call, context, file, null);
  const { volume, tree } = file;
  const status = context.diskSet.attributes(file, volume.stat);
  if (status !== 'ok') return failedWithAttributes(call, context, status, null);
  let wanted = asked & (volume.stat.type === S_IFDIR ? DIRECTORY_BITS : FILE_BITS);
  if (tree.readOnly) wanted &= ~CHANGE_BITS;
  const has = accessNow(file, call.caller.identity(tree), volume.stat, permissionsFor(wanted));
  if (has < 0) return failedWithAttributes(call, context, failureOfResult(has), file);
  w.u32(NFS3_OK);
  encodePostOp(w, volume.stat, volume);
  w.u32(wanted & allowedBy(has));
  return NFS3_OK;
}

function permissionsFor(wanted: number): number {
  let permissions = 0;
  if ((wanted & ACCESS3_READ) !== 0) permissions |= R_OK;
  if ((wanted & CHANGE_BITS) !== 0) permissions |= W_OK;
  if ((wanted & PASS_BITS) !== 0) permissions |= X_OK;
  return permissions;
}

function allowedBy(permissions: number): number {
  let bits = 0;
  if ((permissions & R_OK) !== 0) bits |= ACCESS3_READ;
  if ((permissions & W_OK) !== 0) bits |= CHANGE_BITS;
  if ((permissions & X_OK) !== 0) bits |= PASS_BITS;
  return bits;
}
