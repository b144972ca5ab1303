import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../testing/seeded-random.ts';
import { beginRecord, endRecord, FRAGMENTS_MAX, RecordParser } from './record.ts';
import { ascii, wire } from './testing/wire.ts';
import type { XdrFault } from './xdr.ts';
import { XdrError, XdrWriter } from './xdr.ts';

const LAST = 0x80000000;

function concat(...parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** A fragment with its header, unpadded. */
function fragment(data: Uint8Array, last: boolean): Uint8Array {
  return concat(wire(last ? LAST + data.length : data.length), data);
}

function recordsOf(parser: RecordParser, chunks: Iterable<Uint8Array>): Uint8Array[] {
  const records: Uint8Array[] = [];
  for (const chunk of chunks) {
    parser.push(chunk);
    while (parser.next()) {
      const { bytes, position, end } = parser.record;
      records.push(bytes.slice(position, end));
    }
  }
  return records;
}

function faultOf(run: () => unknown): XdrFault | 'none' {
  try {
    run();
    return 'none';
  } catch (error) {
    expect(error).toBeInstanceOf(XdrError);
    return (error as XdrError).fault;
  }
}

/** Records in one or several fragments, some of them empty. */
function randomStream(random: SeededRandom): { stream: Uint8Array; records: Uint8Array[] } {
  const records: Uint8Array[] = [];
  const parts: Uint8Array[] = [];
  for (let n = 1 + random.below(6); n > 0; n--) {
    const fragments = Array.from({ length: random.chance(1 / 2) ? 1 : 1 + random.below(4) }, () =>
      random.bytes(random.chance(1 / 5) ? 0 : random.below(40)),
    );
    records.push(concat(...fragments));
    fragments.forEach((data, i) => {
      parts.push(fragment(data, i === fragments.length - 1));
    });
  }
  return { stream: concat(...parts), records };
}

describe('RFC 5531 §11, reading', () => {
  test('a stream cut in two at every byte gives the same records', () => {
    for (let seed = 1; seed <= 25; seed++) {
      const { stream, records } = randomStream(new SeededRandom(seed));
      for (let cut = 0; cut <= stream.length; cut++) {
        const parser = new RecordParser(1024);
        expect(recordsOf(parser, [stream.subarray(0, cut), stream.subarray(cut)])).toEqual(records);
        expect(parser.carriedSize).toBe(0);
      }
    }
  });

  test('a stream that arrives byte by byte, or in random pieces, gives the same records', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const random = new SeededRandom(seed);
      const { stream, records } = randomStream(random);
      const single = Array.from(stream, (byte) => Uint8Array.of(byte));
      expect(recordsOf(new RecordParser(1024), single)).toEqual(records);
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < stream.length; ) {
        const size = 1 + random.below(30);
        pieces.push(stream.subarray(at, at + size));
        at += size;
      }
      expect(recordsOf(new RecordParser(1024), pieces)).toEqual(records);
    }
  });

  test('a record that lies whole in a chunk is a view of the chunk', () => {
    const parser = new RecordParser(1024);
    const chunk = concat(fragment(ascii('first!!!'), true), fragment(ascii('second!!'), true));
    parser.push(chunk);
    expect(parser.next()).toBe(true);
    expect(parser.record.bytes).toBe(chunk);
    expect([parser.record.position, parser.record.end]).toEqual([4, 12]);
    expect(parser.next()).toBe(true);
    expect(parser.record.bytes).toBe(chunk);
    expect(parser.next()).toBe(false);
  });

  test('only the incomplete tail is carried over: later records in the chunk are views again', () => {
    const parser = new RecordParser(1024);
    const first = fragment(ascii('first!!!'), true);
    parser.push(first.subarray(0, 6));
    expect(parser.next()).toBe(false);
    expect(parser.carriedSize).toBe(2);
    const chunk = concat(first.subarray(6), fragment(ascii('second!!'), true));
    parser.push(chunk);
    expect(parser.next()).toBe(true);
    expect(parser.record.bytes).not.toBe(chunk);
    expect(parser.next()).toBe(true);
    expect(parser.record.bytes).toBe(chunk);
  });

  test('one receive buffer for the life of the connection gives the same records', () => {
    for (let seed = 1; seed <= 100; seed++) {
      const random = new SeededRandom(seed);
      const { stream, records } = randomStream(random);
      const parser = new RecordParser(1024);
      const buffer = new Uint8Array(32);
      const found: Uint8Array[] = [];
      for (let at = 0; at < stream.length; ) {
        const size = Math.min(1 + random.below(32), stream.length - at);
        buffer.fill(0xee);
        buffer.set(stream.subarray(at, at + size));
        parser.push(buffer, size);
        while (parser.next())
          found.push(parser.record.bytes.slice(parser.record.position, parser.record.end));
        at += size;
      }
      expect(found).toEqual(records);
    }
  });

  test('keep() leaves the views of a carried record to their holder', () => {
    const parser = new RecordParser(1024);
    const one = fragment(ascii('AAAAAAAA'), true);
    const two = fragment(ascii('BBBBBBBB'), true);
    parser.push(one.subarray(0, 7));
    expect(parser.next()).toBe(false);
    parser.push(concat(one.subarray(7), two.subarray(0, 9)));
    expect(parser.next()).toBe(true);
    const view = parser.record.opaqueFixed(8);
    parser.keep();
    expect(parser.next()).toBe(false);
    parser.push(two.subarray(9));
    expect(parser.next()).toBe(true);
    expect(parser.record.opaqueFixed(8)).toEqual(ascii('BBBBBBBB'));
    expect(view).toEqual(ascii('AAAAAAAA'));
  });

  test('trim() between messages, and within one, loses nothing', () => {
    const parser = new RecordParser(1024);
    const one = fragment(ascii('AAAAAAAA'), true);
    const chunks = [one.subarray(0, 7), one.subarray(7), one.subarray(0, 3), one.subarray(3)];
    const records: Uint8Array[] = [];
    for (const chunk of chunks) {
      records.push(...recordsOf(parser, [chunk]));
      parser.trim();
    }
    expect(records).toEqual([ascii('AAAAAAAA'), ascii('AAAAAAAA')]);
  });

  test('pushing while messages wait in the previous chunk is a bug of the caller', () => {
    const parser = new RecordParser(1024);
    parser.push(fragment(ascii('AAAA'), true));
    expect(() => parser.push(new Uint8Array(1))).toThrow(/before next/);
  });
});

