import { describe, expect, test } from 'vitest';
import {
  BatchBuilder,
  decodeSegmentHeader,
  encodeSegmentHeader,
  parseSegment,
  RECORD_HEADER_SIZE,
  RecordType,
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
