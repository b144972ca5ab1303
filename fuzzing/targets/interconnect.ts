/** The interconnect's frames, handshake and messages, of a stranger and of who knows the pair's key. */
import { isDeepStrictEqual } from 'node:util';
import { interconnectCrypto } from '../../fileserver/interconnect/crypto.ts';
import { parseMessage } from '../../pair/messages.ts';
import {
  accept,
  continueHandshake,
  dial,
  FRAME_MAX,
  FrameReader,
  HANDSHAKE_FRAME_MAX,
  type Handshake,
  type InterconnectCrypto,
  type Session,
} from '../../protocol/interconnect.ts';
import { ascii, wire } from '../../protocol/testing/wire.ts';
import { SeededRandom } from '../../testing/seeded-random.ts';
import { mustHold, type Target } from '../target.ts';

/** To whom every proof looks right: as if the other side knew the key, whatever it says. */
const trusting: InterconnectCrypto = { hmac: () => new Uint8Array(32), equal: () => true };

const secret = new Uint8Array(32).fill(7);
const nonce = new Uint8Array(32).fill(9);
const me = { pair: 'home', server: 'filer-a', incarnation: 'filer-a/machine/1', role: 'server' } as const;

const frame = (text: string | Uint8Array): Uint8Array => {
  const bytes = typeof text === 'string' ? ascii(text) : text;
  return Uint8Array.of(...wire(bytes.length), ...bytes);
};
const proved = (value: unknown): Uint8Array =>
  frame(Uint8Array.of(...new Uint8Array(32), ...ascii(JSON.stringify(value))));
const hex = '09'.repeat(32);
const partner = { pair: 'home', server: 'filer-b', incarnation: 'filer-b/machine/1', role: 'server' };
const messages = [
  {
    kind: 'heartbeat',
    seq: 1,
    holdings: [{ home: 'filer-b', epoch: 3 }],
    stopping: true,
    cannotServe: ['filer-a'],
  },
  { kind: 'acknowledgement', seq: 1, holdings: [] },
  { kind: 'leaseChanged', home: 'filer-a' },
  { kind: 'handingOver', home: 'filer-a', epoch: 2 },
  { kind: 'died', incarnation: 'filer-b/machine/1', holdings: [], evidence: 'x' },
  { kind: 'ping' },
  { kind: 'deathNoted', incarnation: 'filer-b/machine/1' },
];

/** What the other side is told, and how it ends. */
function converse(
  stream: Uint8Array,
  side: 'acceptor' | 'dialer',
  crypto: InterconnectCrypto,
  cut: () => number,
): unknown[] {
  let state: Handshake =
    side === 'acceptor' ? accept(crypto, secret, me, nonce) : dial(crypto, secret, me, nonce).state;
  let session: Session | null = null;
  const said: unknown[] = [];
  const reader = new FrameReader(HANDSHAKE_FRAME_MAX);
  for (let at = 0; at < stream.length; ) {
    const chunk = stream.slice(at, at + cut());
    at += chunk.length;
    reader.push(chunk);
    chunk.fill(0xee);
    for (let payload = reader.next(); payload !== null; payload = reader.next()) {
      if (payload === 'tooLong') return [...said, 'too long'];
      if (session !== null) {
        const message = parseMessage(session.open(payload));
        said.push(message);
        // What was understood can be said again, and is understood in the same way.
        if (message !== null)
          mustHold(
            isDeepStrictEqual(parseMessage(JSON.parse(JSON.stringify(message))), message),
            'a message said again is another one',
          );
        continue;
      }
      const result = continueHandshake(state, payload.slice());
      if (result.kind === 'failed') return [...said, result.reason];
      if (result.send !== null) said.push(result.send.slice());
      if (result.kind === 'more') {
        ({ state } = result);
        continue;
      }
      mustHold(crypto === trusting, 'somebody without the key has got in');
      mustHold(
        result.peer.pair === me.pair && result.peer.server !== me.server,
        'a stranger is taken for the partner',
      );
      ({ session } = result);
      reader.setPayloadMax(FRAME_MAX);
    }
  }
  return said;
}

export const interconnect: Target = {
  name: 'interconnect',
  covers: ['protocol/', 'fileserver/interconnect/', 'pair/'],
  words: [
    ...['"protocol":"filerpair-interconnect"', '"version":1', '"versionMax":2', `"nonce":"${hex}"`].map(
      ascii,
    ),
    ...[
      '"kind":"heartbeat"',
      '"holdings":[]',
      '"seq":1',
      '"epoch":1',
      '{}',
      '[]',
      'null',
      '1e999',
      '"__proto__":',
    ].map(ascii),
    ...[
      '"role":"sentinel"',
      '"server":"filer-b"',
      '"incarnation":"filer-b/machine/1"',
      '"pair":"home"',
      '\\u0000',
    ].map(ascii),
    new Uint8Array(32),
  ],
  seeds: () => {
    const hello = frame(`{"protocol":"filerpair-interconnect","version":1,"versionMax":2,"nonce":"${hex}"}`);
    const challenge = frame(`{"version":2,"nonce":"${hex}"}`);
    const said = messages.flatMap((message) => [...proved(message)]);
    return [
      Uint8Array.of(0, 3, ...hello),
      Uint8Array.of(1, 3, ...challenge),
      Uint8Array.of(2, 90, ...hello, ...proved(partner), ...said),
      Uint8Array.of(3, 90, ...challenge, ...proved(partner), ...said),
      Uint8Array.of(2, 7, ...hello, ...proved({ ...partner, role: 'sentinel' }), ...proved(messages[4])),
      Uint8Array.of(0, 7, 0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3),
    ];
  },
  run: (input) => {
    const [how = 0, seed = 0] = input;
    const side = how % 2 === 0 ? 'acceptor' : 'dialer';
    const crypto = how % 4 < 2 ? interconnectCrypto : trusting;
    const stream = input.subarray(2);
    const whole = converse(stream, side, crypto, () => stream.length);
    const random = new SeededRandom(seed);
    const pieces = converse(stream, side, crypto, () => 1 + random.below(seed + 1));
    mustHold(isDeepStrictEqual(whole, pieces), 'a stream in pieces says other things');
  },
};
