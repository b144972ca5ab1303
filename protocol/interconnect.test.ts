import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { expect, it } from 'vitest';
import {
  accept,
  continueHandshake,
  dial,
  FRAME_MAX,
  FrameReader,
  HANDSHAKE_FRAME_MAX,
  type HandshakeResult,
  type InterconnectCrypto,
  type InterconnectIdentity,
  type Session,
} from './interconnect.ts';

const crypto: InterconnectCrypto = {
  hmac: (key, parts) => {
    const hmac = createHmac('sha256', key);
    for (const part of parts) hmac.update(part);
    return hmac.digest();
  },
  equal: (a, b) => timingSafeEqual(a, b),
};
const secret = randomBytes(32);
const a: InterconnectIdentity = {
  pair: 'home',
  server: 'filer-a',
  incarnation: 'filer-a/x/1',
  role: 'server',
};
const b: InterconnectIdentity = {
  pair: 'home',
  server: 'filer-b',
  incarnation: 'filer-b/y/1',
  role: 'server',
};

function payloadOf(frame: Uint8Array): Uint8Array {
  const reader = new FrameReader(FRAME_MAX);
  reader.push(frame);
  const payload = reader.next();
  if (!(payload instanceof Uint8Array)) throw new Error(`no frame: ${payload}`);
  return payload;
}

interface Conversation {
  dialer: HandshakeResult;
  acceptor: HandshakeResult;
  frames: Uint8Array[];
}

/** Both sides of a handshake; `tamper` may change the payload of step 0..3 on its way. */
function converse(
  dialer = { secret, identity: a },
  acceptor = { secret, identity: b },
  tamper: (payload: Uint8Array, step: number) => Uint8Array = (payload) => payload,
): Conversation {
  const started = dial(crypto, dialer.secret, dialer.identity, randomBytes(32));
  const frames = [started.send];
  let dialerResult: HandshakeResult = { kind: 'more', ...started };
  let acceptorResult: HandshakeResult = {
    kind: 'more',
    state: accept(crypto, acceptor.secret, acceptor.identity, randomBytes(32)),
    send: new Uint8Array(),
  };
  for (let step = 0; step < 4; step++) {
    const payload = tamper(payloadOf(frames[step]!), step);
    const receiver: HandshakeResult = step % 2 === 0 ? acceptorResult : dialerResult;
    if (receiver.kind !== 'more') break;
    const result = continueHandshake(receiver.state, payload);
    if (step % 2 === 0) acceptorResult = result;
    else dialerResult = result;
    if (result.kind === 'failed' || result.send === null) break;
    frames.push(result.send);
  }
  return { dialer: dialerResult, acceptor: acceptorResult, frames };
}

function sessions(): { dialer: Session; acceptor: Session } {
  const { dialer, acceptor } = converse();
  if (dialer.kind !== 'done' || acceptor.kind !== 'done') throw new Error('handshake failed');
  return { dialer: dialer.session, acceptor: acceptor.session };
}

it('lets two servers that know the secret learn who the other one is', () => {
  const { dialer, acceptor } = converse();
  expect(dialer).toMatchObject({ kind: 'done', peer: b, send: null });
  expect(acceptor).toMatchObject({ kind: 'done', peer: a });
});

it('tells a stranger nothing but a random number before the stranger has proved anything', () => {
  const { acceptor, frames } = converse({ secret: randomBytes(32), identity: a });
  expect(acceptor).toEqual({ kind: 'failed', reason: "it does not know the pair's secret" });
  expect(frames).toHaveLength(3);
  expect(Object.keys(JSON.parse(new TextDecoder().decode(payloadOf(frames[1]!))))).toEqual([
    'version',
    'nonce',
  ]);
});

