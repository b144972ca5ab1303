import { crc32 } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import {
  BatchBuilder,
  decodeSegmentHeader,
  encodeSegmentHeader,
  GAP_SEARCH_SIZE,
  PAYLOAD_SIZE_MAX,
  parseSegment,
  RECORD_HEADER_SIZE,
  RecordType,
  recordSize,
  SEGMENT_HEADER_SIZE,
  type SegmentHeader,
  typeAt,
} from './journal-records.ts';

const SIZE = 8192;
const uuid = new Uint8Array(16).fill(7);
const header = (sequence: number, batch = 0): SegmentHeader => ({ sequence, batch, fresh: true });

interface Written {
  readonly bytes: Uint8Array;
  /** Where each record begins, and the end of the last. */
  readonly at: readonly number[];
}

/** A segment with records of these sizes, each flush with `perBatch` of them; `batch`: flushes before it was begun. */
function segment(sequence: number, sizes: readonly number[], perBatch = 1, batch = 0): Written {
  const bytes = new Uint8Array(SIZE);
  bytes.set(encodeSegmentHeader(uuid, header(sequence, batch), SIZE));
  const builder = new BatchBuilder();
  const at: number[] = [];
  builder.add(sequence, batch, RecordType.snapshotEnd, new Uint8Array(0));
  sizes.forEach((size, i) => {
    at.push(SEGMENT_HEADER_SIZE + builder.size);
    const flush = batch + 1 + Math.floor(i / perBatch);
    builder.add(sequence, flush, RecordType.reply, new Uint8Array(size).fill(i + 1));
  });
  at.push(SEGMENT_HEADER_SIZE + builder.size);
  bytes.set(builder.written, SEGMENT_HEADER_SIZE);
  return { bytes, at };
}

/** The first byte of each answer's payload. */
function replies(bytes: Uint8Array, sequence = 1): number[] {
  const view = new DataView(bytes.buffer);
  return parseSegment(bytes, header(sequence))
    .records.filter((at) => typeAt(view, at) === RecordType.reply)
    .map((at) => bytes[at + RECORD_HEADER_SIZE] ?? -1);
}

