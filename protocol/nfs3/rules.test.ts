/** The codec's own rules, one a test: limits, the parts that servers and clients use besides the whole unions. */

import { describe, expect, test } from 'vitest';
import * as nfs3 from '../nfs3.ts';
import { ascii, wire } from '../testing/wire.ts';
import { XdrError, XdrReader, XdrWriter } from '../xdr.ts';

const ATTRIBUTES: nfs3.fattr3 = {
  type: nfs3.NF3DIR,
  mode: 0o755,
  nlink: 2,
  uid: 0,
  gid: 0,
  size: 4096,
  used: 4096,
  rdev: { specdata1: 0, specdata2: 0 },
  fsid: 5n,
  fileid: 6n,
  atime: { seconds: 1, nseconds: 0 },
  mtime: { seconds: 2, nseconds: 0 },
  ctime: { seconds: 3, nseconds: 0 },
};

function written(write: (w: XdrWriter) => void): Uint8Array {
  const w = new XdrWriter(0);
  write(w);
  return new Uint8Array(w.written());
}

describe('limits', () => {
  test('RFC 1813 §2.4: a handle of 64 bytes passes, of 65 does not', () => {
    expect(nfs3.nfs3Procedures.GETATTR.args.decode(new XdrReader(wire('h'.repeat(64)))).object.length).toBe(
      64,
    );
    expect(() => nfs3.nfs3Procedures.GETATTR.args.decode(new XdrReader(wire('h'.repeat(65))))).toThrow(
      XdrError,
    );
  });

  test('names of any length reach the server, which has the status for them (NFS3ERR_NAMETOOLONG)', () => {
    const args = nfs3.nfs3Procedures.LOOKUP.args.decode(new XdrReader(wire('fh', 'n'.repeat(5000))));
    expect(args.what.name.length).toBe(5000);
    const link = nfs3.nfs3Procedures.SYMLINK.args.decode(
      new XdrReader(wire('fh', 'n', 0, 0, 0, 0, 0, 0, 'p'.repeat(5000))),
    );
    expect(link.symlink.symlink_data.length).toBe(5000);
  });

  test('names are bytes: those that are not UTF-8 arrive as they were sent', () => {
    const name = Uint8Array.of(0xff, 0x00, 0xc3, 0x28);
    const bytes = written((w) =>
      nfs3.nfs3Procedures.LOOKUP.args.encode(w, { what: { dir: ascii('d'), name } }),
    );
    expect(nfs3.nfs3Procedures.LOOKUP.args.decode(new XdrReader(bytes)).what.name).toEqual(name);
  });

  test('WRITE carries 1 MiB and not a byte more', () => {
    const data = new Uint8Array(nfs3.NFS3_IO_SIZE_MAX);
    const args = { file: ascii('f'), offset: 0, count: data.length, stable: nfs3.UNSTABLE, data };
    const bytes = written((w) => nfs3.nfs3Procedures.WRITE.args.encode(w, args));
    expect(nfs3.nfs3Procedures.WRITE.args.decode(new XdrReader(bytes)).data.length).toBe(data.length);
    expect(bytes.length).toBeLessThan(nfs3.NFS3_RECORD_SIZE_MAX);
    const longer = written((w) =>
      nfs3.nfs3Procedures.WRITE.args.encode(w, { ...args, data: new Uint8Array(data.length + 1) }),
    );
    expect(() => nfs3.nfs3Procedures.WRITE.args.decode(new XdrReader(longer))).toThrow(XdrError);
  });

  test('WRITE: count and length of the data may differ on the wire; telling INVAL is the server’s business', () => {
    const args = nfs3.nfs3Procedures.WRITE.args.decode(new XdrReader(wire('f', 0n, 7, 0, 'hello')));
    expect([args.count, args.data.length]).toEqual([7, 5]);
  });

  test('READ passes any count on: a server may return less', () => {
    expect(nfs3.nfs3Procedures.READ.args.decode(new XdrReader(wire('f', 0n, 0xffffffff))).count).toBe(
      0xffffffff,
    );
  });

  test('offsets are exact, whatever they are', () => {
    for (const offset of [2n ** 53n - 1n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
      expect(nfs3.nfs3Procedures.READ.args.decode(new XdrReader(wire('f', offset, 1))).offset).toBe(offset);
      expect(nfs3.nfs3Procedures.COMMIT.args.decode(new XdrReader(wire('f', offset, 1))).offset).toBe(offset);
    }
    expect(nfs3.nfs3Procedures.READ.args.decode(new XdrReader(wire('f', 2n ** 53n - 2n, 1))).offset).toBe(
      2 ** 53 - 2,
    );
  });

  test('READLINK: a client takes a path of 4096 bytes and no more', () => {
    expect(nfs3.nfs3Procedures.READLINK.res.decode(new XdrReader(wire(0, 0, 'p'.repeat(4096)))).status).toBe(
      nfs3.NFS3_OK,
    );
    expect(() =>
      nfs3.nfs3Procedures.READLINK.res.decode(new XdrReader(wire(0, 0, 'p'.repeat(4097)))),
    ).toThrow(XdrError);
  });
});

describe('enums', () => {
  const where = wire('fh', 'n');
  const none = wire(0, 0, 0, 0);
  test.each([
    ['stable_how 3', () => nfs3.nfs3Procedures.WRITE.args.decode(new XdrReader(wire('f', 0n, 0, 3, '')))],
    ['createmode3 3', () => nfs3.nfs3Procedures.CREATE.args.decode(new XdrReader(wire(where, 3)))],
    ['time_how 3', () => nfs3.nfs3Procedures.MKDIR.args.decode(new XdrReader(wire(where, none, 3, 0)))],
    ['ftype3 0', () => nfs3.nfs3Procedures.MKNOD.args.decode(new XdrReader(wire(where, 0)))],
    ['ftype3 8', () => nfs3.nfs3Procedures.MKNOD.args.decode(new XdrReader(wire(where, 8)))],
  ])('RFC 4506 §4.3: %s is refused', (_name, decode) => {
    expect(decode).toThrow(XdrError);
  });

  test('a status that the RFC does not list is a failure with a name for logs', () => {
    expect(nfs3.nfs3Procedures.GETATTR.res.decode(new XdrReader(wire(4711)))).toEqual({ status: 4711 });
    expect(nfs3.nfsstat3Name(4711)).toBe('nfsstat3 4711');
    expect(nfs3.nfsstat3Name(nfs3.NFS3ERR_JUKEBOX)).toBe('NFS3ERR_JUKEBOX');
    expect(nfs3.nfsproc3Name(21)).toBe('COMMIT');
    expect(nfs3.nfsproc3Name(22)).toBe('procedure 22');
  });
});

describe('attributes', () => {
  test('FATTR3_SIZE and POST_OP_ATTR_SIZE are what an encoder writes', () => {
    expect(written((w) => nfs3.fattr3.encode(w, ATTRIBUTES)).length).toBe(nfs3.FATTR3_SIZE);
    expect(written((w) => nfs3.post_op_attr.encode(w, ATTRIBUTES)).length).toBe(nfs3.POST_OP_ATTR_SIZE);
  });
});

test('WRITE whose data is sent from where it lies equals the one in one piece', () => {
  const args = { file: ascii('file'), offset: 9, count: 5, stable: nfs3.FILE_SYNC, data: ascii('hello') };
  const whole = written((w) => nfs3.nfs3Procedures.WRITE.args.encode(w, args));
  const head = written((w) => nfs3.encodeWRITE3argsBeforeData(w, args));
  expect(Uint8Array.from([...head, ...args.data, 0, 0, 0])).toEqual(whole);
});

/** A READDIRPLUS3resok of these entries. */
function listed(entries: nfs3.entryplus3[]): Uint8Array {
  const head = { status: nfs3.NFS3_OK, dir_attributes: null, cookieverf: ascii('verifier') };
  return written((w) => nfs3.nfs3Procedures.READDIRPLUS.res.encode(w, { ...head, entries, eof: true }));
}

describe('directory listings, RFC 1813 §3.3.16 and §3.3.17', () => {
  test('sizes of entries are what an encoder writes, for every length of name', () => {
    for (let length = 0; length < 20; length++) {
      const name = ascii('n'.repeat(length));
      expect(written((w) => nfs3.encodeEntry3(w, 1n, name, 2n)).length).toBe(nfs3.entry3Size(length));
      for (const name_attributes of [null, ATTRIBUTES]) {
        for (const name_handle of [null, ascii('handle')]) {
          const size = nfs3.entryplus3Size(length, name_attributes !== null, name_handle?.length ?? null);
          const entry = { fileid: 1n, name, cookie: 2n, name_attributes, name_handle };
          expect(listed([entry]).length - listed([]).length).toBe(size);
        }
      }
      expect(nfs3.entry3Size(length) - nfs3.entryDirectorySize(length)).toBe(4);
    }
    expect(written((w) => nfs3.endListing(w, true)).length).toBe(nfs3.LISTING_END_SIZE);
  });
});