it('refuses an acceptor that does not know the secret', () => {
  const stranger = randomBytes(32);
  // The acceptor cannot verify us either, so it is made to go on: its proof alone must give it away.
  const real = converse();
  const fake = converse({ secret: stranger, identity: a }, { secret: stranger, identity: b });
  const { dialer } = converse(undefined, undefined, (payload, step) =>
    step === 3 ? payloadOf(fake.frames[3]!) : payload,
  );
  expect(dialer).toEqual({ kind: 'failed', reason: "it does not know the pair's secret" });
  expect(real.dialer.kind).toBe('done');
});

it('fails when any single bit of any step is changed', () => {
  const lengths = converse().frames.map((frame) => payloadOf(frame).length);
  for (const [step, length] of lengths.entries()) {
    for (let index = 0; index < length; index++) {
      const { dialer, acceptor } = converse(undefined, undefined, (payload, at) => {
        if (at !== step) return payload;
        const changed = payload.slice();
        changed[index]! ^= 1;
        return changed;
      });
      const outcome = step === 3 ? dialer : acceptor.kind === 'failed' ? acceptor : dialer;
      expect(outcome.kind, `step ${step}, byte ${index}`).toBe('failed');
    }
  }
});

it('does not accept a proof of another conversation, nor its own reflected', () => {
  const earlier = converse();
  const replayed = converse(undefined, undefined, (payload, step) =>
    step === 2 ? payloadOf(earlier.frames[2]!) : payload,
  );
  expect(replayed.acceptor).toMatchObject({ kind: 'failed', reason: "it does not know the pair's secret" });
  let mine: Uint8Array = new Uint8Array();
  const reflected = converse(undefined, undefined, (payload, step) => {
    if (step === 2) mine = payload;
    return step === 3 ? mine : payload;
  });
  expect(reflected.dialer).toMatchObject({ kind: 'failed', reason: "it does not know the pair's secret" });
});

it('refuses itself, another pair and another version, and says why', () => {
  expect(converse(undefined, { secret, identity: a }).acceptor).toMatchObject({
    reason: 'it says that it is filer-a as well: does partnerAddress point back to this server?',
  });
  expect(converse({ secret, identity: { ...a, pair: 'work' } }).acceptor).toMatchObject({
    reason: 'it belongs to pair "work"',
  });
  const hello = (text: string) =>
    converse(undefined, undefined, () => new TextEncoder().encode(text)).acceptor;
  expect(hello('GET / HTTP/1.1')).toMatchObject({ reason: 'it does not speak this protocol' });
  expect(hello('{"protocol":"filerpair-interconnect","version":3,"versionMax":4}')).toMatchObject({
    reason: 'it speaks versions 3 to 4, not 1 to 2',
  });
  expect(hello('{"protocol":"filerpair-interconnect","version":1,"nonce":"00"}')).toMatchObject({
    reason: 'its hello has no nonce',
  });
});

it('speaks the newest version that both know, and with a peer of the previous one its own', () => {
  const nonce = randomBytes(32).toString('hex');
  const challengeTo = (hello: object): unknown => {
    const text = new TextEncoder().encode(
      JSON.stringify({ protocol: 'filerpair-interconnect', nonce, ...hello }),
    );
    const answer = continueHandshake(accept(crypto, secret, b, randomBytes(32)), text);
    if (answer.kind !== 'more') return answer;
    return (JSON.parse(new TextDecoder().decode(payloadOf(answer.send))) as { version: unknown }).version;
  };
  expect(challengeTo({ version: 1 })).toBe(1);
  expect(challengeTo({ version: 1, versionMax: 2 })).toBe(2);
  expect(challengeTo({ version: 2, versionMax: 9 })).toBe(2);
  expect(challengeTo({ version: 'x' })).toMatchObject({ kind: 'failed' });
  // What an acceptor of version 1 checks and answers.
  const { state, send } = dial(crypto, secret, a, randomBytes(32));
  expect(JSON.parse(new TextDecoder().decode(payloadOf(send)))).toMatchObject({ version: 1 });
  const challenge = (version: unknown) => new TextEncoder().encode(JSON.stringify({ version, nonce }));
  expect(continueHandshake(state, challenge(1)).kind).toBe('more');
  expect(continueHandshake(state, challenge(2)).kind).toBe('more');
  expect(continueHandshake(state, challenge(3)).kind).toBe('failed');
});

