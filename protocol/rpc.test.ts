import { describe, expect, test } from 'vitest';
import type { authsys_parms } from './rpc.ts';
import {
  ACCEPTED_HEADER_SIZE,
  AUTH_NONE_CREDENTIAL,
  AUTH_SYS,
  accept_stat,
  auth_stat,
  authSysCredential,
  CallHeader,
  decodeAuthSys,
  decodeCallHeader,
  decodeReplyHeader,
  encodeAcceptedError,
  encodeAuthError,
  encodeCallHeader,
  encodeProgMismatch,
  encodeRpcMismatch,
  encodeSuccessHeader,
  peekXid,
  ReplyHeader,
} from './rpc.ts';
import { ascii, wire } from './testing/wire.ts';
import { XdrError, XdrReader, XdrWriter } from './xdr.ts';

const PARMS: authsys_parms = {
  stamp: 7,
  machinename: ascii('host1'),
  uid: 1000,
  gid: 100,
  gids: [4, 27, 1000],
};
const PARMS_BODY = wire(7, 'host1', 1000, 100, 3, 4, 27, 1000);

function packed(write: (w: XdrWriter) => void): Uint8Array {
  const w = new XdrWriter();
  write(w);
  return new Uint8Array(w.written());
}

function verdictOf(bytes: Uint8Array): { verdict: string; call: CallHeader } {
  const call = new CallHeader();
  return { verdict: decodeCallHeader(new XdrReader(bytes), call), call };
}

describe('calls, RFC 5531 §9', () => {
  test('call_body with AUTH_NONE, byte for byte', () => {
    const expected = wire(0x11223344, 0, 2, 100003, 3, 1, 0, 0, 0, 0);
    const bytes = packed((w) => encodeCallHeader(w, 0x11223344, 100003, 3, 1, AUTH_NONE_CREDENTIAL));
    expect(bytes).toEqual(expected);
    const { verdict, call } = verdictOf(wire(0x11223344, 0, 2, 100003, 3, 1, 0, 0, 0, 0, 99));
    expect(verdict).toBe('ok');
    expect(call).toMatchObject({
      xid: 0x11223344,
      prog: 100003,
      vers: 3,
      proc: 1,
      credFlavor: 0,
      credSize: 0,
    });
    expect(call.argumentsStart).toBe(40);
  });

  test('call_body with AUTH_SYS, byte for byte, and back', () => {
    const w = new XdrWriter();
    const credential = authSysCredential(PARMS, w);
    expect(w.position).toBe(0);
    const bytes = packed((out) => encodeCallHeader(out, 5, 100005, 3, 1, credential));
    expect(bytes).toEqual(wire(5, 0, 2, 100005, 3, 1, AUTH_SYS, PARMS_BODY.length, PARMS_BODY, 0, 0));
    const { verdict, call } = verdictOf(bytes);
    expect(verdict).toBe('ok');
    expect(call).toMatchObject({ credFlavor: AUTH_SYS, credStart: 32, credSize: PARMS_BODY.length });
    expect(decodeAuthSys(new XdrReader(bytes), call.credStart, call.credSize)).toEqual(PARMS);
  });

  test('another RPC version is told from garbage, so that it gets RPC_MISMATCH', () => {
    const { verdict, call } = verdictOf(wire(9, 0, 3));
    expect(verdict).toBe('rpc-mismatch');
    expect(call.xid).toBe(9);
  });

  test('a reply where a call belongs is no RPC call', () => {
    expect(() => verdictOf(wire(9, 1, 0, 0, 0, 0))).toThrow(XdrError);
  });

  test('§8.2: authentication bodies of 400 bytes pass, of 401 and more do not', () => {
    const head = [9, 0, 2, 100003, 3, 1] as const;
    const of400 = new Uint8Array(400);
    const of404 = new Uint8Array(404);
    expect(verdictOf(wire(...head, 0, 400, of400, 0, 400, of400)).verdict).toBe('ok');
    expect(verdictOf(wire(...head, 1, 401, of404, 0, 0)).verdict).toBe('bad-credential');
    expect(verdictOf(wire(...head, 1, 0xffffffff)).verdict).toBe('bad-credential');
    expect(verdictOf(wire(...head, 0, 0, 0, 404, of404)).verdict).toBe('bad-verifier');
  });

  test('a call cut off anywhere before its arguments is an XdrError', () => {
    const bytes = wire(5, 0, 2, 100005, 3, 1, AUTH_SYS, PARMS_BODY.length, PARMS_BODY, 0, 4, 0);
    for (let size = 0; size < bytes.length; size++) {
      expect(() => verdictOf(bytes.slice(0, size))).toThrow(XdrError);
    }
    expect(verdictOf(bytes).verdict).toBe('ok');
  });

  test('peekXid reads the identifier and leaves the reader where it was', () => {
    const r = new XdrReader(wire(77, 0));
    expect(peekXid(r)).toBe(77);
    expect(r.position).toBe(0);
  });
});

