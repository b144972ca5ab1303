/** Changes bytes as a coverage-guided fuzzer does: little things at random places, several at a time. */
import type { SeededRandom } from '../testing/seeded-random.ts';

/** Bytes of an input, at most: enough for every message but long WRITEs, and small ones run faster. */
export const INPUT_SIZE_MAX = 4096;

/** At the edges of what lengths and enums are checked against. */
const WORDS = [
  0, 1, 2, 3, 4, 7, 8, 16, 17, 32, 33, 64, 65, 255, 256, 400, 401, 1024, 0x7fff, 0xffff, 0x10000, 0x7fffffff,
];
const EDGES = [...WORDS, ...WORDS.map((word) => ~word >>> 0), 0x80000000];

/** `others`: inputs to take parts from. `words`: what the format has at fixed places, such as names of its fields. */
export function mutated(
  input: Uint8Array,
  others: readonly Uint8Array[],
  words: readonly Uint8Array[],
  random: SeededRandom,
): Uint8Array {
  let bytes = [...input];
  for (let left = 1 + random.below(random.chance(1 / 4) ? 16 : 4); left > 0; left--) {
    bytes = changed(bytes, others, words, random);
  }
  return Uint8Array.from(bytes.slice(0, INPUT_SIZE_MAX));
}

function changed(
  bytes: number[],
  others: readonly Uint8Array[],
  words: readonly Uint8Array[],
  random: SeededRandom,
): number[] {
  const at = random.below(bytes.length + 1);
  const aligned = at - (at % 4);
  const size = 1 + random.below(random.chance(1 / 4) ? 64 : 8);
  switch (random.below(11)) {
    case 0:
      return spliced(bytes, at, 1, [random.below(256)]);
    case 1:
      return spliced(bytes, at, 1, [(bytes[at] ?? 0) ^ (1 << random.below(8))]);
    case 2:
      return spliced(bytes, aligned, 4, word(random.pick(EDGES)));
    case 3:
      return spliced(bytes, at, 0, [...random.bytes(size)]);
    case 4:
      return spliced(bytes, at, size, []);
    case 5:
      return spliced(bytes, aligned, 4 * size, []);
    case 6:
      return spliced(bytes, at, 0, bytes.slice(at, at + size));
    case 7:
      return [...bytes.slice(0, at), ...random.pick(others).slice(random.below(size * 4))];
    case 8: {
      const other = random.pick(others);
      const from = random.below(other.length + 1);
      return spliced(bytes, at, random.chance(1 / 2) ? size : 0, [...other.slice(from, from + size)]);
    }
    case 9:
      return words.length === 0 ? bytes : spliced(bytes, at, 0, [...random.pick(words)]);
    default: {
      // A length that tells what follows, or nearly.
      const rest = bytes.length - aligned - 4;
      return spliced(bytes, aligned, 4, word(Math.max(0, rest + random.below(9) - 4)));
    }
  }
}

const word = (value: number): number[] => [
  value >>> 24,
  (value >>> 16) & 255,
  (value >>> 8) & 255,
  value & 255,
];

const spliced = (
  bytes: readonly number[],
  at: number,
  removed: number,
  added: readonly number[],
): number[] => [...bytes.slice(0, at), ...added, ...bytes.slice(at + removed)];
