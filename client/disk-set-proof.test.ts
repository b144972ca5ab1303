/** The calls that ask a server whether it is the right one, byte for byte, and the calls that teach nothing. */
import { describe, expect, test } from 'vitest';
import { MOUNT_PROGRAM, MOUNT_V3, mountproc3 } from '../protocol/mount.ts';
import { NFS_PROGRAM, NFS_V3, nfsproc3 } from '../protocol/nfs3.ts';
import { beginRecord, endRecord } from '../protocol/record.ts';
import {
  AUTH_BODY_SIZE_MAX,
  AUTH_NONE,
  AUTH_NONE_CREDENTIAL,
  AUTH_SYS,
  accept_stat,
  auth_stat,
  CallHeader,
  decodeCallHeader,
  encodeAcceptedError,
  encodeAuthError,
  encodeCallHeader,
  encodeProgMismatch,
  encodeSuccessHeader,
  type opaque_auth,
} from '../protocol/rpc.ts';
import { SUCCESSION_PROGRAM, SUCCESSION_VERSION, successionproc1 } from '../protocol/succession.ts';
import { XdrReader, XdrWriter } from '../protocol/xdr.ts';
import { DiskSetIdentity, type ProofQuestion } from './disk-set-identity.ts';

const LAST_FRAGMENT = 0x80000000;
const bytes = (text: string) => Buffer.from(text);
const somebody: opaque_auth = { flavor: AUTH_SYS, body: new Uint8Array(AUTH_BODY_SIZE_MAX).fill(7) };

function callOf(program: number, version: number, procedure: number, credential = AUTH_NONE_CREDENTIAL) {
  const w = new XdrWriter(1024);
  const mark = beginRecord(w);
  encodeCallHeader(w, 7, program, version, procedure, credential);
  w.opaque(bytes('of the call'));
  endRecord(w, mark);
  return w.written();
}

function reply(write: (w: XdrWriter) => void): XdrReader {
  const w = new XdrWriter(1024);
  write(w);
  return new XdrReader(w.written());
}

/** NFS3_OK or MNT3_OK, and a handle. */
const good = () =>
  reply((w) => {
    encodeSuccessHeader(w, 7);
    w.u32(0);
    w.opaque(bytes('of the reply'));
  });

/** What a question says on the wire: header, credential, and the handle in it. */
function asked(identity: DiskSetIdentity, question: ProofQuestion) {
  const record = identity.ask(question, 99);
  const r = new XdrReader(record);
  expect(r.u32()).toBe((LAST_FRAGMENT | (record.length - 4)) >>> 0);
  const header = new CallHeader();
  expect(decodeCallHeader(r, header)).toBe('ok');
  const { xid, prog, vers, proc, credFlavor, credStart, credSize } = header;
  const credential = { flavor: credFlavor, body: record.slice(credStart, credStart + credSize) };
  const handle = Buffer.from(r.opaque(64)).toString();
  expect(r.remaining).toBe(0);
  return { xid, prog, vers, proc, credential, handle };
}

describe('the question', () => {
  const learned = () => {
    const identity = new DiskSetIdentity();
    identity.learn(callOf(MOUNT_PROGRAM, MOUNT_V3, mountproc3.MNT, somebody), good(), 5000);
    return identity;
  };

  test('HOLDS is asked as no user in particular', () => {
    expect(asked(learned(), 'Holds')).toEqual({
      xid: 99,
      prog: SUCCESSION_PROGRAM,
      vers: SUCCESSION_VERSION,
      proc: successionproc1.HOLDS,
      credential: { flavor: AUTH_NONE, body: new Uint8Array(0) },
      handle: 'of the reply',
    });
  });

  test('GETATTR of the export is asked as the user who has mounted it', () => {
    expect(asked(learned(), 'RootAttributes')).toEqual({
      xid: 99,
      prog: NFS_PROGRAM,
      vers: NFS_V3,
      proc: nfsproc3.GETATTR,
      credential: somebody,
      handle: 'of the reply',
    });
  });

  test('GETATTR has the credential and the handle of FSINFO, if that came later', () => {
    const identity = learned();
    identity.learn(callOf(NFS_PROGRAM, NFS_V3, nfsproc3.FSINFO), good(), 6000);
    expect(asked(identity, 'RootAttributes')).toMatchObject({
      credential: AUTH_NONE_CREDENTIAL,
      handle: 'of the call',
    });
  });

  test('has an answer that is no reply to it: the reason says which', () => {
    const judged = (write: (w: XdrWriter) => void) => learned().judge('RootAttributes', reply(write));
    expect(judged((w) => encodeAuthError(w, 99, auth_stat.AUTH_TOOWEAK))).toEqual({
      kind: 'Refused',
      reason: 'answers GETATTR with auth-error',
    });
    expect(judged((w) => encodeProgMismatch(w, 99, 4, 4))).toMatchObject({
      reason: 'answers GETATTR with prog-mismatch',
    });
  });

  test('is not due again right after a mount', () => {
    expect([learned().isWanted(5999), learned().isWanted(6000)]).toEqual([false, true]);
  });
});

describe('nothing is learned', () => {
  test.each([
    ['of another procedure of MOUNT', MOUNT_PROGRAM, MOUNT_V3, mountproc3.EXPORT],
    ['of another program', SUCCESSION_PROGRAM, SUCCESSION_VERSION, mountproc3.MNT],
    ['of another version of NFS', NFS_PROGRAM, 2, nfsproc3.GETATTR],
    ['of NULL', NFS_PROGRAM, NFS_V3, nfsproc3.NULL],
  ])('from a call %s', (_, program, version, procedure) => {
    const identity = new DiskSetIdentity();
    identity.learn(callOf(program, version, procedure), good(), 5000);
    expect([identity.isKnown, identity.isWanted(5001)]).toEqual([false, true]);
  });

  test('from a call that was refused, whatever follows in the record', () => {
    const identity = new DiskSetIdentity();
    const refused = reply((w) => {
      encodeAcceptedError(w, 7, accept_stat.SYSTEM_ERR);
      w.u32(0);
      w.opaque(bytes('of the reply'));
    });
    identity.learn(callOf(NFS_PROGRAM, NFS_V3, nfsproc3.READ), refused, 5000);
    expect(identity.isKnown).toBe(false);
  });

  test('of a bug: that is no reply which cannot be read', () => {
    const broken = Object.defineProperty(good(), 'end', {
      get: () => {
        throw new RangeError('a bug');
      },
    });
    expect(() => new DiskSetIdentity().learn(callOf(NFS_PROGRAM, NFS_V3, 1), broken, 1)).toThrow('a bug');
  });
});