describe('AUTH_SYS, RFC 5531 appendix A', () => {
  const decode = (body: Uint8Array) => decodeAuthSys(new XdrReader(body), 0, body.length);

  test('a machine name of 255 bytes passes, of 256 does not', () => {
    expect(decode(wire(0, 'x'.repeat(255), 0, 0, 0))?.machinename.length).toBe(255);
    expect(decode(wire(0, 'x'.repeat(256), 0, 0, 0))).toBeNull();
  });

  test('16 groups pass, 17 do not, and a huge count costs nothing', () => {
    const gids = (count: number) => Array.from({ length: count }, (_, i) => i);
    expect(decode(wire(0, '', 0, 0, 16, ...gids(16)))?.gids).toEqual(gids(16));
    expect(decode(wire(0, '', 0, 0, 17, ...gids(17)))).toBeNull();
    expect(decode(wire(0, '', 0, 0, 0xffffffff))).toBeNull();
  });

  test('a body that is cut off or longer than its content is refused', () => {
    for (let size = 0; size < PARMS_BODY.length; size++) expect(decode(PARMS_BODY.slice(0, size))).toBeNull();
    expect(decode(PARMS_BODY)).toEqual(PARMS);
    expect(decode(wire(PARMS_BODY, 0))).toBeNull();
  });

  test('the body is read only within its own length, and the reader stays where it was', () => {
    const bytes = wire(PARMS_BODY, 1, 2, 3);
    const r = new XdrReader(bytes, PARMS_BODY.length, bytes.length);
    expect(decodeAuthSys(r, 0, PARMS_BODY.length)).toEqual(PARMS);
    expect(decodeAuthSys(r, 0, PARMS_BODY.length - 4)).toBeNull();
    expect(decodeAuthSys(r, 8, bytes.length)).toBeNull();
    expect(r.u32()).toBe(1);
  });

  test('what exceeds the limits cannot be sent', () => {
    const w = new XdrWriter();
    expect(() => authSysCredential({ ...PARMS, machinename: new Uint8Array(256) }, w)).toThrow(RangeError);
    expect(() => authSysCredential({ ...PARMS, gids: new Array(17).fill(0) }, w)).toThrow(RangeError);
  });
});

