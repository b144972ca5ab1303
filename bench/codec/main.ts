/**
 * How long the codecs take that server and client run, without sockets or disks: `node bench/codec/main.ts`. Nanoseconds for each
 * operation, the median of several runs. The first group repeats the measurement behind XdrReader's one long-lived DataView.
 */

import { BeforeAttributes, encodeAttributes, encodePostOp } from '../../fileserver/nfs3/attributes.ts';
import { complete, reserve } from '../../fileserver/nfs3/read.ts';
import type { Volume } from '../../fileserver/storage/volume/volume.ts';
import { AT_FDCWD } from '../../fileserver/system/file-calls.ts';
import { StatBuffer } from '../../fileserver/system/statx.ts';
import * as nfs3 from '../../protocol/nfs3.ts';
import { beginRecord, endRecord, RecordParser } from '../../protocol/record.ts';
import {
  authSysCredential,
  CallHeader,
  decodeAuthSys,
  decodeCallHeader,
  decodeReplyHeader,
  encodeCallHeader,
  encodeSuccessHeader,
  ReplyHeader,
} from '../../protocol/rpc.ts';
import { XdrReader, XdrWriter } from '../../protocol/xdr.ts';

const RUNS = 7;
const RUN_NS = 60e6;

/** Results go here, so that no measured work can be optimized away. */
let sink = 0;

/** CPU time of this thread: what else the machine does must not count. */
function threadCpuNs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) * 1000;
}

function nanosecondsOf(operation: () => number): number {
  const results: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    let count = 0;
    const start = threadCpuNs();
    while (threadCpuNs() - start < RUN_NS) {
      for (let i = 0; i < 1000; i++) sink += operation();
      count += 1000;
    }
    results.push((threadCpuNs() - start) / count);
  }
  return results.toSorted((a, b) => a - b)[RUNS >> 1]!;
}

const HEADER_WORDS = 13;
const headerBytes = Buffer.alloc(HEADER_WORDS * 4, 7);
const keptView = new DataView(headerBytes.buffer, headerBytes.byteOffset, headerBytes.byteLength);

function sumView(view: DataView): number {
  let sum = 0;
  for (let at = 0; at < HEADER_WORDS * 4; at += 4) sum += view.getUint32(at);
  return sum;
}

function sumShifts(bytes: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < HEADER_WORDS * 4; at += 4) {
    sum += ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
  }
  return sum;
}

function sumBuffer(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < HEADER_WORDS * 4; at += 4) sum += bytes.readUInt32BE(at);
  return sum;
}

const waysToReadWords: Record<string, () => number> = {
  'one DataView kept': () => sumView(keptView),
  'byte shifts': () => sumShifts(headerBytes),
  'Buffer.readUInt32BE': () => sumBuffer(headerBytes),
  'new DataView each time': () =>
    sumView(new DataView(headerBytes.buffer, headerBytes.byteOffset, headerBytes.byteLength)),
};

const w = new XdrWriter(64 * 1024);
const handle = new Uint8Array(48).fill(1);
const data = new Uint8Array(4096).fill(2);
const stat = new StatBuffer();
stat.ofName(AT_FDCWD, new TextEncoder().encode('.'));
/** All of a volume that a reply shows. */
const volume = { fsidHigh: 1, fsidLow: 2 } as Volume;
const credential = authSysCredential(
  {
    stamp: 1,
    machinename: new TextEncoder().encode('client-1'),
    uid: 1000,
    gid: 1000,
    gids: [4, 24, 27, 1000],
  },
  w,
);

function record(write: () => void): Uint8Array {
  w.reset();
  const at = beginRecord(w);
  write();
  endRecord(w, at);
  return w.written().slice();
}

function callOf(procedure: number, write: () => void): Uint8Array {
  return record(() => {
    encodeCallHeader(w, 1, nfs3.NFS_PROGRAM, nfs3.NFS_V3, procedure, credential);
    write();
  });
}

const getattrCall = callOf(nfs3.NFSPROC3_GETATTR, () =>
  nfs3.nfs3Procedures.GETATTR.args.encode(w, { object: handle }),
);
const readArgs = { file: handle, offset: 8192, count: 4096 };
const readCall = callOf(nfs3.NFSPROC3_READ, () => nfs3.nfs3Procedures.READ.args.encode(w, readArgs));
const writeArgs = { file: handle, offset: 8192, count: 4096, stable: nfs3.UNSTABLE, data };
const writeCall = callOf(nfs3.NFSPROC3_WRITE, () => nfs3.nfs3Procedures.WRITE.args.encode(w, writeArgs));
const getattrReply = record(() => {
  encodeSuccessHeader(w, 1);
  w.u32(nfs3.NFS3_OK);
  encodeAttributes(w, stat, volume);
});

