/** The announcing program (protocol/succession.ts): who a client is, by which connection it goes on, whose volumes are served here. */
import { NFS3_OK } from '../../protocol/nfs3.ts';
import {
  decodeAnnouncement,
  decodeHoldsArgs,
  decodeIdentity,
  encodeHoldsRes,
  SUCCESSION_PROGRAM,
  SUCCESSION_VERSION,
  successionproc1,
} from '../../protocol/succession.ts';
import {
  type Outcome,
  type RpcCall,
  type RpcProcedure,
  type RpcVersion,
  UNMETERED,
} from '../rpc/rpc-program.ts';
import type { DiskSet } from '../storage/files/disk-set.ts';

export function successionProgram(diskSet: DiskSet): RpcVersion {
  const procedures: RpcProcedure[] = [];
  const add = (name: keyof typeof successionproc1, execute: (call: RpcCall) => void): void => {
    procedures[successionproc1[name]] = {
      name,
      meter: UNMETERED,
      runsIn: 'connection',
      handles: 'none',
      isSized: false,
      moves: 'nothing',
      isLong: false,
      execute: (call): Outcome => {
        execute(call);
        return NFS3_OK;
      },
    };
  };
  add('NULL', () => {});
  add('ANNOUNCE', ({ r, announced }) => announced(decodeAnnouncement(r)));
  add('HOLDS', ({ r, w }) => encodeHoldsRes(w, diskSet.holds(decodeHoldsArgs(r))));
  add('IDENTIFY', ({ r, caller }) => caller.identify(decodeIdentity(r)));
  return { program: SUCCESSION_PROGRAM, version: SUCCESSION_VERSION, procedures, meter: UNMETERED };
}