describe('replies, RFC 5531 §9', () => {
  const cases: {
    name: string;
    bytes: Uint8Array;
    encode: (w: XdrWriter) => void;
    header: Partial<ReplyHeader>;
  }[] = [
    {
      name: 'SUCCESS',
      bytes: wire(3, 1, 0, 0, 0, 0),
      encode: (w) => encodeSuccessHeader(w, 3),
      header: { xid: 3, kind: 'success' },
    },
    {
      name: 'PROG_UNAVAIL',
      bytes: wire(3, 1, 0, 0, 0, 1),
      encode: (w) => encodeAcceptedError(w, 3, accept_stat.PROG_UNAVAIL),
      header: { kind: 'error', acceptStat: accept_stat.PROG_UNAVAIL },
    },
    {
      name: 'PROG_MISMATCH with the versions served',
      bytes: wire(3, 1, 0, 0, 0, 2, 3, 3),
      encode: (w) => encodeProgMismatch(w, 3, 3, 3),
      header: { kind: 'prog-mismatch', low: 3, high: 3 },
    },
    {
      name: 'PROC_UNAVAIL',
      bytes: wire(3, 1, 0, 0, 0, 3),
      encode: (w) => encodeAcceptedError(w, 3, accept_stat.PROC_UNAVAIL),
      header: { kind: 'error', acceptStat: accept_stat.PROC_UNAVAIL },
    },
    {
      name: 'GARBAGE_ARGS',
      bytes: wire(3, 1, 0, 0, 0, 4),
      encode: (w) => encodeAcceptedError(w, 3, accept_stat.GARBAGE_ARGS),
      header: { kind: 'error', acceptStat: accept_stat.GARBAGE_ARGS },
    },
    {
      name: 'SYSTEM_ERR',
      bytes: wire(3, 1, 0, 0, 0, 5),
      encode: (w) => encodeAcceptedError(w, 3, accept_stat.SYSTEM_ERR),
      header: { kind: 'error', acceptStat: accept_stat.SYSTEM_ERR },
    },
    {
      name: 'RPC_MISMATCH with version 2',
      bytes: wire(3, 1, 1, 0, 2, 2),
      encode: (w) => encodeRpcMismatch(w, 3),
      header: { kind: 'rpc-mismatch', low: 2, high: 2 },
    },
    {
      name: 'AUTH_ERROR',
      bytes: wire(3, 1, 1, 1, 1),
      encode: (w) => encodeAuthError(w, 3, auth_stat.AUTH_BADCRED),
      header: { kind: 'auth-error', authStat: auth_stat.AUTH_BADCRED },
    },
    {
      name: 'AUTH_TOOWEAK',
      bytes: wire(3, 1, 1, 1, 5),
      encode: (w) => encodeAuthError(w, 3, auth_stat.AUTH_TOOWEAK),
      header: { kind: 'auth-error', authStat: auth_stat.AUTH_TOOWEAK },
    },
  ];

  for (const { name, bytes, encode, header } of cases) {
    test(`${name}, byte for byte, back, and cut off anywhere`, () => {
      expect(packed(encode)).toEqual(bytes);
      const into = new ReplyHeader();
      decodeReplyHeader(new XdrReader(bytes), into);
      expect(into).toMatchObject(header);
      for (let size = 0; size < bytes.length; size++) {
        expect(() => decodeReplyHeader(new XdrReader(bytes.slice(0, size)), new ReplyHeader())).toThrow(
          XdrError,
        );
      }
    });
  }

  test('results follow a SUCCESS header after its verifier, whatever that is', () => {
    const r = new XdrReader(wire(3, 1, 0, 6, 5, ascii('token'), 0, 4711));
    const into = new ReplyHeader();
    decodeReplyHeader(r, into);
    expect(into.kind).toBe('success');
    expect(r.u32()).toBe(4711);
    expect(packed((w) => encodeSuccessHeader(w, 3)).length).toBe(ACCEPTED_HEADER_SIZE);
  });

  test('statuses that the RFC does not know are refused', () => {
    for (const bytes of [
      wire(3, 1, 2, 0),
      wire(3, 1, 0, 0, 0, 6),
      wire(3, 1, 1, 2, 0),
      wire(3, 1, 1, 1, 15),
      wire(3, 2),
    ]) {
      expect(() => decodeReplyHeader(new XdrReader(bytes), new ReplyHeader())).toThrow(XdrError);
    }
  });
});
