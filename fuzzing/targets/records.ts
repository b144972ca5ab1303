/**
 * Record marking: however a stream is cut, and wherever its memory comes from, it holds the same records and ends in the same
 * way.
 */
import { isDeepStrictEqual } from 'node:util';
import { type LongRecordMemory, RecordParser } from '../../protocol/record.ts';
import { wire } from '../../protocol/testing/wire.ts';
import { XdrError } from '../../protocol/xdr.ts';
import { SeededRandom } from '../../testing/seeded-random.ts';
import { mustHold, type Target } from '../target.ts';

const RECORD_SIZE_MAX = 1 << 17;

type Said = Uint8Array | string;

/** Lends one memory and sees to it that it comes back once. */
class Lender implements LongRecordMemory {
  readonly #memory = new Uint8Array(RECORD_SIZE_MAX);
  #lent = false;

  take(): Uint8Array {
    mustHold(!this.#lent, 'memory is taken twice');
    this.#lent = true;
    return this.#memory;
  }

  giveBack(memory: Uint8Array): void {
    mustHold(this.#lent && memory === this.#memory, 'memory is given back that was not lent');
    this.#lent = false;
  }

  isBack(): boolean {
    return !this.#lent;
  }
}

function recordsOf(stream: Uint8Array, cut: () => number, lender: Lender | null): Said[] {
  const parser = new RecordParser(RECORD_SIZE_MAX, lender);
  const said: Said[] = [];
  try {
    for (let at = 0; at < stream.length; ) {
      const chunk = stream.slice(at, at + cut());
      at += chunk.length;
      const room = parser.room();
      if (room === null) parser.push(chunk);
      else {
        const here = chunk.subarray(0, room.length);
        room.set(here);
        parser.received(here.length);
        parser.push(chunk.subarray(here.length));
      }
      while (parser.next()) said.push(parser.record.bytes.slice(parser.record.position, parser.record.end));
      mustHold(parser.carriedSize <= at, 'more is kept than has arrived');
      parser.retain();
      chunk.fill(0xee);
    }
    parser.trim();
  } catch (error) {
    if (!(error instanceof XdrError)) throw error;
    said.push(error.fault);
  }
  parser.end();
  return said;
}

export const records: Target = {
  name: 'records',
  covers: ['protocol/'],
  words: [wire(0x80000000), wire(0x80000004), wire(0), wire(4), wire(0x80010000), wire(0x00010000)],
  seeds: () => [
    Uint8Array.of(1, ...wire(0x80000008, 1n, 0x80000004, 7)),
    Uint8Array.of(9, ...wire(4, 1, 4, 2, 0x80000004, 3, 0x80000000)),
    Uint8Array.of(3, ...wire(0x80010001, ...Array.from({ length: 40 }, (_, i) => i))),
    Uint8Array.of(5, ...wire(0x80020001, 1)),
    Uint8Array.of(200, ...wire(...Array.from({ length: 500 }, () => 0), 0x80000000)),
  ],
  run: (input) => {
    const [seed = 0] = input;
    const stream = input.subarray(1);
    const whole = recordsOf(stream, () => stream.length, null);
    const random = new SeededRandom(seed);
    const cut = () => 1 + random.below(seed < 128 ? 9 : 200);
    mustHold(isDeepStrictEqual(recordsOf(stream, cut, null), whole), 'a stream in pieces has other records');
    const lender = new Lender();
    mustHold(isDeepStrictEqual(recordsOf(stream, cut, lender), whole), 'lent memory makes other records');
    mustHold(lender.isBack(), 'memory is not given back at the end');
    const size = whole.reduce((sum, one) => sum + (typeof one === 'string' ? 0 : one.length), 0);
    mustHold(size <= stream.length, 'more comes out than went in');
  },
};
