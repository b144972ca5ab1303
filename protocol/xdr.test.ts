import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../testing/seeded-random.ts';
import { ascii, wire } from './testing/wire.ts';
import type { XdrFault } from './xdr.ts';
import { paddedSize, XdrError, XdrReader, XdrWriter } from './xdr.ts';

function faultOf(run: () => unknown): XdrFault | 'none' {
  try {
    run();
    return 'none';
  } catch (error) {
    expect(error).toBeInstanceOf(XdrError);
    return (error as XdrError).fault;
  }
}

function packed(write: (w: XdrWriter) => void, sizeInitial = 0): Uint8Array {
  const w = new XdrWriter(sizeInitial);
  write(w);
  return new Uint8Array(w.written());
}

describe('RFC 4506 layout', () => {
  test('§4.1 and §4.2: integers are four bytes, most significant first', () => {
    expect(packed((w) => w.u32(0x01020304))).toEqual(Uint8Array.of(1, 2, 3, 4));
    expect(packed((w) => w.i32(-2))).toEqual(Uint8Array.of(255, 255, 255, 254));
    const r = new XdrReader(Uint8Array.of(255, 255, 255, 254, 255, 255, 255, 254));
    expect(r.i32()).toBe(-2);
    expect(r.u32()).toBe(0xfffffffe);
  });

  test('§4.4: a boolean other than 0 and 1 is refused', () => {
    expect(new XdrReader(wire(1)).bool()).toBe(true);
    expect(new XdrReader(wire(0)).bool()).toBe(false);
    expect(faultOf(() => new XdrReader(wire(2)).bool())).toBe('bad-boolean');
  });

  test('§4.3: a value outside the enum is refused', () => {
    expect(new XdrReader(wire(7)).enumWithin('ftype3', 1, 7)).toBe(7);
    expect(faultOf(() => new XdrReader(wire(8)).enumWithin('ftype3', 1, 7))).toBe('bad-enum');
    expect(faultOf(() => new XdrReader(wire(0)).enumWithin('ftype3', 1, 7))).toBe('bad-enum');
  });

  test('§4.5: hypers are eight bytes, from number and bigint alike', () => {
    for (const value of [0, 1, 0xffffffff, 0x1_0000_0000, Number.MAX_SAFE_INTEGER]) {
      const expected = wire(BigInt(value));
      expect(packed((w) => w.u64(value))).toEqual(expected);
      expect(packed((w) => w.u64(BigInt(value)))).toEqual(expected);
      expect(new XdrReader(expected).u64()).toBe(BigInt(value));
      expect(new XdrReader(expected).u64Saturated()).toBe(value);
    }
  });

  test('a hyper beyond 2^53 - 1 saturates as a number and stays exact as a bigint', () => {
    for (const value of [2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
      expect(new XdrReader(wire(value)).u64Saturated()).toBe(Number.MAX_SAFE_INTEGER);
      expect(new XdrReader(wire(value)).u64()).toBe(value);
    }
  });

  test('a number that is no size is a bug of the encoder, not a wrong value on the wire', () => {
    for (const value of [-1, Number.NaN, 2 ** 53]) {
      expect(() => packed((w) => w.u64(value))).toThrow(RangeError);
    }
  });

  test('§4.9 to §4.11: opaque data is padded with zeros to a multiple of four', () => {
    for (let length = 0; length <= 130; length++) {
      const data = new SeededRandom(length).bytes(length);
      const w = new XdrWriter(0);
      // A reused buffer must not show through in the padding.
      w.bytes.fill(0xee);
      w.opaque(data);
      const expected = wire(length, data);
      expect(w.written()).toEqual(expected);
      const r = new XdrReader(expected);
      expect(r.opaque(length)).toEqual(data);
      r.expectEnd();
    }
  });

  test('padding that is not zero is skipped', () => {
    const r = new XdrReader(Uint8Array.of(0, 0, 0, 1, 65, 9, 9, 9, 0, 0, 0, 5));
    expect(r.opaque(10)).toEqual(ascii('A'));
    expect(r.u32()).toBe(5);
  });
});

describe('limits', () => {
  test('a length above the limit of the field is refused before the data is looked at', () => {
    expect(faultOf(() => new XdrReader(wire('abcde')).opaque(4))).toBe('too-long');
    expect(faultOf(() => new XdrReader(wire(0xffffffff)).opaque(64))).toBe('too-long');
  });

  test('a length above what is there is refused, also where rounding it up would overflow', () => {
    for (const length of [5, 0x7fffffff, 0xfffffffc, 0xfffffffd, 0xffffffff]) {
      const bytes = wire(length, ascii('abcd'));
      expect(faultOf(() => new XdrReader(bytes).opaque(0xffffffff))).toBe('truncated');
      expect(faultOf(() => new XdrReader(bytes).skipOpaque(0xffffffff))).toBe('truncated');
    }
  });

  test('data whose padding is cut off is refused', () => {
    expect(faultOf(() => new XdrReader(Uint8Array.of(0, 0, 0, 1, 65)).opaque(4))).toBe('truncated');
  });

  test('every read beyond the end of the message is refused although the buffer goes on', () => {
    const bytes = new Uint8Array(64);
    for (const read of ['u32', 'i32', 'u64', 'u64Saturated', 'bool'] as const) {
      const size = read.startsWith('u64') ? 8 : 4;
      expect(faultOf(() => new XdrReader(bytes, 8, 8 + size - 1)[read]())).toBe('truncated');
      expect(faultOf(() => new XdrReader(bytes, 8, 8 + size)[read]())).toBe('none');
    }
    expect(faultOf(() => new XdrReader(bytes, 0, 7).opaqueFixed(8))).toBe('truncated');
  });

  test('bytes that follow the message are found', () => {
    const r = new XdrReader(wire(1, 2));
    r.u32();
    expect(faultOf(() => r.expectEnd())).toBe('trailing-bytes');
  });
});

describe('buffers', () => {
  test('opaque data is a view: no copy, and only its own bytes', () => {
    const bytes = wire(7, 'handle');
    const r = new XdrReader(bytes);
    r.u32();
    const view = r.opaque(64);
    expect(view.buffer).toBe(bytes.buffer);
    bytes[8] = 0x48;
    expect(view).toEqual(ascii('Handle'));
  });

  test('a reader over a part of a larger buffer reads and shows that part', () => {
    const whole = wire(1, 2, 'abc', 4);
    const r = new XdrReader(whole.subarray(4), 0, 12);
    expect(r.u32()).toBe(2);
    expect(r.opaque(8)).toEqual(ascii('abc'));
    expect(r.remaining).toBe(0);
  });

  test('skipOpaque passes over the data and tells where it was', () => {
    const r = new XdrReader(wire('handle', 9));
    const start = r.position + 4;
    expect(r.skipOpaque(64)).toBe(6);
    expect(r.bytes.subarray(start, start + 6)).toEqual(ascii('handle'));
    expect(r.u32()).toBe(9);
  });

  test('a writer that grows at any point keeps what was written', () => {
    const write = (w: XdrWriter) => {
      for (let i = 0; i < 50; i++) {
        w.u32(i);
        w.u64(i * 7);
        w.opaque(new SeededRandom(i).bytes(i));
        w.pad(i);
      }
    };
    const large = packed(write, 1 << 16);
    for (let size = 0; size < 64; size++) expect(packed(write, size)).toEqual(large);
  });

  test('writtenNow is what was written, also after it has grown or has a new buffer', () => {
    const w = new XdrWriter(8);
    for (let round = 0; round < 3; round++) {
      w.reset();
      for (let word = 1; word < 600; word++) {
        w.u32(word * (round + 1));
        expect(w.writtenNow()).toEqual(w.written());
      }
      expect(w.writtenNow()).toBe(w.writtenNow());
    }
    w.renew(8);
    w.u32(7);
    expect(w.writtenNow()).toEqual(wire(7));
  });

  test('patchU32 overwrites a word written earlier', () => {
    const w = new XdrWriter();
    w.u32(0);
    w.u32(5);
    w.patchU32(0, 9);
    expect(w.written()).toEqual(wire(9, 5));
    expect(w.written(4)).toEqual(wire(5));
  });

  test('after renew() earlier views keep their bytes', () => {
    const w = new XdrWriter(16);
    w.u32(1);
    const before = w.written();
    w.renew(16);
    w.u32(2);
    expect(before).toEqual(wire(1));
    expect(w.written()).toEqual(wire(2));
  });

  test('paddedSize rounds up to words', () => {
    expect([0, 1, 3, 4, 5, 1048576].map(paddedSize)).toEqual([0, 4, 4, 4, 8, 1048576]);
  });
});
