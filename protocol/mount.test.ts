import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../testing/seeded-random.ts';
import * as mount from './mount.ts';
import { ascii, wire } from './testing/wire.ts';
import { XdrError, XdrReader, XdrWriter } from './xdr.ts';
import type { Value } from './xdr-types.ts';

function written(write: (w: XdrWriter) => void): Uint8Array {
  const w = new XdrWriter(0);
  write(w);
  return new Uint8Array(w.written());
}

interface Case<Value> {
  name: string;
  value: Value;
  bytes: Uint8Array;
  encode(w: XdrWriter, value: Value): void;
  decode(r: XdrReader): Value;
}
const inCase = <Value>(c: Case<Value>): Case<unknown> => c as Case<unknown>;

const cases: Case<unknown>[] = [
  inCase({
    name: '§5.2.1 MNT and §5.2.3 UMNT: dirpath',
    value: ascii('/home'),
    bytes: wire('/home'),
    encode: mount.dirpath.encode,
    decode: mount.dirpath.decode,
  }),
  inCase<mount.mountres3>({
    name: '§5.2.1 MNT: handle and flavors',
    value: { status: mount.MNT3_OK, fhandle: ascii('handle'), auth_flavors: [1, 0] },
    bytes: wire(0, 'handle', 2, 1, 0),
    encode: mount.mountres3.encode,
    decode: mount.mountres3.decode,
  }),
  inCase<mount.mountres3>({
    name: '§5.2.1 MNT: refused',
    value: { status: mount.MNT3ERR_ACCES },
    bytes: wire(13),
    encode: mount.mountres3.encode,
    decode: mount.mountres3.decode,
  }),
  inCase<Value<typeof mount.mountlist>[number][]>({
    name: '§5.2.2 DUMP: two entries',
    value: [
      { ml_hostname: ascii('client'), ml_directory: ascii('/home') },
      { ml_hostname: ascii(''), ml_directory: ascii('/') },
    ],
    bytes: wire(1, 'client', '/home', 1, '', '/', 0),
    encode: mount.mountlist.encode,
    decode: mount.mountlist.decode,
  }),
  inCase<Value<typeof mount.mountlist>[number][]>({
    name: '§5.2.2 DUMP: none',
    value: [],
    bytes: wire(0),
    encode: mount.mountlist.encode,
    decode: mount.mountlist.decode,
  }),
  inCase<mount.exportnode[]>({
    name: '§5.2.5 EXPORT: with and without groups',
    value: [
      { ex_dir: ascii('/home'), ex_groups: [ascii('10.0.0.0/8'), ascii('host')] },
      { ex_dir: ascii('/all'), ex_groups: [] },
    ],
    bytes: wire(1, '/home', 1, '10.0.0.0/8', 1, 'host', 0, 1, '/all', 0, 0),
    encode: mount.exportlist.encode,
    decode: mount.exportlist.decode,
  }),
];

describe.each(cases)('RFC 1813 appendix I $name', ({ value, bytes, encode, decode }) => {
  test('byte for byte, and back', () => {
    expect(written((w) => encode(w, value))).toEqual(bytes);
    const r = new XdrReader(bytes);
    expect(decode(r)).toEqual(value);
    r.expectEnd();
  });

  test('cut off at every byte: an XdrError', () => {
    for (let size = 0; size < bytes.length; size++) {
      expect(() => decode(new XdrReader(bytes, 0, size))).toThrow(XdrError);
    }
  });

  test('changed at random: a value or an XdrError', () => {
    for (let seed = 1; seed <= 500; seed++) {
      const random = new SeededRandom(seed);
      const changed = bytes.slice();
      for (let n = 1 + random.below(5); n > 0; n--) changed[random.below(changed.length)] = random.word();
      try {
        decode(new XdrReader(changed));
      } catch (error) {
        expect(error, `seed ${seed}`).toBeInstanceOf(XdrError);
      }
    }
  });
});

describe('limits, RFC 1813 appendix I §5.1.4', () => {
  const decodes = (decode: (r: XdrReader) => unknown, bytes: Uint8Array) => {
    try {
      decode(new XdrReader(bytes));
      return true;
    } catch (error) {
      expect(error).toBeInstanceOf(XdrError);
      return false;
    }
  };

  test('MNTPATHLEN: a path of 1024 bytes passes, of 1025 does not', () => {
    expect(decodes(mount.dirpath.decode, wire('p'.repeat(1024)))).toBe(true);
    expect(decodes(mount.dirpath.decode, wire('p'.repeat(1025)))).toBe(false);
  });

  test('MNTNAMLEN: a name of 255 bytes passes, of 256 does not', () => {
    expect(decodes(mount.mountlist.decode, wire(1, 'n'.repeat(255), '/', 0))).toBe(true);
    expect(decodes(mount.mountlist.decode, wire(1, 'n'.repeat(256), '/', 0))).toBe(false);
  });

  test('FHSIZE3: a handle of 64 bytes passes, of 65 does not', () => {
    expect(decodes(mount.mountres3.decode, wire(0, 'h'.repeat(64), 0))).toBe(true);
    expect(decodes(mount.mountres3.decode, wire(0, 'h'.repeat(65), 0))).toBe(false);
  });

  test('a claimed count of flavors costs no more than what is there', () => {
    expect(decodes(mount.mountres3.decode, wire(0, 'h', 0xffffffff, 1, 1))).toBe(false);
  });

  test('statuses have names for logs', () => {
    expect(mount.mountstat3Name(13)).toBe('MNT3ERR_ACCES');
    expect(mount.mountstat3Name(4711)).toBe('mountstat3 4711');
  });
});
