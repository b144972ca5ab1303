/** Headers of calls and replies, and AUTH_SYS: what was understood is written again and understood in the same way. */
import { isDeepStrictEqual } from 'node:util';
import {
  AUTH_NONE_CREDENTIAL,
  AUTH_SYS,
  authSysCredential,
  CallHeader,
  decodeAuthSys,
  decodeCallHeader,
  decodeReplyHeader,
  encodeCallHeader,
  encodeSuccessHeader,
  ReplyHeader,
} from '../../protocol/rpc.ts';
import { wire } from '../../protocol/testing/wire.ts';
import { XdrError, XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import { mustHold, readInPlace, type Target } from '../target.ts';

function written(write: (w: XdrWriter) => void): Uint8Array {
  const w = new XdrWriter();
  write(w);
  return new Uint8Array(w.written());
}

function sayCall(buffer: Uint8Array, start: number, end: number): unknown {
  const r = new XdrReader(buffer, start, end);
  const header = new CallHeader();
  try {
    const verdict = decodeCallHeader(r, header);
    mustHold(r.position <= end, 'the header ends behind its message');
    if (verdict !== 'ok') return verdict;
    const { credStart, credSize, argumentsStart, ...rest } = header;
    mustHold(
      credStart >= start && credStart + credSize <= argumentsStart,
      'the credential is not in the header',
    );
    const body = buffer.slice(credStart, credStart + credSize);
    const user = header.credFlavor === AUTH_SYS ? decodeAuthSys(r, credStart, credSize) : null;
    mustHold(r.position === argumentsStart && r.end === end, 'reading the credential moved the reader');
    const machinename = user?.machinename.slice();
    return {
      ...rest,
      body,
      user: user === null ? null : { ...user, machinename },
      left: end - argumentsStart,
    };
  } catch (error) {
    if (!(error instanceof XdrError)) throw error;
    return error.fault;
  }
}

function sayReply(buffer: Uint8Array, start: number, end: number): unknown {
  const r = new XdrReader(buffer, start, end);
  const header = new ReplyHeader();
  try {
    decodeReplyHeader(r, header);
    mustHold(r.position <= end, 'the header ends behind its message');
    return { ...header, left: end - r.position };
  } catch (error) {
    if (!(error instanceof XdrError)) throw error;
    return error.fault;
  }
}

export const rpc: Target = {
  name: 'rpc',
  covers: ['protocol/'],
  words: [wire(2, 100003, 3), wire(2, 100005, 3), wire(1, 24), wire(0, 0), wire(6, 400)],
  seeds: () => [
    written((w) => encodeCallHeader(w, 7, 100003, 3, 1, AUTH_NONE_CREDENTIAL)),
    written((w) => {
      const parms = { stamp: 1, machinename: Uint8Array.of(1, 2, 3), uid: 1, gid: 2, gids: [3, 4, 5] };
      encodeCallHeader(w, 7, 100003, 3, 1, authSysCredential(parms, new XdrWriter()));
    }),
    written((w) => encodeSuccessHeader(w, 7)),
    wire(7, 1, 0, 0, 0, 2, 3, 3),
    wire(7, 1, 1, 0, 2, 2),
    wire(7, 1, 1, 1, 5),
    wire(7, 0, 2, 1, 1, 1, 9, 0, 0, 0),
  ],
  run: (input) => {
    const call = readInPlace(input, sayCall, isDeepStrictEqual);
    readInPlace(input, sayReply, isDeepStrictEqual);
    if (typeof call === 'string') return;
    const { xid, prog, vers, proc, credFlavor, body, verfFlavor, user } = call as CallHeader & {
      readonly body: Uint8Array;
      readonly user: Parameters<typeof authSysCredential>[0] | null;
    };
    if (verfFlavor === 0) {
      const again = written((w) => encodeCallHeader(w, xid, prog, vers, proc, { flavor: credFlavor, body }));
      const { left: _, ...same } = call as { readonly left: number };
      const { left: none, ...other } = sayCall(again, 0, again.length) as { readonly left: number };
      mustHold(none === 0 && isDeepStrictEqual(same, other), 'a call written again is another one');
    }
    if (user === null) return;
    const credential = authSysCredential(user, new XdrWriter());
    const r = new XdrReader(credential.body.slice());
    mustHold(isDeepStrictEqual(decodeAuthSys(r, 0, r.end), user), 'a user written again is another one');
  },
};