describe('limits', () => {
  test('a record of exactly the limit passes; one byte more is refused from its header alone', () => {
    const parser = new RecordParser(64);
    expect(recordsOf(parser, [fragment(new Uint8Array(64), true)])).toHaveLength(1);
    expect(faultOf(() => recordsOf(new RecordParser(64), [wire(LAST + 65)]))).toBe('record-too-long');
    expect(faultOf(() => recordsOf(new RecordParser(64), [wire(0xffffffff)]))).toBe('record-too-long');
    expect(faultOf(() => recordsOf(new RecordParser(64), [wire(0x7fffffff)]))).toBe('record-too-long');
  });

  test('the limit holds for the sum of the fragments', () => {
    const stream = concat(fragment(new Uint8Array(40), false), fragment(new Uint8Array(25), true));
    expect(faultOf(() => recordsOf(new RecordParser(64), [stream]))).toBe('record-too-long');
    expect(recordsOf(new RecordParser(65), [stream])).toHaveLength(1);
  });

  test('empty fragments without end are refused', () => {
    const empty = wire(0);
    const parser = new RecordParser(64);
    const many = Array.from({ length: FRAGMENTS_MAX }, () => empty);
    expect(recordsOf(parser, many)).toEqual([]);
    expect(faultOf(() => recordsOf(parser, [empty]))).toBe('too-many-fragments');
  });

  test('the count of fragments starts anew with each record', () => {
    const parser = new RecordParser(64);
    for (let record = 0; record < 3; record++) {
      const fragments = Array.from({ length: FRAGMENTS_MAX - 1 }, () => wire(0));
      expect(recordsOf(parser, [...fragments, fragment(ascii('end.'), true)])).toEqual([ascii('end.')]);
    }
  });

  test('memory grows with what has arrived, not with what is claimed', () => {
    const parser = new RecordParser(1 << 30);
    parser.push(concat(wire(LAST + (1 << 30)), new Uint8Array(100)));
    expect(parser.next()).toBe(false);
    expect(parser.carriedSize).toBe(100);
    const { carry } = parser;
    expect(carry.length).toBeLessThanOrEqual(4096);
  });

  test('random bytes cause records or an XdrError, nothing else', () => {
    for (let seed = 1; seed <= 3000; seed++) {
      const random = new SeededRandom(seed);
      const chunks = Array.from({ length: 4 }, () => {
        const bytes = random.bytes(random.below(40));
        if (bytes.length > 4 && random.chance(1 / 2))
          bytes.set([0x80 * random.below(2), 0, 0, random.below(30)]);
        return bytes;
      });
      faultOf(() => recordsOf(new RecordParser(256), chunks));
    }
  });
});