describe('a segment', () => {
  test('gives back what was written', () => {
    const { bytes } = segment(1, [1, 7, 8, 9, 200]);
    expect(decodeSegmentHeader(bytes, uuid)).toEqual(header(1));
    expect(replies(bytes)).toEqual([1, 2, 3, 4, 5]);
    expect(parseSegment(bytes, header(1))).toMatchObject({ complete: true, gap: false, batch: 5 });
  });

  test('a record of an earlier flush behind one of a later flush is left from before, and ends it', () => {
    const { bytes, at } = segment(1, [8, 8]);
    const builder = new BatchBuilder();
    builder.add(1, 1, RecordType.reply, new Uint8Array(8).fill(9));
    bytes.set(builder.written, at[2]);
    expect(replies(bytes)).toEqual([1, 2]);
    expect(parseSegment(bytes, header(1))).toMatchObject({ end: at[2], batch: 2, gap: false });
  });

  test('torn at any byte, it ends with the last record that is whole, and that is no gap', () => {
    const { bytes, at } = segment(1, [5, 16, 33]);
    for (let cut = at[0]!; cut < at[3]!; cut++) {
      const torn = bytes.slice();
      torn.fill(0, cut);
      const whole = at.filter((end, i) => i > 0 && end <= cut).length;
      // A record's padding may be cut: it says nothing.
      const parsed = replies(torn).length;
      expect(parsed === whole || parsed === whole + 1).toBe(true);
      expect(parseSegment(torn, header(1)).gap).toBe(false);
    }
  });

  test('any changed bit ends it before the record that has it', () => {
    const { bytes, at } = segment(1, [24, 24, 24], 3);
    for (let i = at[1]!; i < at[2]!; i++) {
      const damaged = bytes.slice();
      damaged[i] = damaged[i]! ^ 0x10;
      expect([i, replies(damaged)]).toEqual([i, [1]]);
    }
  });

  test('a record lost before a flush that came later is a gap: the medium has lied', () => {
    const { bytes, at } = segment(1, [24, 24, 24, 24]);
    const damaged = bytes.slice();
    damaged[at[1]! + 20] = 0xff;
    expect(parseSegment(damaged, header(1))).toMatchObject({ gap: true });
    const tail = bytes.slice();
    tail[at[3]! + 20] = 0xff;
    // The last flush may have been under way when the machine stopped.
    expect(parseSegment(tail, header(1)).gap).toBe(false);
  });

  test.each([-4, -3, -2, -1, 0, 1])('2^32 flushes and more change nothing: begun at 2^32%+i', (offset) => {
    const begun = 2 ** 32 + offset;
    const { bytes, at } = segment(1, [24, 24, 24, 24], 1, begun);
    const found = decodeSegmentHeader(bytes, uuid)!;
    const parsed = parseSegment(bytes, found);
    expect(parsed).toMatchObject({ end: at[4]!, complete: true, gap: false, batch: (begun + 4) % 2 ** 32 });
    const damaged = bytes.slice();
    damaged[at[1]! + 20] = 0xff;
    expect(parseSegment(damaged, found)).toMatchObject({ end: at[1]!, gap: true });
  });

  test('what an earlier use left behind does not count', () => {
    const old = segment(1, [24, 24, 24, 24]);
    const { bytes, at } = segment(3, [24]);
    const reused = old.bytes.slice();
    reused.set(bytes.subarray(0, at[1]));
    expect(replies(reused, 3)).toEqual([1]);
    expect(parseSegment(reused, header(3)).gap).toBe(false);
  });

  test('begun but not finished, it is not complete', () => {
    const bytes = new Uint8Array(SIZE);
    bytes.set(encodeSegmentHeader(uuid, header(2), SIZE));
    expect(parseSegment(bytes, header(2))).toMatchObject({ records: [], complete: false });
  });

  test('a header of another volume, or torn, is none', () => {
    const { bytes } = segment(1, []);
    expect(decodeSegmentHeader(bytes, new Uint8Array(16))).toBe(null);
    for (let i = 0; i < 44; i++) {
      const damaged = bytes.slice();
      damaged[i] = damaged[i]! ^ 1;
      expect(decodeSegmentHeader(damaged, uuid)).toBe(null);
    }
  });
});

/** A segment of these records, by type, batch and size; of the others there is a hole of zeros. */
function records(
  ...given: readonly (readonly [type: number, batch: number, size: number] | number)[]
): Uint8Array {
  const parts = given.map((one) => {
    if (typeof one === 'number') return new Uint8Array(one);
    const [type, batch, size] = one;
    const builder = new BatchBuilder();
    builder.add(1, batch, type as RecordType, new Uint8Array(size).fill(1));
    return builder.written.slice();
  });
  const head = encodeSegmentHeader(uuid, header(1), SIZE);
  return new Uint8Array(Buffer.concat([head, ...parts]));
}

const countOf = (bytes: Uint8Array): number => parseSegment(bytes, header(1)).records.length;

