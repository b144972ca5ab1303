/** The NFS program, version 3: which procedure answers which number (RFC 1813 §3.3). */
import { NFS_V3, nfsproc3 } from '../../protocol/nfs3.ts';
import { access } from './access.ts';
import type { Outcome, Procedure } from './call.ts';
import { changeProcedure, type StepListener } from './change.ts';
import { commit } from './commit.ts';
import { fsinfo } from './fsinfo.ts';
import { fsstat } from './fsstat.ts';
import { getattr } from './getattr.ts';
import { lookup } from './lookup.ts';
import { pathconf } from './pathconf.ts';
import { read } from './read.ts';
import { readdir } from './readdir.ts';
import { readdirplus } from './readdirplus.ts';
import { readlink } from './readlink.ts';
import { write } from './write.ts';

export const NFS_VERSION_MIN = NFS_V3;
export const NFS_VERSION_MAX = NFS_V3;

/** NULL, RFC 1813 §3.3.0: answers, to show that somebody does. Arguments, if any, are of no interest. */
function nothing(): Outcome {
  return 'answered';
}

/** By procedure number; a number beyond the end is PROC_UNAVAIL. */
export function nfsProcedures(onStep: StepListener): readonly Procedure[] {
  const change = changeProcedure(onStep);
  const table: Procedure[] = [];
  table[nfsproc3.NULL] = nothing;
  table[nfsproc3.GETATTR] = getattr;
  table[nfsproc3.SETATTR] = change;
  table[nfsproc3.LOOKUP] = lookup;
  table[nfsproc3.ACCESS] = access;
  table[nfsproc3.READLINK] = readlink;
  table[nfsproc3.READ] = read;
  table[nfsproc3.WRITE] = write;
  table[nfsproc3.CREATE] = change;
  table[nfsproc3.MKDIR] = change;
  table[nfsproc3.SYMLINK] = change;
  table[nfsproc3.MKNOD] = change;
  table[nfsproc3.REMOVE] = change;
  table[nfsproc3.RMDIR] = change;
  table[nfsproc3.RENAME] = change;
  table[nfsproc3.LINK] = change;
  table[nfsproc3.READDIR] = readdir;
  table[nfsproc3.READDIRPLUS] = readdirplus;
  table[nfsproc3.FSSTAT] = fsstat;
  table[nfsproc3.FSINFO] = fsinfo;
  table[nfsproc3.PATHCONF] = pathconf;
  table[nfsproc3.COMMIT] = commit;
  return table;
}
