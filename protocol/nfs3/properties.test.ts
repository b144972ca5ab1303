/**
 * Properties of all NFSv3 codecs over seeded random input: what is encoded decodes to the same, what is cut off anywhere or
 * changed at random is either a value or an XdrError.
 */

import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../testing/seeded-random.ts';
import { randomNfs3 } from '../testing/random-nfs3.ts';
import { XdrError, XdrReader, XdrWriter } from '../xdr.ts';
import type { Nfs3Name } from './procedures.ts';
import { nfs3Procedures } from './procedures.ts';

interface Codec {
  what: string;
  generate(random: SeededRandom): unknown;
  encode(w: XdrWriter, value: unknown): void;
  decode(r: XdrReader): unknown;
}

const codecs: Codec[] = (Object.keys(nfs3Procedures) as Nfs3Name[]).flatMap((name) => {
  const { args, res } = nfs3Procedures[name];
  const random = randomNfs3[name];
  return [
    { what: `${name} arguments`, generate: random.args, ...(args as Omit<Codec, 'what' | 'generate'>) },
    { what: `${name} results`, generate: random.res, ...(res as Omit<Codec, 'what' | 'generate'>) },
  ];
});

const writer = new XdrWriter(0);

function encoded(codec: Codec, value: unknown): Uint8Array {
  writer.reset();
  codec.encode(writer, value);
  return new Uint8Array(writer.written());
}

function expectValueOrXdrError(codec: Codec, bytes: Uint8Array, hint: string): void {
  const r = new XdrReader(bytes);
  try {
    codec.decode(r);
  } catch (error) {
    if (!(error instanceof XdrError)) throw new Error(`${codec.what}, ${hint}`, { cause: error });
  }
  if (r.position > bytes.length) throw new Error(`${codec.what}, ${hint}: read beyond the end`);
}

describe.each(codecs)('$what', (codec) => {
  test('round trip', () => {
    for (let seed = 1; seed <= 150; seed++) {
      const value = codec.generate(new SeededRandom(seed));
      const bytes = encoded(codec, value);
      expect(bytes.length % 4).toBe(0);
      const r = new XdrReader(bytes);
      expect(codec.decode(r), `seed ${seed}`).toEqual(value);
      r.expectEnd();
    }
  });

  test('cut off at every byte: an XdrError', () => {
    for (let seed = 1; seed <= 10; seed++) {
      const bytes = encoded(codec, codec.generate(new SeededRandom(seed)));
      for (let size = 0; size < bytes.length; size++) {
        // The buffer goes on beyond the message, as a socket's chunk does.
        const r = new XdrReader(bytes, 0, size);
        expect(() => codec.decode(r), `seed ${seed}, ${size} bytes`).toThrow(XdrError);
      }
    }
  });

  test('changed at random: a value or an XdrError', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = new SeededRandom(seed);
      const bytes = encoded(codec, codec.generate(random));
      for (let changes = 1 + random.below(8); changes > 0; changes--) mutate(bytes, random);
      expectValueOrXdrError(codec, bytes, `seed ${seed}`);
    }
  });

  test('pure noise: a value or an XdrError', () => {
    for (let seed = 1; seed <= 100; seed++) {
      const random = new SeededRandom(seed);
      expectValueOrXdrError(codec, random.bytes(random.below(200)), `seed ${seed}`);
    }
  });
});

const INTERESTING = [0, 1, 2, 4, 64, 65, 0x7fffffff, 0x80000000, 0xfffffffc, 0xfffffffd, 0xffffffff];

function mutate(bytes: Uint8Array, random: SeededRandom): void {
  if (bytes.length < 4) return;
  if (random.chance(1 / 2)) {
    bytes[random.below(bytes.length)] = random.word();
    return;
  }
  const word = random.below(bytes.length >> 2) * 4;
  new DataView(bytes.buffer).setUint32(word, random.pick(INTERESTING));
}
