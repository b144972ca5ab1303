/**
 * The workloads: which calls a slot makes and how it judges the replies. Every reply is decoded and its status checked, so that a
 * server cannot win by failing fast.
 */

import * as nfs3 from '../../protocol/nfs3.ts';
import { beginRecord, endRecord } from '../../protocol/record.ts';
import { encodeCallHeader } from '../../protocol/rpc.ts';
import type { XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import type { Load } from './load-connection.ts';
import type { WorkloadName } from './messages.ts';
import type { Stage } from './stage.ts';
import { rootCredential } from './stage.ts';

const KIB4 = 4096;
const MIB = nfs3.NFS3_IO_SIZE_MAX;
const ACCESS_ALL = 0x3f;

export interface Workload {
  /** Bytes of payload of one operation. */
  payloadSize: number;
  /** A load for the connection with this index. */
  load(stage: Stage, connection: number): Load;
}

export const workloads: Record<WorkloadName, Workload> = {
  getattr: { payloadSize: 0, load: (stage) => getattr(stage.file) },
  getattr1x1: { payloadSize: 0, load: (stage) => getattr(stage.file) },
  lookup: { payloadSize: 0, load: (stage) => lookup(stage.root) },
  access: { payloadSize: 0, load: (stage) => access(stage.file) },
  read4k: { payloadSize: KIB4, load: (stage, i) => read(stage.file, KIB4, randomOffsets(stage, KIB4, i)) },
  read4k1x1: { payloadSize: KIB4, load: (stage, i) => read(stage.file, KIB4, randomOffsets(stage, KIB4, i)) },
  read1m: { payloadSize: MIB, load: (stage, i) => read(stage.file, MIB, randomOffsets(stage, MIB, i)) },
  write4k: { payloadSize: KIB4, load: (stage, i) => write(stage, i, KIB4, nfs3.UNSTABLE) },
  write4kSync: { payloadSize: KIB4, load: (stage, i) => write(stage, i, KIB4, nfs3.FILE_SYNC) },
  write1m: { payloadSize: MIB, load: (stage, i) => write(stage, i, MIB, nfs3.UNSTABLE) },
  createRemove: { payloadSize: 0, load: (stage, i) => createRemove(stage.root, i) },
};

function beginCall(w: XdrWriter, xid: number, procedure: number): number {
  const record = beginRecord(w);
  encodeCallHeader(w, xid, nfs3.NFS_PROGRAM, nfs3.NFS_V3, procedure, rootCredential);
  return record;
}

/** Throws when the reply says anything but success: a benchmark of failures measures nothing. */
function expectOk(status: number, procedure: string): void {
  if (status !== nfs3.NFS3_OK) throw new Error(`${procedure}: ${nfs3.nfsstat3Name(status)}`);
}

function getattr(object: nfs3.nfs_fh3): Load {
  const args = { object };
  return {
    encode(w, xid) {
      const record = beginCall(w, xid, nfs3.NFSPROC3_GETATTR);
      nfs3.nfs3Procedures.GETATTR.args.encode(w, args);
      endRecord(w, record);
      return null;
    },
    decode(r) {
      expectOk(nfs3.nfs3Procedures.GETATTR.res.decode(r).status, 'GETATTR');
      return true;
    },
  };
}

function lookup(dir: nfs3.nfs_fh3): Load {
  const args = { what: { dir, name: new TextEncoder().encode('read') } };
  return {
    encode(w, xid) {
      const record = beginCall(w, xid, nfs3.NFSPROC3_LOOKUP);
      nfs3.nfs3Procedures.LOOKUP.args.encode(w, args);
      endRecord(w, record);
      return null;
    },
    decode(r) {
      expectOk(nfs3.nfs3Procedures.LOOKUP.res.decode(r).status, 'LOOKUP');
      return true;
    },
  };
}

function access(object: nfs3.nfs_fh3): Load {
  const args = { object, access: ACCESS_ALL };
  return {
    encode(w, xid) {
      const record = beginCall(w, xid, nfs3.NFSPROC3_ACCESS);
      nfs3.nfs3Procedures.ACCESS.args.encode(w, args);
      endRecord(w, record);
      return null;
    },
    decode(r) {
      expectOk(nfs3.nfs3Procedures.ACCESS.res.decode(r).status, 'ACCESS');
      return true;
    },
  };
}

function read(file: nfs3.nfs_fh3, count: number, nextOffset: () => number): Load {
  const args = { file, offset: 0, count };
  return {
    encode(w, xid) {
      const record = beginCall(w, xid, nfs3.NFSPROC3_READ);
      args.offset = nextOffset();
      nfs3.nfs3Procedures.READ.args.encode(w, args);
      endRecord(w, record);
      return null;
    },
    decode(r: XdrReader) {
      const res = nfs3.nfs3Procedures.READ.res.decode(r);
      expectOk(res.status, 'READ');
      if (res.status === nfs3.NFS3_OK && res.data.length !== count) {
        throw new Error(`READ of ${count} bytes returned ${res.data.length}`);
      }
      return true;
    },
  };
}

function write(stage: Stage, connection: number, size: number, stable: nfs3.stable_how): Load {
  const nextOffset = randomOffsets(stage, size, connection);
  const data = new Uint8Array(size).fill(0x57);
  const args = { file: stage.filesToWrite[connection]!, offset: 0, count: size, stable, data };
  return {
    encode(w, xid) {
      const record = beginCall(w, xid, nfs3.NFSPROC3_WRITE);
      args.offset = nextOffset();
      // Long data goes out from where it lies: copying it would cost the generator more than the call.
      const apart = size >= MIB;
      if (apart) nfs3.encodeWRITE3argsBeforeData(w, args);
      else nfs3.nfs3Procedures.WRITE.args.encode(w, args);
      endRecord(w, record, apart ? size : 0);
      return apart ? data : null;
    },
    decode(r) {
      const res = nfs3.nfs3Procedures.WRITE.res.decode(r);
      expectOk(res.status, 'WRITE');
      if (res.status === nfs3.NFS3_OK && (res.count !== size || res.committed < stable)) {
        throw new Error(
          `WRITE of ${size} bytes, stable ${stable}: ${res.count} bytes, committed ${res.committed}`,
        );
      }
      return true;
    },
  };
}

/** One operation is a CREATE and a REMOVE of the slot's own name. */
function createRemove(dir: nfs3.nfs_fh3, connection: number): Load {
  const names = new Map<number, Uint8Array>();
  const created = new Set<number>();
  const how: nfs3.createhow3 = {
    mode: nfs3.UNCHECKED,
    obj_attributes: { ...nfs3.SATTR3_NOTHING, mode: 0o644 },
  };
  return {
    encode(w, xid, slot) {
      let name = names.get(slot);
      if (name === undefined)
        names.set(slot, (name = new TextEncoder().encode(`created-${connection}-${slot}`)));
      const removing = created.has(slot);
      const record = beginCall(w, xid, removing ? nfs3.NFSPROC3_REMOVE : nfs3.NFSPROC3_CREATE);
      if (removing) nfs3.nfs3Procedures.REMOVE.args.encode(w, { object: { dir, name } });
      else nfs3.nfs3Procedures.CREATE.args.encode(w, { where: { dir, name }, how });
      endRecord(w, record);
      return null;
    },
    decode(r, slot) {
      if (created.delete(slot)) {
        expectOk(nfs3.nfs3Procedures.REMOVE.res.decode(r).status, 'REMOVE');
        return true;
      }
      expectOk(nfs3.nfs3Procedures.CREATE.res.decode(r).status, 'CREATE');
      created.add(slot);
      return false;
    },
  };
}

/** Aligned offsets within the file in an order that a seed repeats: a linear congruence. */
function randomOffsets(stage: Stage, size: number, seed: number): () => number {
  const count = stage.fileSize / size;
  let index = (seed * 7919) % count;
  return () => {
    index = (index * 1_664_525 + 1_013_904_223) % count;
    return index * size;
  };
}
