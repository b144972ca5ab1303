import { describe, expect, it } from 'vitest';
import { MOUNT_PROGRAM, MOUNT_V3, mountproc3 } from '../protocol/mount.ts';
import { NFS_PROGRAM, NFS_V3, NFS3ERR_IO, NFS3ERR_STALE, nfsproc3 } from '../protocol/nfs3.ts';
import { beginRecord, endRecord } from '../protocol/record.ts';
import {
  AUTH_NONE_CREDENTIAL,
  accept_stat,
  CallHeader,
  decodeCallHeader,
  encodeAcceptedError,
  encodeCallHeader,
  encodeSuccessHeader,
} from '../protocol/rpc.ts';
import { decodeHoldsArgs } from '../protocol/succession.ts';
import { XdrReader, XdrWriter } from '../protocol/xdr.ts';
import { DiskSetIdentity } from './disk-set-identity.ts';

const bytes = (text: string) => Buffer.from(text);

function callOf(program: number, version: number, procedure: number, argument: string): Uint8Array {
  const w = new XdrWriter();
  const mark = beginRecord(w);
  encodeCallHeader(w, 7, program, version, procedure, AUTH_NONE_CREDENTIAL);
  w.opaque(bytes(argument));
  endRecord(w, mark);
  return w.written();
}

function replyOf(status: number, handle?: string): XdrReader {
  const w = new XdrWriter();
  encodeSuccessHeader(w, 7);
  w.u32(status);
  if (handle !== undefined) w.opaque(bytes(handle));
  return new XdrReader(w.written());
}

function refusalOf(stat: typeof accept_stat.PROG_UNAVAIL): XdrReader {
  const w = new XdrWriter();
  encodeAcceptedError(w, 7, stat);
  return new XdrReader(w.written());
}

/** The handle that a server would be asked about. */
function handleIn(identity: DiskSetIdentity): string {
  const call = new XdrReader(identity.ask('Holds', 9), 4);
  decodeCallHeader(call, new CallHeader());
  return Buffer.from(decodeHoldsArgs(call)).toString();
}

const nfs = (procedure: number, handle: string) => callOf(NFS_PROGRAM, NFS_V3, procedure, handle);

describe('a file handle of the disk set', () => {
  it('is read off a call that was answered well, and off nothing else', () => {
    const identity = new DiskSetIdentity();
    identity.learn(nfs(nfsproc3.WRITE, 'gone'), replyOf(NFS3ERR_STALE), 1);
    identity.learn(nfs(nfsproc3.NULL, ''), replyOf(0), 1);
    identity.learn(nfs(nfsproc3.READ, 'cut off'), new XdrReader(new Uint8Array(5)), 1);
    identity.learn(bytes('....no call'), replyOf(0), 1);
    expect(identity.isKnown).toBe(false);
    identity.learn(nfs(nfsproc3.WRITE, 'file'), replyOf(0), 1);
    expect([identity.isKnown, handleIn(identity)]).toEqual([true, 'file']);
    const reply = replyOf(0);
    identity.learn(nfs(nfsproc3.READ, 'later'), reply, 2);
    expect([handleIn(identity), reply.position]).toEqual(['later', 0]);
  });

  it('is the one that MOUNT returns', () => {
    const identity = new DiskSetIdentity();
    identity.learn(callOf(MOUNT_PROGRAM, MOUNT_V3, mountproc3.MNT, '/home'), replyOf(0, 'root'), 1);
    expect(handleIn(identity)).toBe('root');
  });

  it('is wanted again after a while only', () => {
    const identity = new DiskSetIdentity();
    expect(identity.isWanted(0)).toBe(true);
    identity.learn(nfs(nfsproc3.READ, 'file'), replyOf(0), 5000);
    expect([identity.isWanted(5999), identity.isWanted(6000)]).toEqual([false, true]);
  });
});

describe('a server', () => {
  const known = (rooted: boolean) => {
    const identity = new DiskSetIdentity();
    if (rooted) identity.learn(nfs(nfsproc3.FSINFO, 'root'), replyOf(0), 1);
    else identity.learn(nfs(nfsproc3.READ, 'file'), replyOf(0), 1);
    return identity;
  };

  it('is the right one if it serves the volume of the handle', () => {
    expect(known(false).judge('Holds', replyOf(0))).toEqual({ kind: 'Proven' });
    expect(known(false).judge('Holds', replyOf(NFS3ERR_STALE))).toMatchObject({
      kind: 'Refused',
      reason: 'serves the disks of another server',
    });
  });

  it('that cannot be asked that is asked for the attributes of the export, if that is known', () => {
    const refusal = () => refusalOf(accept_stat.PROG_UNAVAIL);
    expect(known(false).judge('Holds', refusal())).toEqual({ kind: 'Proven' });
    expect(known(true).judge('Holds', refusal())).toEqual({ kind: 'Ask', question: 'RootAttributes' });
    const judged = (status: number) => known(true).judge('RootAttributes', replyOf(status));
    expect(judged(0)).toEqual({ kind: 'Proven' });
    expect(judged(NFS3ERR_STALE)).toMatchObject({ reason: 'serves the disks of another server' });
    expect(judged(NFS3ERR_IO)).toMatchObject({ reason: 'answers GETATTR of the export with NFS3ERR_IO' });
    expect(known(true).judge('RootAttributes', refusal())).toMatchObject({
      reason: 'answers GETATTR with PROG_UNAVAIL',
    });
  });
});
