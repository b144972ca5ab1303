/** XDR's readers, in whatever order: two bytes choose each step, what they read follows. */
import { isDeepStrictEqual } from 'node:util';
import { wire } from '../../protocol/testing/wire.ts';
import { XdrError, XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import { mustHold, readInPlace, type Target } from '../target.ts';

const STEPS: readonly ((r: XdrReader, argument: number) => unknown)[] = [
  (r) => r.u32(),
  (r) => r.i32(),
  (r) => r.u64(),
  (r) => r.u64Saturated(),
  (r) => r.u64Exact(),
  (r) => r.bool(),
  (r, last) => r.enumWithin('enum', 0, last),
  (r, size) => r.opaqueFixed(size).slice(),
  (r, sizeMax) => r.opaque(sizeMax * 4).slice(),
  (r, sizeMax) => r.skipOpaque(sizeMax * 4),
  (r) => r.expectEnd(),
];

export const xdr: Target = {
  name: 'xdr',
  covers: ['protocol/'],
  words: [],
  seeds: () => [
    Uint8Array.of(4, 0, 1, 0, 2, 0, 5, 0, 8, 9, ...wire(7, 0xffffffff, 2n ** 60n, 1, 'opaque')),
    Uint8Array.of(4, 3, 0, 4, 0, 6, 3, 7, 5, 10, 0, ...wire(1n, 2n ** 53n, 3, new Uint8Array(5))),
    Uint8Array.of(1, 9, 200, ...wire('x'.repeat(300))),
  ],
  run: (input) => {
    const steps = Math.min(input[0] ?? 0, 32);
    const read = (buffer: Uint8Array, start: number, end: number): unknown[] => {
      const r = new XdrReader(buffer, Math.min(end, start + 1 + 2 * steps), end);
      const said: unknown[] = [];
      try {
        for (let i = 0; i < steps; i++) {
          const before = r.position;
          said.push(STEPS[(input[1 + 2 * i] ?? 0) % STEPS.length]!(r, input[2 + 2 * i] ?? 0));
          mustHold(r.position >= before && r.position <= r.end, 'the reader has left its message');
        }
      } catch (error) {
        if (!(error instanceof XdrError)) throw error;
        said.push(error.fault);
      }
      return said;
    };
    const said = readInPlace(input, read, isDeepStrictEqual);
    for (const one of said) {
      if (!(one instanceof Uint8Array)) continue;
      const w = new XdrWriter();
      w.opaque(one);
      mustHold(
        isDeepStrictEqual(new XdrReader(w.written()).opaque(one.length), one),
        'opaque data comes back changed',
      );
    }
  },
};
