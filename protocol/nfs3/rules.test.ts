// The codec's own rules, one a test: limits, the parts that servers and clients use besides the whole unions.

import { describe, expect, test } from 'vitest';
import * as nfs3 from '../nfs3.ts';
import { ascii, wire } from '../testing/wire.ts';
import { XdrError, XdrReader, XdrWriter } from '../xdr.ts';

const ATTRIBUTES: nfs3.fattr3<number> = {
  type: nfs3.NF3DIR,
  mode: 0o755,
  nlink: 2,
  uid: 0,
  gid: 0,
  size: 4096,
  used: 4096,
  rdev: { specdata1: 0, specdata2: 0 },
  fsid: 5,
  fileid: 6,
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
    expect(nfs3.decodeGETATTR3args(new XdrReader(wire('h'.repeat(64)))).object.length).toBe(64);
    expect(() => nfs3.decodeGETATTR3args(new XdrReader(wire('h'.repeat(65))))).toThrow(XdrError);
  });

  test('names of any length reach the server, which has the status for them (NFS3ERR_NAMETOOLONG)', () => {
    const args = nfs3.decodeLOOKUP3args(new XdrReader(wire('fh', 'n'.repeat(5000))));
    expect(args.what.name.length).toBe(5000);
    const link = nfs3.decodeSYMLINK3args(new XdrReader(wire('fh', 'n', 0, 0, 0, 0, 0, 0, 'p'.repeat(5000))));
    expect(link.symlink.symlink_data.length).toBe(5000);
  });

  test('names are bytes: what is no UTF-8 arrives as it was sent', () => {
    const name = Uint8Array.of(0xff, 0x00, 0xc3, 0x28);
    const bytes = written((w) => nfs3.encodeLOOKUP3args(w, { what: { dir: ascii('d'), name } }));
    expect(nfs3.decodeLOOKUP3args(new XdrReader(bytes)).what.name).toEqual(name);
  });

  test('WRITE carries 1 MiB and not a byte more', () => {
    const data = new Uint8Array(nfs3.NFS3_IO_SIZE_MAX);
    const args = { file: ascii('f'), offset: 0, count: data.length, stable: nfs3.UNSTABLE, data };
    const bytes = written((w) => nfs3.encodeWRITE3args(w, args));
    expect(nfs3.decodeWRITE3args(new XdrReader(bytes)).data.length).toBe(data.length);
    expect(bytes.length).toBeLessThan(nfs3.NFS3_RECORD_SIZE_MAX);
    const longer = written((w) =>
      nfs3.encodeWRITE3args(w, { ...args, data: new Uint8Array(data.length + 1) }),
    );
    expect(() => nfs3.decodeWRITE3args(new XdrReader(longer))).toThrow(XdrError);
  });

  test('WRITE: count and length of the data may differ on the wire; telling INVAL is the server’s business', () => {
    const args = nfs3.decodeWRITE3args(new XdrReader(wire('f', 0n, 7, 0, 'hello')));
    expect([args.count, args.data.length]).toEqual([7, 5]);
  });

  test('READ passes any count on: a server may return less', () => {
    expect(nfs3.decodeREAD3args(new XdrReader(wire('f', 0n, 0xffffffff))).count).toBe(0xffffffff);
  });

  test('offsets are exact, whatever they are', () => {
    for (const offset of [2n ** 53n - 1n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
      expect(nfs3.decodeREAD3args(new XdrReader(wire('f', offset, 1))).offset).toBe(offset);
      expect(nfs3.decodeCOMMIT3args(new XdrReader(wire('f', offset, 1))).offset).toBe(offset);
    }
    expect(nfs3.decodeREAD3args(new XdrReader(wire('f', 2n ** 53n - 2n, 1))).offset).toBe(2 ** 53 - 2);
  });

  test('READLINK: a client takes a path of 4096 bytes and no more', () => {
    expect(nfs3.decodeREADLINK3res(new XdrReader(wire(0, 0, 'p'.repeat(4096)))).status).toBe(nfs3.NFS3_OK);
    expect(() => nfs3.decodeREADLINK3res(new XdrReader(wire(0, 0, 'p'.repeat(4097))))).toThrow(XdrError);
  });
});

describe('enums', () => {
  const where = wire('fh', 'n');
  const none = wire(0, 0, 0, 0);
  test.each([
    ['stable_how 3', () => nfs3.decodeWRITE3args(new XdrReader(wire('f', 0n, 0, 3, '')))],
    ['createmode3 3', () => nfs3.decodeCREATE3args(new XdrReader(wire(where, 3)))],
    ['time_how 3', () => nfs3.decodeMKDIR3args(new XdrReader(wire(where, none, 3, 0)))],
    ['ftype3 0', () => nfs3.decodeMKNOD3args(new XdrReader(wire(where, 0)))],
    ['ftype3 8', () => nfs3.decodeMKNOD3args(new XdrReader(wire(where, 8)))],
  ])('RFC 4506 §4.3: %s is refused', (_name, decode) => {
    expect(decode).toThrow(XdrError);
  });

  test('a status that the RFC does not list is a failure with a name for logs', () => {
    expect(nfs3.decodeGETATTR3res(new XdrReader(wire(4711)))).toEqual({ status: 4711 });
    expect(nfs3.nfsstat3Name(4711)).toBe('nfsstat3 4711');
    expect(nfs3.nfsstat3Name(nfs3.NFS3ERR_JUKEBOX)).toBe('NFS3ERR_JUKEBOX');
    expect(nfs3.nfsproc3Name(21)).toBe('COMMIT');
    expect(nfs3.nfsproc3Name(22)).toBe('procedure 22');
  });
});

