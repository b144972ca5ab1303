// How long the codecs take, without sockets or disks: `node bench/codec/main.ts`. Nanoseconds for each operation,
// the median of several runs. The first group repeats the measurement behind XdrReader's one long-lived DataView.

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
const attributes: nfs3.fattr3<number> = {
  type: nfs3.NF3REG,
  mode: 0o644,
  nlink: 1,
  uid: 1000,
  gid: 1000,
  size: 1e6,
  used: 1e6,
  rdev: { specdata1: 0, specdata2: 0 },
  fsid: 1,
  fileid: 123456,
  atime: { seconds: 1, nseconds: 2 },
  mtime: { seconds: 3, nseconds: 4 },
  ctime: { seconds: 5, nseconds: 6 },
};
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

const getattrCall = callOf(nfs3.NFSPROC3_GETATTR, () => nfs3.encodeGETATTR3args(w, { object: handle }));
const readArgs = { file: handle, offset: 8192, count: 4096 };
const readCall = callOf(nfs3.NFSPROC3_READ, () => nfs3.encodeREAD3args(w, readArgs));
const writeArgs = { file: handle, offset: 8192, count: 4096, stable: nfs3.UNSTABLE, data };
const writeCall = callOf(nfs3.NFSPROC3_WRITE, () => nfs3.encodeWRITE3args(w, writeArgs));
const getattrReply = record(() => {
  encodeSuccessHeader(w, 1);
  nfs3.encodeGETATTR3resok(w, attributes);
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

const authReader = new XdrReader(getattrCall);
const codecs: Record<string, () => number> = {
  'server: decode GETATTR call': () => decodeCall(getattrCall, nfs3.decodeGETATTR3args),
  'server: decode READ call': () => decodeCall(readCall, nfs3.decodeREAD3args),
  'server: decode WRITE call, 4 KiB': () => decodeCall(writeCall, nfs3.decodeWRITE3args),
  '  of which AUTH_SYS, 4 groups': () => decodeAuthSys(authReader, 36, credential.body.length)!.uid,
  'server: encode GETATTR reply': () => encodeReply(() => nfs3.encodeGETATTR3resok(w, attributes)),
  'server: encode READ reply, 4 KiB in place': () =>
    encodeReply(() => {
      nfs3.reserveREAD3data(w, 4096);
      nfs3.completeREAD3resok(w, attributes, 4096, false);
    }),
  'server: encode WRITE reply': () =>
    encodeReply(() => nfs3.encodeWRITE3resok(w, attributes, attributes, 4096, nfs3.UNSTABLE, handle)),
  'client: encode GETATTR call': () => {
    w.reset();
    const at = beginRecord(w);
    encodeCallHeader(w, 1, nfs3.NFS_PROGRAM, nfs3.NFS_V3, nfs3.NFSPROC3_GETATTR, credential);
    nfs3.encodeGETATTR3args(w, { object: handle });
    endRecord(w, at);
    return w.position;
  },
  'client: decode GETATTR reply': () => {
    parser.push(getattrReply);
    parser.next();
    decodeReplyHeader(parser.record, replyHeader);
    nfs3.decodeGETATTR3res(parser.record);
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