const parser = new RecordParser(nfs3.NFS3_RECORD_SIZE_MAX);
const header = new CallHeader();
const replyHeader = new ReplyHeader();

/** What a server's connection does with a call before it acts. */
function decodeCall(bytes: Uint8Array, decodeArgs: (r: XdrReader) => unknown): number {
  parser.push(bytes);
  let count = 0;
  while (parser.next()) {
    decodeCallHeader(parser.record, header);
    decodeAuthSys(parser.record, header.credStart, header.credSize);
    decodeArgs(parser.record);
    count += header.xid;
  }
  return count;
}

function encodeReply(encodeResult: () => void): number {
  w.reset();
  const at = beginRecord(w);
  encodeSuccessHeader(w, 1);
  encodeResult();
  endRecord(w, at);
  return w.position;
}

const createArgs = {
  where: { dir: handle, name: new TextEncoder().encode('a-file.txt') },
  how: { mode: nfs3.GUARDED, obj_attributes: nfs3.SATTR3_NOTHING },
} as const;
const createCall = callOf(nfs3.NFSPROC3_CREATE, () => nfs3.nfs3Procedures.CREATE.args.encode(w, createArgs));
const before = new BeforeAttributes();
before.take(stat);

/** As the procedures read the handle: where it lies, without an object. */
const readHandle = (r: XdrReader): number => r.skipOpaque(nfs3.NFS3_FHSIZE);

const authReader = new XdrReader(getattrCall);
const codecs: Record<string, () => number> = {
  'server: decode GETATTR call': () => decodeCall(getattrCall, readHandle),
  'server: decode READ call': () =>
    decodeCall(readCall, (r) => {
      readHandle(r);
      r.u64Exact();
      return r.u32();
    }),
  'server: decode WRITE call, 4 KiB': () =>
    decodeCall(writeCall, (r) => {
      readHandle(r);
      return nfs3.decodeWRITE3argsBehindFile(r);
    }),
  'server: decode CREATE call': () => decodeCall(createCall, nfs3.nfs3Procedures.CREATE.args.decode),
  '  of which AUTH_SYS, 4 groups': () => decodeAuthSys(authReader, 36, credential.body.length)!.uid,
  'server: encode GETATTR reply': () =>
    encodeReply(() => {
      w.u32(nfs3.NFS3_OK);
      encodeAttributes(w, stat, volume);
    }),
  'server: encode READ reply, 4 KiB in place': () =>
    encodeReply(() => {
      reserve(w, 4096);
      complete(w, stat, volume, 4096, false);
    }),
  'server: encode WRITE reply': () =>
    encodeReply(() => {
      w.u32(nfs3.NFS3_OK);
      before.encode(w);
      encodePostOp(w, stat, volume);
      w.u32(4096);
      w.u32(nfs3.UNSTABLE);
      w.opaqueFixed(handle.subarray(0, 8));
    }),
  'client: encode GETATTR call': () => {
    w.reset();
    const at = beginRecord(w);
    encodeCallHeader(w, 1, nfs3.NFS_PROGRAM, nfs3.NFS_V3, nfs3.NFSPROC3_GETATTR, credential);
    nfs3.nfs3Procedures.GETATTR.args.encode(w, { object: handle });
    endRecord(w, at);
    return w.position;
  },
  'client: decode GETATTR reply': () => {
    parser.push(getattrReply);
    parser.next();
    decodeReplyHeader(parser.record, replyHeader);
    nfs3.nfs3Procedures.GETATTR.res.decode(parser.record);
    return parser.next() ? 1 : 0;
  },
};

function print(title: string, operations: Record<string, () => number>): void {
  console.log(title);
  for (const [name, operation] of Object.entries(operations)) {
    console.log(`  ${name.padEnd(44)}${nanosecondsOf(operation).toFixed(0).padStart(6)} ns`);
  }
}

console.log(`Node ${process.version}`);
print(`reading ${HEADER_WORDS} words`, waysToReadWords);
print('codecs', codecs);
if (Number.isNaN(sink)) console.log('unreachable');