describe('attributes', () => {
  test('FATTR3_SIZE and POST_OP_ATTR_SIZE are what an encoder writes', () => {
    expect(written((w) => nfs3.encodeFattr3(w, ATTRIBUTES)).length).toBe(nfs3.FATTR3_SIZE);
    expect(written((w) => nfs3.encodePostOpAttr(w, ATTRIBUTES)).length).toBe(nfs3.POST_OP_ATTR_SIZE);
  });

  test('numbers and bigints encode alike', () => {
    const wide = { ...ATTRIBUTES, fsid: 5n, fileid: 6n };
    expect(written((w) => nfs3.encodeFattr3(w, wide))).toEqual(
      written((w) => nfs3.encodeFattr3(w, ATTRIBUTES)),
    );
  });
});

describe('READ without a copy, RFC 1813 §3.3.6', () => {
  for (const [what, attributes] of [
    ['with attributes', ATTRIBUTES],
    ['without attributes', null],
  ] as const) {
    for (let count = 0; count <= 8; count++) {
      test(`${count} bytes read in place ${what} equal those encoded from an object`, () => {
        const data = ascii('datadata').slice(0, count);
        const w = new XdrWriter(0);
        w.u32(0xabcdef);
        w.bytes.fill(0xee, w.position);
        const at = nfs3.reserveREAD3data(w, 8);
        w.bytes.fill(0xee, w.position);
        w.bytes.set(data, at);
        nfs3.completeREAD3resok(w, attributes, count, true);
        const whole = written((other) =>
          nfs3.encodeREAD3res(other, { status: 0, file_attributes: attributes, count, eof: true, data }),
        );
        expect(w.written(4)).toEqual(whole);
      });
    }
  }

  test('a reservation that is not completed leaves the writer as it was', () => {
    const w = new XdrWriter(0);
    w.u32(1);
    nfs3.reserveREAD3data(w, 1 << 16);
    nfs3.encodeFailureAttr(w, nfs3.NFS3ERR_IO, null);
    expect(w.written()).toEqual(wire(1, nfs3.NFS3ERR_IO, 0));
  });
});

test('WRITE whose data is sent from where it lies equals the one in one piece', () => {
  const args = { file: ascii('file'), offset: 9, count: 5, stable: nfs3.FILE_SYNC, data: ascii('hello') };
  const whole = written((w) => nfs3.encodeWRITE3args(w, args));
  const head = written((w) => nfs3.encodeWRITE3argsBeforeData(w, args));
  expect(Uint8Array.from([...head, ...args.data, 0, 0, 0])).toEqual(whole);
});

describe('directory listings, RFC 1813 §3.3.16 and §3.3.17', () => {
  test('sizes of entries are what an encoder writes, for every length of name', () => {
    for (let length = 0; length < 20; length++) {
      const name = ascii('n'.repeat(length));
      expect(written((w) => nfs3.encodeEntry3(w, 1, name, 2)).length).toBe(nfs3.entry3Size(length));
      for (const attributes of [null, ATTRIBUTES]) {
        for (const handle of [null, ascii('handle')]) {
          const size = nfs3.entryplus3Size(length, attributes !== null, handle?.length ?? null);
          expect(written((w) => nfs3.encodeEntryplus3(w, 1, name, 2, attributes, handle)).length).toBe(size);
        }
      }
      expect(nfs3.entry3Size(length) - nfs3.entryDirectorySize(length)).toBe(4);
    }
    expect(written((w) => nfs3.endListing(w, true)).length).toBe(nfs3.LISTING_END_SIZE);
  });

  test('beginListing returns where the counted part begins: after the status', () => {
    const w = new XdrWriter();
    w.u32(0xabcdef);
    const start = nfs3.beginListing(w, null, ascii('verifier'));
    expect(start).toBe(8);
    expect(w.position - start).toBe(4 + 8);
  });
});

describe('failures before there is a result, for each shape', () => {
  const wcc = { before: null, after: ATTRIBUTES };
  const status = nfs3.NFS3ERR_STALE;
  test('they equal what the unions encode', () => {
    expect(written((w) => nfs3.encodeFailure(w, status))).toEqual(
      written((w) => nfs3.encodeGETATTR3res(w, { status })),
    );
    expect(written((w) => nfs3.encodeFailureAttr(w, status, ATTRIBUTES))).toEqual(
      written((w) => nfs3.encodeLOOKUP3res(w, { status, dir_attributes: ATTRIBUTES })),
    );
    expect(written((w) => nfs3.encodeFailureWcc(w, status, null, ATTRIBUTES))).toEqual(
      written((w) => nfs3.encodeWRITE3res(w, { status, file_wcc: wcc })),
    );
    expect(written((w) => nfs3.encodeFailureWcc2(w, status, wcc, wcc))).toEqual(
      written((w) => nfs3.encodeRENAME3res(w, { status, fromdir_wcc: wcc, todir_wcc: wcc })),
    );
    expect(written((w) => nfs3.encodeFailureAttrWcc(w, status, null, wcc))).toEqual(
      written((w) => nfs3.encodeLINK3res(w, { status, file_attributes: null, linkdir_wcc: wcc })),
    );
  });
});