it('does not let anybody in between lower the version', () => {
  const lowered = converse(undefined, undefined, (payload, step) => {
    if (step > 1) return payload;
    const said = JSON.parse(new TextDecoder().decode(payload)) as Record<string, unknown>;
    const { versionMax: _, ...rest } = said;
    return new TextEncoder().encode(JSON.stringify({ ...rest, version: 1 }));
  });
  expect(lowered.acceptor).toMatchObject({ kind: 'failed', reason: "it does not know the pair's secret" });
});

it('carries messages both ways after the handshake', () => {
  const { dialer, acceptor } = sessions();
  for (let i = 0; i < 3; i++) {
    expect(acceptor.open(payloadOf(dialer.seal({ kind: 'heartbeat', seq: i })))).toEqual({
      kind: 'heartbeat',
      seq: i,
    });
    expect(dialer.open(payloadOf(acceptor.seal([i, 'ä'])))).toEqual([i, 'ä']);
  }
});

it('refuses a message that is repeated, left out, changed, reflected or from another connection', () => {
  const repeated = sessions();
  const first = payloadOf(repeated.dialer.seal('first'));
  expect(repeated.acceptor.open(first)).toBe('first');
  expect(repeated.acceptor.open(first)).toBeUndefined();

  const leftOut = sessions();
  leftOut.dialer.seal('first');
  expect(leftOut.acceptor.open(payloadOf(leftOut.dialer.seal('second')))).toBeUndefined();

  const changed = sessions();
  const payload = payloadOf(changed.dialer.seal('first')).slice();
  payload[payload.length - 2]! ^= 1;
  expect(changed.acceptor.open(payload)).toBeUndefined();

  const reflected = sessions();
  expect(reflected.dialer.open(payloadOf(reflected.dialer.seal('first')))).toBeUndefined();
  expect(sessions().acceptor.open(payloadOf(reflected.dialer.seal('first')))).toBeUndefined();
  expect(sessions().acceptor.open(new Uint8Array(32))).toBeUndefined();
});

it('cuts frames out of a stream wherever it is divided', () => {
  const { dialer, acceptor } = sessions();
  const messages = ['', 'one', 'x'.repeat(5000)];
  const frames = messages.map((message) => dialer.seal(message));
  const stream = Buffer.concat(frames);
  for (const cut of [1, 3, 4, 5, 36, 37, 41, 100, stream.length - 1]) {
    const reader = new FrameReader(FRAME_MAX);
    const found: Uint8Array[] = [];
    for (const part of [stream.subarray(0, cut), stream.subarray(cut)]) {
      reader.push(part);
      for (let payload = reader.next(); payload !== null; payload = reader.next()) {
        if (payload === 'tooLong') throw new Error('too long');
        found.push(payload);
      }
    }
    expect(found).toEqual(frames.map(payloadOf));
  }
  expect(frames.map((frame) => acceptor.open(payloadOf(frame)))).toEqual(messages);
});

it('refuses a frame over the limit by its length alone, before its bytes arrive', () => {
  const judge = (limit: number, length: number) => {
    const header = new Uint8Array(4);
    new DataView(header.buffer).setUint32(0, length);
    const reader = new FrameReader(limit);
    reader.push(header);
    return reader.next();
  };
  for (const limit of [HANDSHAKE_FRAME_MAX, FRAME_MAX]) {
    expect(judge(limit, limit)).toBeNull();
    expect(judge(limit, limit + 1)).toBe('tooLong');
    expect(judge(limit, 0xffffffff)).toBe('tooLong');
  }
  expect(() => sessions().dialer.seal('x'.repeat(FRAME_MAX))).toThrow(RangeError);
});