describe('a record', () => {
  test('of any type that there is counts, of another one it ends the segment', () => {
    for (const type of Object.values(RecordType))
      expect([type, countOf(records([type, 1, 8]))]).toEqual([type, 1]);
    for (const type of [0, 5]) expect([type, countOf(records([type, 1, 8]))]).toEqual([type, 0]);
  });

  test('may be as large as a payload can be, and no larger', () => {
    expect(countOf(records([RecordType.reply, 1, PAYLOAD_SIZE_MAX]))).toBe(1);
    const builder = new BatchBuilder();
    const larger = new Uint8Array(PAYLOAD_SIZE_MAX + 8);
    expect(() => builder.add(1, 1, RecordType.reply, larger)).toThrow(RangeError);
    // As a version with a larger maximum might write it: its sum is right.
    const bytes = new Uint8Array(SEGMENT_HEADER_SIZE + recordSize(larger.length));
    const view = new DataView(bytes.buffer);
    view.setUint32(SEGMENT_HEADER_SIZE, larger.length, true);
    view.setUint32(SEGMENT_HEADER_SIZE + 4, RecordType.reply, true);
    const start = (Math.imul(1, 0x9e3779b1) ^ Math.imul(RecordType.reply, 0x85ebca6b)) >>> 0;
    view.setUint32(SEGMENT_HEADER_SIZE + 12, crc32(larger, start), true);
    expect(countOf(bytes)).toBe(0);
  });

  test('may end where the segment ends, and is none when that cuts it, be it in its padding', () => {
    const bytes = records([RecordType.reply, 1, 8], [RecordType.reply, 1, 3]);
    expect(countOf(bytes)).toBe(2);
    for (let size = bytes.length - 1; size > bytes.length - recordSize(3); size--)
      expect([size, countOf(bytes.subarray(0, size))]).toEqual([size, 1]);
    expect(countOf(records([RecordType.reply, 1, 8], [RecordType.snapshotEnd, 1, 0]))).toBe(2);
  });

  test('is padded with zeros, also in a buffer that was used before', () => {
    const builder = new BatchBuilder();
    builder.add(1, 1, RecordType.reply, new Uint8Array(64).fill(0xff));
    builder.reset();
    builder.add(1, 1, RecordType.reply, Uint8Array.of(1));
    expect([...builder.written.subarray(RECORD_HEADER_SIZE)]).toEqual([1, 0, 0, 0, 0, 0, 0, 0]);
  });

  test('keeps its place when the buffer has to grow', () => {
    const builder = new BatchBuilder();
    const alone: Uint8Array[] = [];
    for (let i = 0; i < 5; i++) {
      const one = new BatchBuilder();
      for (const each of [builder, one]) each.add(1, i, RecordType.reply, new Uint8Array(60_000).fill(i + 1));
      alone.push(one.written);
    }
    expect(Buffer.concat(alone).equals(builder.written)).toBe(true);
  });
});

describe('behind a hole', () => {
  const { intent, reply, copiedReply, snapshotEnd } = RecordType;
  test.each([
    ['of the next flush', [reply, 2, 8], false],
    ['of the one after that', [reply, 3, 8], false],
    ['of the third', [reply, 4, 8], true],
    ['of the third: an intent', [intent, 4, 8], true],
    ['of the third: a copied answer', [copiedReply, 4, 8], true],
    ['of the third: an end', [snapshotEnd, 4, 0], true],
    ['of no type', [5, 4, 8], false],
  ] as const)('a record %s', (_which, record, isGap) => {
    for (const hole of [8, 16, 24, 4096]) {
      expect([hole, parseSegment(records([reply, 1, 8], hole, record), header(1)).gap]).toEqual([
        hole,
        isGap,
      ]);
    }
  });

  test('of more than one flush can have nothing is looked for', () => {
    for (const [more, isGap] of [
      [-16, true],
      [-8, false],
    ] as const) {
      const bytes = records([reply, 1, 8], GAP_SEARCH_SIZE + more, [reply, 4, 8]);
      expect(parseSegment(bytes, header(1)).gap).toBe(isGap);
    }
  });
});

describe('a header', () => {
  test.each([true, false])('says whether its segment is a fresh one: %s', (fresh) => {
    const said = { sequence: 2 ** 40 + 3, batch: 7, fresh };
    expect(decodeSegmentHeader(encodeSegmentHeader(uuid, said, SIZE), uuid)).toEqual(said);
  });

  test('has the size of its segment, for who looks at the file', () => {
    const bytes = Buffer.from(encodeSegmentHeader(uuid, header(1), SIZE));
    expect(bytes.readUInt32LE(32)).toBe(SIZE);
  });

  test('that is cut short is none', () => {
    const bytes = encodeSegmentHeader(uuid, header(1), SIZE);
    for (const size of [SEGMENT_HEADER_SIZE - 1, 47, 44, 24, 0])
      expect(decodeSegmentHeader(bytes.subarray(0, size), uuid)).toBe(null);
  });

  test('of another format is none, with a right sum too', () => {
    const bytes = encodeSegmentHeader(uuid, header(1), SIZE);
    bytes[7] = '3'.charCodeAt(0);
    new DataView(bytes.buffer).setUint32(44, crc32(bytes.subarray(0, 44)), true);
    expect(decodeSegmentHeader(bytes, uuid)).toBe(null);
  });
});
