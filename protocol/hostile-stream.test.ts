/**
 * The way of a server's input as a whole: bytes from a socket through record marks, call header, credential and arguments, and
 * the way of a client's. Valid streams, changed at random and cut at random, end in values or in an XdrError, and whatever
 * precedes the first change is decoded as it was sent.
 */

import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../testing/seeded-random.ts';
import * as nfs3 from './nfs3.ts';
import { beginRecord, endRecord, RecordParser } from './record.ts';
import {
  AUTH_NONE_CREDENTIAL,
  authSysCredential,
  CallHeader,
  decodeAuthSys,
  decodeCallHeader,
  decodeReplyHeader,
  encodeCallHeader,
  encodeSuccessHeader,
  ReplyHeader,
} from './rpc.ts';
import { randomNfs3 } from './testing/random-nfs3.ts';
import type { XdrReader } from './xdr.ts';
import { XdrError, XdrWriter } from './xdr.ts';

const names = Object.keys(nfs3.nfs3Procedures) as nfs3.Nfs3Name[];
const nameOf = new Map<number, nfs3.Nfs3Name>(names.map((name) => [nfs3.nfs3Procedures[name].proc, name]));
const CALLS = 5;

/** Five calls in a row; `ends` has where each ends in the stream. */
function randomCalls(random: SeededRandom): { stream: Uint8Array; ends: number[] } {
  const w = new XdrWriter();
  const parms = { stamp: 1, machinename: random.bytes(9), uid: 1, gid: 2, gids: [3, 4, 5] };
  const credential = random.chance(1 / 4) ? AUTH_NONE_CREDENTIAL : authSysCredential(parms, w);
  const ends: number[] = [];
  for (let xid = 0; xid < CALLS; xid++) {
    const name = random.pick(names);
    const {
      proc,
      args: { encode: encodeArgs },
    } = nfs3.nfs3Procedures[name];
    const record = beginRecord(w);
    encodeCallHeader(w, xid, nfs3.NFS_PROGRAM, nfs3.NFS_V3, proc, credential);
    (encodeArgs as (w: XdrWriter, args: unknown) => void)(w, randomNfs3[name].args(random));
    endRecord(w, record);
    ends.push(w.position);
  }
  return { stream: new Uint8Array(w.written()), ends };
}

function randomReplies(random: SeededRandom): {
  stream: Uint8Array;
  ends: number[];
  procedures: nfs3.Nfs3Name[];
} {
  const w = new XdrWriter();
  const ends: number[] = [];
  const procedures: nfs3.Nfs3Name[] = [];
  for (let xid = 0; xid < CALLS; xid++) {
    const name = random.pick(names);
    const record = beginRecord(w);
    encodeSuccessHeader(w, xid);
    const {
      res: { encode: encodeRes },
    } = nfs3.nfs3Procedures[name];
    (encodeRes as (w: XdrWriter, res: unknown) => void)(w, randomNfs3[name].res(random));
    endRecord(w, record);
    ends.push(w.position);
    procedures.push(name);
  }
  return { stream: new Uint8Array(w.written()), ends, procedures };
}

/** Decodes records until the stream ends or an XdrError ends it. Any other error escapes. */
function decodeStream(stream: Uint8Array, random: SeededRandom, decode: (r: XdrReader) => void): number {
  const parser = new RecordParser(1 << 16);
  let decoded = 0;
  try {
    for (let at = 0; at < stream.length; ) {
      const size = 1 + random.below(200);
      parser.push(stream.subarray(at, at + size));
      at += size;
      while (parser.next()) {
        decode(parser.record);
        decoded += 1;
      }
    }
  } catch (error) {
    if (!(error instanceof XdrError)) throw error;
  }
  return decoded;
}

const header = new CallHeader();

function decodeCall(r: XdrReader): void {
  if (decodeCallHeader(r, header) !== 'ok') return;
  decodeAuthSys(r, header.credStart, header.credSize);
  const name = nameOf.get(header.proc);
  if (name !== undefined) nfs3.nfs3Procedures[name].args.decode(r);
  r.expectEnd();
}

/** Changes 1 to 6 bytes and returns the position of the first. */
function change(stream: Uint8Array, random: SeededRandom): number {
  let first = stream.length;
  for (let n = 1 + random.below(6); n > 0; n--) {
    const at = random.below(stream.length);
    stream[at] = stream[at]! ^ (1 + random.below(255));
    first = Math.min(first, at);
  }
  return first;
}

describe('a hostile stream', () => {
  test('calls: unchanged they all decode', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = new SeededRandom(seed);
      expect(decodeStream(randomCalls(random).stream, random, decodeCall), `seed ${seed}`).toBe(CALLS);
    }
  });

  test('calls: changed anywhere, only XdrError appears and earlier calls are unharmed', () => {
    for (let seed = 1; seed <= 3000; seed++) {
      const random = new SeededRandom(seed);
      const { stream, ends } = randomCalls(random);
      const first = change(stream, random);
      const unharmed = ends.filter((end) => end <= first).length;
      expect(decodeStream(stream, random, decodeCall), `seed ${seed}`).toBeGreaterThanOrEqual(unharmed);
    }
  });

  test('replies: changed anywhere, only XdrError appears and earlier replies are unharmed', () => {
    for (let seed = 1; seed <= 3000; seed++) {
      const random = new SeededRandom(seed);
      const { stream, ends, procedures } = randomReplies(random);
      const first = seed % 10 === 0 ? stream.length : change(stream, random);
      const unharmed = ends.filter((end) => end <= first).length;
      const reply = new ReplyHeader();
      let index = 0;
      const decodeReply = (r: XdrReader) => {
        decodeReplyHeader(r, reply);
        const name = procedures[index++ % CALLS]!;
        if (reply.kind === 'success') nfs3.nfs3Procedures[name].res.decode(r);
      };
      expect(decodeStream(stream, random, decodeReply), `seed ${seed}`).toBeGreaterThanOrEqual(unharmed);
    }
  });
});
