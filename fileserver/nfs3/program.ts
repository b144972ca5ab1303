/**
 * NFS version 3 (RFC 1813 §3.3): its procedures, a row each. Connections, forwarding between threads and metrics know of a
 * procedure what its row says.
 */
import { NFS_PROGRAM, NFS_V3, NFS3_OK, nfsproc3, type nfsproc3Name } from '../../protocol/nfs3.ts';
import { lineOf } from '../metrics/data-metrics.ts';
import {
  type Handles,
  type RpcProcedure,
  type RpcVersion,
  type RunsIn,
  UNMETERED,
} from '../rpc/rpc-program.ts';
import { access } from './access.ts';
import type { Handler } from './call.ts';
import { commit } from './commit.ts';
import { create } from './create.ts';
import { fsinfo } from './fsinfo.ts';
import { fsstat } from './fsstat.ts';
import { getattr } from './getattr.ts';
import { callJournaled } from './journaled-call.ts';
import type { AnyJournaledProcedure } from './journaled-procedure.ts';
import { link } from './link.ts';
import { readdir, readdirplus } from './listing.ts';
import { lookup } from './lookup.ts';
import { mkdir } from './mkdir.ts';
import { mknod } from './mknod.ts';
import type { NfsContext } from './nfs-context.ts';
import { pathconf } from './pathconf.ts';
import { read } from './read.ts';
import { readlink } from './readlink.ts';
import { remove, rmdir } from './remove.ts';
import { rename } from './rename.ts';
import { setattr } from './setattr.ts';
import { symlink } from './symlink.ts';
import { write } from './write.ts';

interface Row {
  readonly name: nfsproc3Name;
  readonly meter: number;
  readonly runsIn: RunsIn;
  readonly handles: Handles;
  readonly isSized: boolean;
  readonly moves: RpcProcedure['moves'];
  readonly isLong: boolean;
  readonly handler: Handler;
  /** It must not be executed twice: see journaled-procedure.ts. */
  readonly journaled: AnyJournaledProcedure | null;
}

/** Default of a row: the procedure asks about one object and waits for a disk only where it has to. */
const row = (name: nfsproc3Name, handler: Handler, other: Partial<Row> = {}): Row => ({
  name,
  meter: lineOf(name),
  runsIn: 'either',
  handles: 'one',
  isSized: false,
  moves: 'nothing',
  isLong: false,
  handler,
  journaled: null,
  ...other,
});

/** In the thread of its volume, where journal and duplicate request cache are. */
const journaled = (procedure: AnyJournaledProcedure, handles: Handles = 'one'): Row =>
  row(procedure.name, (call, context) => callJournaled(procedure, call, context), {
    runsIn: 'volume',
    handles,
    journaled: procedure,
  });

/**
 * Listings and the targets of symbolic links run in the thread of the volume too: of those the kernel does not tell whether they
 * are in memory.
 */
const LISTING = { runsIn: 'volume', isSized: true, isLong: true } as const;

const rows: readonly Row[] = [
  // §3.3.0: answers, to show that somebody does. Arguments, if any, are of no interest.
  row('NULL', () => NFS3_OK, { runsIn: 'connection', handles: 'none' }),
  row('GETATTR', getattr),
  journaled(setattr),
  row('LOOKUP', lookup),
  row('ACCESS', access),
  row('READLINK', readlink, { runsIn: 'volume' }),
  row('READ', read, { isSized: true, moves: 'read' }),
  row('WRITE', write, { runsIn: 'volume', moves: 'written' }),
  journaled(create),
  journaled(mkdir),
  journaled(symlink),
  journaled(mknod),
  journaled(remove),
  journaled(rmdir),
  journaled(rename, 'twoAroundName'),
  journaled(link, 'two'),
  row('READDIR', readdir, LISTING),
  row('READDIRPLUS', readdirplus, LISTING),
  row('FSSTAT', fsstat),
  row('FSINFO', fsinfo),
  row('PATHCONF', pathconf),
  row('COMMIT', commit, { runsIn: 'volume' }),
];

export function nfs3Program(context: NfsContext): RpcVersion {
  const procedures: RpcProcedure[] = [];
  for (const { handler, journaled: _, ...rest } of rows) {
    procedures[nfsproc3[rest.name]] = {
      ...rest,
      execute: (call) => handler(call, context),
    };
  }
  return { program: NFS_PROGRAM, version: NFS_V3, procedures, meter: UNMETERED };
}

/** By procedure number. */
export const journaledProcedures: ReadonlyMap<number, AnyJournaledProcedure> = new Map(
  rows.flatMap(({ name, journaled: procedure }) =>
    procedure === null ? [] : [[nfsproc3[name], procedure] as const],
  ),
);
