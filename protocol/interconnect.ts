/**
 * The interconnect: what the two servers of a pair (and their sentinels) say to each other over TCP, as bytes. Pure: cryptography
 * and random numbers are passed in, so that every step is tested without a socket.
 */

// ```
// frame     = length (4 bytes, big-endian, of what follows) payload
//
// dialer                                    acceptor
//   hello      JSON {protocol, version, versionMax, nonce}    ->
//        <-    challenge  JSON {version, nonce}
//   identity   mac, JSON {pair, server, incarnation, role}   ->
//        <-    identity   mac, JSON {...}
//   then both: mac, JSON message
// ```
//
// Both sides prove that they know the secret of this connection (HMAC-SHA256 over both nonces and everything said so far, under a
// label for each direction, so that a reflected proof is worth nothing). The secret is the exporter of the TLS session
// (fileserver/interconnect/tls.ts): who proves it is an end of that very session. The dialer proves first: an acceptor tells a stranger a
// random number and nothing else, not even which pair it belongs to. Each direction then has a key of its own, and each message's
// MAC covers a sequence number that is not sent but counted. A message that was changed, repeated, left out or moved ends the
// connection. The contents are not secret.

export const INTERCONNECT_PROTOCOL = 'filerpair-interconnect';
/** The newest version that is spoken here, and the oldest: a pair is upgraded server by server. */
export const INTERCONNECT_VERSION = 2;
export const INTERCONNECT_VERSION_MIN = 1;
/** Bytes of payload in a frame, at most, once both sides are authenticated. */
export const FRAME_MAX = 64 * 1024;
/** The same before that: a stranger may not make anyone keep more. */
export const HANDSHAKE_FRAME_MAX = 1024;
const LENGTH_SIZE = 4;
const MAC_SIZE = 32;
const NONCE_SIZE = 32;

export interface InterconnectCrypto {
  /** HMAC-SHA256 (32 bytes) of the parts one after the other. */
  readonly hmac: (key: Uint8Array, parts: readonly Uint8Array[]) => Uint8Array;
  /** Compares two arrays of the same length in a time that does not tell where they differ. */
  readonly equal: (a: Uint8Array, b: Uint8Array) => boolean;
}

/** Who speaks. A `server` takes part in the pair; a `sentinel` reports deaths of its server and nothing else. */
export interface InterconnectIdentity {
  readonly pair: string;
  readonly server: string;
  /** Incarnation of a sentinel: it has its own, and never owns anything. */
  readonly incarnation: string;
  readonly role: 'server' | 'sentinel';
}

// ------------------------------------------------------------------------------------------------ frames

/** Collects the bytes of a stream and cuts frames out of them. */
export class FrameReader {
  #pending: Uint8Array = new Uint8Array(0);
  #payloadMax: number;

  constructor(payloadMax: number) {
    this.#payloadMax = payloadMax;
  }

  /** For what comes next; takes effect from the next frame on. */
  setPayloadMax(payloadMax: number): void {
    this.#payloadMax = payloadMax;
  }

