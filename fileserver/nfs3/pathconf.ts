/** PATHCONF, RFC 1813 §3.3.20: what the volume's file system says of itself. */
import { NFS3_OK } from '../../protocol/nfs3.ts';
import type { Outcome, RpcCall } from '../rpc/rpc-program.ts';
import { NAME_SIZE_MAX } from '../storage/names/names.ts';
import { fileSystemInfo, linkCountMax } from '../system/file-system-info.ts';
import { encodePostOp } from './attributes.ts';
import { failedWithAttributes, readFileWithAttributes } from './call.ts';
import type { NfsContext } from './nfs-context.ts';

const UNLIMITED = 0xffffffff;

export function pathconf(call: RpcCall, context: NfsContext): Outcome {
  const { w } = call;
  const file = readFileWithAttributes(call, context);
  if (typeof file === 'number') return file;
  const { volume } = file;
  const info = fileSystemInfo(file.pathFd);
  if (typeof info === 'number')
    return failedWithAttributes(call, context, volume.failure('fstatfs64', info), file);
  const links = linkCountMax(file.pathFd);
  w.u32(NFS3_OK);
  encodePostOp(w, volume.stat, volume);
  w.u32(links < 0 || links > UNLIMITED ? UNLIMITED : links);
  w.u32(Math.min(info.nameSizeMax, NAME_SIZE_MAX));
  // no_trunc, chown_restricted, case_insensitive, case_preserving: as on every Unix file system.
  w.bool(true);
  w.bool(true);
  w.bool(false);
  w.bool(true);
  return NFS3_OK;
}
