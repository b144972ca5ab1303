/** Arguments and results of every procedure of NFSv3 and MOUNT: what was decoded is encoded, and decoded to the same. */
import { isDeepStrictEqual } from 'node:util';
import * as mount from '../../protocol/mount.ts';
import { type Nfs3Name, nfs3Procedures } from '../../protocol/nfs3.ts';
import { randomNfs3 } from '../../protocol/testing/random-nfs3.ts';
import { ascii, wire } from '../../protocol/testing/wire.ts';
import { XdrError, XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import { SeededRandom } from '../../testing/seeded-random.ts';
import { mustHold, readInPlace, type Target } from '../target.ts';

interface Codec {
  readonly decode: (r: XdrReader) => unknown;
  readonly encode: (w: XdrWriter, value: unknown) => void;
}

const names = Object.keys(nfs3Procedures) as Nfs3Name[];

function codecsOf(name: Nfs3Name): Codec[] {
  const { args, res } = nfs3Procedures[name];
  return [args as Codec, res as Codec];
}

/** The first byte of an input chooses one. */
const codecs: readonly Codec[] = [
  ...names.flatMap(codecsOf),
  mount.dirpath as Codec,
  mount.mountres3 as Codec,
  mount.mountlist as Codec,
  mount.exportlist as Codec,
];

function bytesOf({ encode }: Codec, value: unknown): Uint8Array {
  const w = new XdrWriter();
  encode(w, value);
  return new Uint8Array(w.written());
}

/** Each procedure's arguments and result, and a few of MOUNT's. */
function seeds(): Uint8Array[] {
  const random = new SeededRandom(1813);
  const made = names.flatMap((name) => [randomNfs3[name].args(random), randomNfs3[name].res(random)]);
  const paths = ['/home', '/projects'].map(ascii);
  const ofMount: unknown[] = [
    paths[0],
    { status: 0, fhandle: random.bytes(32), auth_flavors: [1, 0] },
    paths.map((ml_directory) => ({ ml_hostname: ascii('client'), ml_directory })),
    paths.map((ex_dir) => ({ ex_dir, ex_groups: [ascii('10.0.0.0/8')] })),
  ];
  return [...made, ...ofMount].map((value, i) => Uint8Array.of(i, ...bytesOf(codecs[i]!, value)));
}

export const nfs3: Target = {
  name: 'nfs3',
  covers: ['protocol/'],
  words: [wire(0), wire(1), wire(10001), wire(64), wire(1n)],
  seeds,
  run: (input) => {
    const one = codecs[(input[0] ?? 0) % codecs.length]!;
    const read = (buffer: Uint8Array, start: number, end: number): unknown => {
      const r = new XdrReader(buffer, Math.min(start + 1, end), end);
      try {
        const value = one.decode(r);
        mustHold(r.position <= end, 'what was read ends behind its message');
        return { value: structuredClone(value), left: end - r.position };
      } catch (error) {
        if (!(error instanceof XdrError)) throw error;
        return error.fault;
      }
    };
    const said = readInPlace(input, read, isDeepStrictEqual);
    if (typeof said === 'string') return;
    const again = bytesOf(one, (said as { readonly value: unknown }).value);
    const { value, left } = said as { readonly value: unknown; readonly left: number };
    mustHold(again.length <= input.length - 1 - left, 'it is longer when it is written again');
    mustHold(
      isDeepStrictEqual(one.decode(new XdrReader(again)), value),
      'written again it is something else',
    );
  },
};