  /** Adds what has arrived. The caller may reuse the bytes afterwards. */
  push(bytes: Uint8Array): void {
    const joined = new Uint8Array(this.#pending.length + bytes.length);
    joined.set(this.#pending);
    joined.set(bytes, this.#pending.length);
    this.#pending = joined;
  }

  /** The next whole frame's payload; null if more bytes are needed; 'tooLong' ends the connection. */
  next(): Uint8Array | 'tooLong' | null {
    if (this.#pending.length < LENGTH_SIZE) return null;
    const length = new DataView(this.#pending.buffer, this.#pending.byteOffset).getUint32(0);
    if (length > this.#payloadMax) return 'tooLong';
    if (this.#pending.length < LENGTH_SIZE + length) return null;
    const payload = this.#pending.subarray(LENGTH_SIZE, LENGTH_SIZE + length);
    this.#pending = this.#pending.subarray(LENGTH_SIZE + length);
    return payload;
  }
}

function frame(...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const bytes = new Uint8Array(LENGTH_SIZE + length);
  new DataView(bytes.buffer).setUint32(0, length);
  let offset = LENGTH_SIZE;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

// --------------------------------------------------------------------------------------------- handshake

interface HandshakeBase {
  readonly crypto: InterconnectCrypto;
  readonly secret: Uint8Array;
  readonly identity: InterconnectIdentity;
  /** Everything said so far, each part preceded by its length, so that no two conversations look alike. */
  readonly transcript: readonly Uint8Array[];
}

export type Handshake =
  | (HandshakeBase & { readonly step: 'awaitHello'; readonly nonce: Uint8Array })
  | (HandshakeBase & { readonly step: 'awaitChallenge' })
  | (HandshakeBase & { readonly step: 'awaitDialer' })
  | (HandshakeBase & { readonly step: 'awaitAcceptor' });

export type HandshakeResult =
  | { readonly kind: 'more'; readonly state: Handshake; readonly send: Uint8Array }
  | {
      readonly kind: 'done';
      readonly peer: InterconnectIdentity;
      readonly session: Session;
      /** To be sent before anything else; null for the dialer. */
      readonly send: Uint8Array | null;
    }
  /** Close the connection; `reason` is a sentence for the log and is not sent. */
  | { readonly kind: 'failed'; readonly reason: string };

/** `nonce`: 32 fresh random bytes. */
export function dial(
  crypto: InterconnectCrypto,
  secret: Uint8Array,
  identity: InterconnectIdentity,
  nonce: Uint8Array,
): { state: Handshake; send: Uint8Array } {
  const hello = encode({
    protocol: INTERCONNECT_PROTOCOL,
    // An acceptor of version 1 looks at this field only, and wants to see its own version.
    version: INTERCONNECT_VERSION_MIN,
    versionMax: INTERCONNECT_VERSION,
    nonce: toHex(nonce),
  });
  return {
    state: { step: 'awaitChallenge', crypto, secret, identity, transcript: withPart([], hello) },
    send: frame(hello),
  };
}

/** `nonce`: 32 fresh random bytes. The acceptor says nothing before it has heard a hello. */
export function accept(
  crypto: InterconnectCrypto,
  secret: Uint8Array,
  identity: InterconnectIdentity,
  nonce: Uint8Array,
): Handshake {
  return { step: 'awaitHello', crypto, secret, identity, nonce, transcript: [] };
}

/** One payload has arrived. */
export function continueHandshake(state: Handshake, payload: Uint8Array): HandshakeResult {
  switch (state.step) {
    case 'awaitHello':
      return onHello(state, payload);
    case 'awaitChallenge':
      return onChallenge(state, payload);
    case 'awaitDialer':
      return onDialerIdentity(state, payload);
    case 'awaitAcceptor':
      return onAcceptorIdentity(state, payload);
  }
}

function onHello(state: Handshake & { step: 'awaitHello' }, payload: Uint8Array): HandshakeResult {
  const hello = decodeObject(payload);
  if (hello?.['protocol'] !== INTERCONNECT_PROTOCOL) return failed('it does not speak this protocol');
  const version = commonVersion(hello['version'], hello['versionMax'] ?? hello['version']);
  if (version === null) {
    const theirs = `${String(hello['version'])} to ${String(hello['versionMax'] ?? hello['version'])}`;
    return failed(`it speaks versions ${theirs}, not ${INTERCONNECT_VERSION_MIN} to ${INTERCONNECT_VERSION}`);
  }
  if (!isNonce(hello['nonce'])) return failed('its hello has no nonce');
  const challenge = encode({ version, nonce: toHex(state.nonce) });
  return {
    kind: 'more',
    state: {
      step: 'awaitDialer',
      crypto: state.crypto,
      secret: state.secret,
      identity: state.identity,
      transcript: withPart(withPart([], payload), challenge),
    },
    send: frame(challenge),
  };
}

function onChallenge(state: Handshake & { step: 'awaitChallenge' }, payload: Uint8Array): HandshakeResult {
  const challenge = decodeObject(payload);
  const version = challenge?.['version'];
  if (challenge === null || commonVersion(version, version) === null || !isNonce(challenge['nonce'])) {
    return failed('its challenge cannot be understood');
  }
  const identity = encode(state.identity);
  const transcript = withPart(withPart(state.transcript, payload), identity);
  const mac = proof(state, 'dialer', transcript);
  return {
    kind: 'more',
    state: { ...state, step: 'awaitAcceptor', transcript },
    send: frame(mac, identity),
  };
}

function onDialerIdentity(state: Handshake & { step: 'awaitDialer' }, payload: Uint8Array): HandshakeResult {
  const heard = hearIdentity(state, 'dialer', payload);
  if (typeof heard === 'string') return failed(heard);
  const identity = encode(state.identity);
  const transcript = withPart(heard.transcript, identity);
  return {
    kind: 'done',
    peer: heard.peer,
    session: openSession(state, 'acceptor', transcript),
    send: frame(proof(state, 'acceptor', transcript), identity),
  };
}

function onAcceptorIdentity(
  state: Handshake & { step: 'awaitAcceptor' },
  payload: Uint8Array,
): HandshakeResult {
  const heard = hearIdentity(state, 'acceptor', payload);
  if (typeof heard === 'string') return failed(heard);
  return {
    kind: 'done',
    peer: heard.peer,
    session: openSession(state, 'dialer', heard.transcript),
    send: null,
  };
}

/** The newest version that both speak; null: there is none. Covered by the proofs: nobody in between can lower it. */
function commonVersion(min: unknown, max: unknown): number | null {
  if (!Number.isSafeInteger(min) || !Number.isSafeInteger(max)) return null;
  const version = Math.min(max as number, INTERCONNECT_VERSION);
  return version >= INTERCONNECT_VERSION_MIN && version >= (min as number) ? version : null;
}

type Side = 'dialer' | 'acceptor';

/** Checks the proof before looking at a single field. A sentence if it does not hold. */
function hearIdentity(
  state: Handshake,
  side: Side,
  payload: Uint8Array,
): { peer: InterconnectIdentity; transcript: readonly Uint8Array[] } | string {
  if (payload.length <= MAC_SIZE) return 'its proof is too short';
  const identity = payload.slice(MAC_SIZE);
  const transcript = withPart(state.transcript, identity);
  if (!state.crypto.equal(payload.subarray(0, MAC_SIZE), proof(state, side, transcript))) {
    return "it does not know the pair's secret";
  }
  const peer = decodeIdentity(identity);
  if (peer === null) return 'its identity cannot be understood';
  if (peer.pair !== state.identity.pair) return `it belongs to pair "${peer.pair}"`;
  if (peer.server === state.identity.server) {
    return `it says that it is ${peer.server} as well: does partnerAddress point back to this server?`;
  }
  return { peer, transcript };
}

function proof(state: Handshake, side: Side, transcript: readonly Uint8Array[]): Uint8Array {
  return state.crypto.hmac(state.secret, [encodeText(`filerpair proof of ${side}\0`), ...transcript]);
}

function failed(reason: string): HandshakeResult {
  return { kind: 'failed', reason };
}

// ------------------------------------------------------------------------------------------- after it

/** The messages of one authenticated connection. Not to be shared between connections: it counts. */
export class Session {
  readonly #crypto: InterconnectCrypto;
  readonly #sendKey: Uint8Array;
  readonly #receiveKey: Uint8Array;
  readonly #counter = new DataView(new ArrayBuffer(8));
  #sent = 0;
  #received = 0;

  constructor(crypto: InterconnectCrypto, sendKey: Uint8Array, receiveKey: Uint8Array) {
    this.#crypto = crypto;
    this.#sendKey = sendKey;
    this.#receiveKey = receiveKey;
  }

  /** The frame to send. Throws RangeError if the message is longer than the limit: our own mistake. */
  seal(message: unknown): Uint8Array {
    const text = encode(message);
    if (MAC_SIZE + text.length > FRAME_MAX) throw new RangeError(`message of ${text.length} bytes`);
    return frame(this.#mac(this.#sendKey, this.#sent++, text), text);
  }

  /** The message in a payload that has arrived; undefined if it is not the next one: close the connection. */
  open(payload: Uint8Array): unknown {
    if (payload.length <= MAC_SIZE) return undefined;
    const text = payload.subarray(MAC_SIZE);
    const mac = this.#mac(this.#receiveKey, this.#received, text);
    if (!this.#crypto.equal(payload.subarray(0, MAC_SIZE), mac)) return undefined;
    this.#received++;
    return decode(text);
  }

  #mac(key: Uint8Array, sequence: number, text: Uint8Array): Uint8Array {
    this.#counter.setUint32(0, Math.floor(sequence / 4294967296));
    this.#counter.setUint32(4, sequence >>> 0);
    return this.#crypto.hmac(key, [new Uint8Array(this.#counter.buffer), text]);
  }
}

function openSession(state: Handshake, side: Side, transcript: readonly Uint8Array[]): Session {
  const key = (from: Side): Uint8Array =>
    state.crypto.hmac(state.secret, [encodeText(`filerpair key of ${from}\0`), ...transcript]);
  return new Session(state.crypto, key(side), key(side === 'dialer' ? 'acceptor' : 'dialer'));
}

// ------------------------------------------------------------------------------------------- small parts

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

function encodeText(text: string): Uint8Array {
  return encoder.encode(text);
}

function encode(value: unknown): Uint8Array {
  return encoder.encode(JSON.stringify(value));
}

function decode(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(bytes)) as unknown;
  } catch {
    return undefined;
  }
}

function decodeObject(bytes: Uint8Array): Record<string, unknown> | null {
  const value = decode(bytes);
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}

function decodeIdentity(bytes: Uint8Array): InterconnectIdentity | null {
  const value = decodeObject(bytes);
  if (value === null) return null;
  const { pair, server, incarnation, role } = value;
  if (typeof pair !== 'string' || typeof server !== 'string' || typeof incarnation !== 'string') return null;
  if (role !== 'server' && role !== 'sentinel') return null;
  return { pair, server, incarnation, role };
}

/** The payload may be a view of a buffer that goes on changing: the transcript keeps copies. */
function withPart(transcript: readonly Uint8Array[], part: Uint8Array): readonly Uint8Array[] {
  const length = new Uint8Array(LENGTH_SIZE);
  new DataView(length.buffer).setUint32(0, part.length);
  return [...transcript, length, part.slice()];
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function isNonce(value: unknown): value is string {
  return typeof value === 'string' && value.length === 2 * NONCE_SIZE && /^[0-9a-f]+$/.test(value);
}