test('a part of a record that slice() has kept stays what it was, also if it came in a Buffer', () => {
  const chunk = Buffer.from(fragment(ascii('keep'), true));
  const [kept] = recordsOf(new RecordParser(64), [chunk]);
  chunk.fill(0);
  expect(kept).toEqual(ascii('keep'));
});

describe('RFC 5531 §11, writing', () => {
  test('a record is one last fragment with its length', () => {
    const w = new XdrWriter(0);
    for (const text of ['one.', 'two.two.']) {
      const at = beginRecord(w);
      w.opaqueFixed(ascii(text));
      endRecord(w, at);
    }
    expect(w.written()).toEqual(wire(LAST + 4, ascii('one.'), LAST + 8, ascii('two.two.')));
  });

  test('bytes sent from elsewhere count', () => {
    const w = new XdrWriter();
    const at = beginRecord(w);
    w.u32(1);
    endRecord(w, at, 1048576);
    expect(w.written()).toEqual(wire(LAST + 4 + 1048576, 1));
  });
});

describe('long records in memory that is lent', () => {
  const SIZE_MAX = 1 << 20;

  /** Memory that tells how it is used: nobody may write to what is not lent. */
  class Lender {
    readonly spare: Uint8Array[] = [];
    lent = 0;
    made = 0;

    take(): Uint8Array {
      this.lent += 1;
      const memory = this.spare.pop();
      if (memory !== undefined) return memory;
      this.made += 1;
      return new Uint8Array(new SharedArrayBuffer(SIZE_MAX + 12), 12);
    }

    giveBack(memory: Uint8Array): void {
      this.lent -= 1;
      memory.fill(0xaa);
      this.spare.push(memory);
    }
  }

  /** As a socket does it: into room(), if there is any, else into a buffer that is everybody's. */
  function receiveAll(parser: RecordParser, stream: Uint8Array, random: SeededRandom) {
    const input = new Uint8Array(64 * 1024);
    const records: Uint8Array[] = [];
    let direct = 0;
    for (let at = 0; at < stream.length; ) {
      const room = parser.room();
      const size = Math.min(1 + random.below(100_000), (room ?? input).length, stream.length - at);
      (room ?? input).set(stream.subarray(at, at + size));
      if (room === null) parser.push(input, size);
      else {
        parser.received(size);
        direct += size;
      }
      at += size;
      while (parser.next()) {
        const { bytes, position, end } = parser.record;
        records.push(bytes.slice(position, end));
      }
      parser.retain();
      input.fill(0x55);
    }
    return { records, direct };
  }

  test('are the same records, most of their bytes received where they stay, and the memory comes back', () => {
    for (let seed = 1; seed <= 30; seed++) {
      const random = new SeededRandom(seed);
      const records: Uint8Array[] = [];
      const parts: Uint8Array[] = [];
      for (let n = 0; n < 8; n++) {
        const fragments = Array.from({ length: random.chance(1 / 3) ? 1 + random.below(3) : 1 }, () =>
          random.bytes(random.chance(1 / 2) ? random.below(200) : 60_000 + random.below(250_000)),
        );
        records.push(concat(...fragments));
        fragments.forEach((data, i) => {
          parts.push(fragment(data, i === fragments.length - 1));
        });
      }
      const lender = new Lender();
      const parser = new RecordParser(SIZE_MAX, lender);
      const stream = concat(...parts);
      const received = receiveAll(parser, stream, random);
      expect(received.records.length).toBe(records.length);
      for (const [i, record] of records.entries()) {
        expect(Buffer.compare(received.records[i]!, record)).toBe(0);
      }
      if (stream.length > 1_000_000) expect(received.direct).toBeGreaterThan(stream.length / 4);
      parser.trim();
      expect([lender.lent, lender.made <= 1]).toEqual([0, true]);
    }
  });

  test('the memory comes back when the stream ends in the middle of one', () => {
    const lender = new Lender();
    const parser = new RecordParser(SIZE_MAX, lender);
    parser.push(concat(wire(LAST + 500_000), new Uint8Array(1000)));
    expect([parser.next(), lender.lent]).toEqual([false, 1]);
    expect(parser.room()!.length).toBe(499_000);
    parser.trim();
    expect(lender.lent).toBe(1);
    parser.end();
    expect([lender.lent, parser.room()]).toEqual([0, null]);
  });

  test('are refused before any memory is lent, if they are too long', () => {
    const lender = new Lender();
    const parser = new RecordParser(SIZE_MAX, lender);
    parser.push(wire(LAST + SIZE_MAX + 1));
    expect(faultOf(() => parser.next())).toBe('record-too-long');
    expect(lender.made).toBe(0);
  });
});
