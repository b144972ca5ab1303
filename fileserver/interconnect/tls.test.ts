/** Real sockets on loopback, real certificates, made by the operator's own code. */
import { once } from 'node:events';
import { type AddressInfo, connect as connectTcp, createServer } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeAll, expect, it } from 'vitest';
import { issueCertificate, type KeyPair, makeAuthority } from '../../operator/apply/certificate-authority.ts';
import { type Incarnation, incarnationOf } from '../../pair/incarnation.ts';
import type { PairMessage } from '../../pair/messages.ts';
import { assertEventually } from '../../testing/assert-eventually.ts';
import { keptLog } from '../logging/kept-log.fixture.ts';
import { interconnectName } from './certificates.fixture.ts';
import { ChangingCredentials } from './credentials.fixture.ts';
import type { TlsCredentials } from './credentials.ts';
import { Interconnect } from './interconnect.ts';

const DAY = 24 * 3600_000;
const timing = { pingMs: 50, silenceMs: 300 };
const { log, lines } = keptLog();
const cleanUp: (() => unknown)[] = [];
let authority: KeyPair;

beforeAll(async () => {
  authority = await makeAuthority('home', Date.now(), DAY);
});

afterEach(async () => {
  for (const end of cleanUp.splice(0).reverse()) await end();
  lines.length = 0;
});

const partnerOf = (server: string) => (server === 'filer-a' ? 'filer-b' : 'filer-a');

interface Issued {
  readonly by?: KeyPair;
  readonly trusts?: readonly KeyPair[];
  readonly name?: string;
  readonly now?: number;
  readonly lifetimeMs?: number;
}

/** What `server` has in its files: its certificate, and whom it trusts. */
async function certified(server: string, how: Issued = {}): Promise<TlsCredentials> {
  const { by = authority, name = interconnectName(server), now = Date.now(), lifetimeMs = DAY } = how;
  const { trusts = [by] } = how;
  return {
    directory: '',
    ...(await issueCertificate(by, name, now, lifetimeMs)),
    authorities: trusts.map(({ certificate }) => certificate),
    partnerName: interconnectName(partnerOf(server)),
    expiresAt: now + lifetimeMs,
  };
}

interface End {
  readonly me: Incarnation;
  readonly interconnect: Interconnect;
  readonly credentials: ChangingCredentials;
  readonly port: number;
  readonly seen: string[];
  readonly messages: PairMessage[];
}

/** `partnerPort` 1: nobody is there, so that only the other side's dialling counts. */
async function start(server: string, credentials: ChangingCredentials, partnerPort = 1): Promise<End> {
  const me = incarnationOf(server, 'machine', '1');
  const seen: string[] = [];
  const messages: PairMessage[] = [];
  const interconnect = new Interconnect({
    pair: 'home',
    me,
    partner: partnerOf(server),
    credentials,
    listen: { host: '127.0.0.1', port: 0 },
    partnerAddress: { host: '127.0.0.1', port: partnerPort },
    timing,
    log,
    connected: (incarnation) => seen.push(`+${incarnation}`),
    disconnected: (incarnation) => seen.push(`-${incarnation}`),
    message: (_from, message) => messages.push(message),
    died: () => {},
  });
  const port = await interconnect.start();
  cleanUp.push(() => interconnect.stop(100));
  return { me, interconnect, credentials, port, seen, messages };
}

const connected = async (a: End, b: End): Promise<void> =>
  assertEventually(() => expect([a.seen, b.seen]).toEqual([[`+${b.me}`], [`+${a.me}`]]));

const said = (text: string | RegExp): Promise<void> =>
  assertEventually(() => expect(lines.join('\n')).toMatch(text));

it('connects two servers that show each other certificates of one authority', async () => {
  const a = await start('filer-a', new ChangingCredentials({ tls: [await certified('filer-a')] }));
  const b = await start('filer-b', new ChangingCredentials({ tls: [await certified('filer-b')] }), a.port);
  await connected(a, b);
  const heartbeats = Array.from({ length: 100 }, (_, seq) => ({
    kind: 'heartbeat' as const,
    seq,
    holdings: [],
  }));
  for (const one of heartbeats) b.interconnect.send(a.me, one);
  await assertEventually(() => expect(a.messages).toEqual(heartbeats));
  a.interconnect.send(b.me, { kind: 'leaseChanged', home: 'filer-a' });
  await assertEventually(() => expect(b.messages).toEqual([{ kind: 'leaseChanged', home: 'filer-a' }]));
});

/** Who comes as filer-b and is not; what filer-a says of it. */
const strangers: [who: string, credentials: () => Promise<object>, sentence: RegExp][] = [
  [
    'a peer with a certificate of its own authority',
    async () => {
      const by = await makeAuthority('home', Date.now(), DAY);
      return { tls: [await certified('filer-b', { by, trusts: [authority] })] };
    },
    /comes from an authority that is not trusted here \(CN=home, O=FilerPair; \w+\)/,
  ],
  [
    'a server of the same name in a pair of another namespace, under the same authority',
    async () => ({ tls: [await certified('filer-b', { name: interconnectName('filer-b', 'other') })] }),
    /is for DNS:filer-b-interconnect\.other\.svc, and the partner's is for DNS:filer-b-interconnect\.storage\.svc/,
  ],
  [
    'somebody with a certificate for every server of the namespace, under the same authority',
    async () => ({ tls: [await certified('filer-b', { name: '*.storage.svc' })] }),
    /is for DNS:\*\.storage\.svc, and the partner's is for DNS:filer-b-interconnect\.storage\.svc/,
  ],
  [
    'somebody with the certificate of filer-a',
    async () => ({ tls: [await certified('filer-b', { name: interconnectName('filer-a') })] }),
    /is for DNS:filer-a-interconnect\.storage\.svc, and the partner's is for/,
  ],
  [
    'filer-b with a certificate that has expired',
    async () => ({ tls: [await certified('filer-b', { now: Date.now() - 2 * DAY })] }),
    /its certificate has expired/,
  ],
  [
    'filer-b with a certificate that is not valid yet',
    async () => ({ tls: [await certified('filer-b', { now: Date.now() + 2 * DAY, lifetimeMs: 5 * DAY })] }),
    /its certificate is not valid yet/,
  ],
];

it.each(strangers)('closes the door to %s, and says why', async (_who, credentials, sentence) => {
  const a = await start('filer-a', new ChangingCredentials({ tls: [await certified('filer-a')] }));
  const stranger = await start('filer-b', new ChangingCredentials(await credentials()), a.port);
  await said(sentence);
  expect(a.seen).toEqual([]);
  expect(stranger.seen).toEqual([]);
});

it.each(strangers.slice(0, 4))(
  'does not follow %s who answers in place of the partner',
  async (_who, credentials, sentence) => {
    const stranger = await start('filer-b', new ChangingCredentials(await credentials()));
    const a = await start(
      'filer-a',
      new ChangingCredentials({ tls: [await certified('filer-a')] }),
      stranger.port,
    );
    await said(sentence);
    expect(a.seen).toEqual([]);
  },
);

it('dials again when what accepts says nothing, as behind a network that was cut', async () => {
  const a = await start('filer-a', new ChangingCredentials({ tls: [await certified('filer-a')] }));
  let isCut = true;
  const relay = createServer((near) => {
    near.on('error', () => {});
    if (isCut) return;
    const far = connectTcp(a.port, '127.0.0.1');
    far.on('error', () => {});
    near.pipe(far).pipe(near);
  });
  await once(relay.listen(0, '127.0.0.1'), 'listening');
  cleanUp.push(() => relay.close());
  const { port } = relay.address() as AddressInfo;
  const b = await start('filer-b', new ChangingCredentials({ tls: [await certified('filer-b')] }), port);
  await said(/Cannot reach filer-a at .*: no proof within 1000 ms/);
  isCut = false;
  await connected(a, b);
});

it('refuses its own certificate, which can only come back by a wrong address', async () => {
  const tls = await certified('filer-a');
  const credentials = new ChangingCredentials({
    tls: [{ ...tls, partnerName: interconnectName('filer-a') }],
  });
  const a = await start('filer-a', credentials);
  await start('filer-b', credentials, a.port);
  await said(/is the one of this server itself: does partnerAddress point back to it\?/);
  expect(a.seen).toEqual([]);
});

it('gives nothing to who shows no certificate, speaks no TLS, or says nothing, and closes', async () => {
  const a = await start('filer-a', new ChangingCredentials({ tls: [await certified('filer-a')] }));
  const anonymous = connectTls({
    port: a.port,
    host: '127.0.0.1',
    servername: interconnectName('filer-a'),
    rejectUnauthorized: false,
  });
  const nameless = connectTls({ port: a.port, host: '127.0.0.1', rejectUnauthorized: false });
  const old = connectTls({
    port: a.port,
    host: '127.0.0.1',
    servername: interconnectName('filer-a'),
    rejectUnauthorized: false,
    maxVersion: 'TLSv1.2',
  });
  const mute = connectTcp(a.port, '127.0.0.1');
  const halfTls = connectTcp(a.port, '127.0.0.1');
  halfTls.write('\x16\x03\x01');
  let heard = 0;
  const all = [anonymous, nameless, old, mute, halfTls].map(async (socket) => {
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => (heard += bytes.length));
    // Not events.once: it would reject on the error that comes first.
    await new Promise((resolve) => socket.on('close', resolve));
  });
  await Promise.all(all);
  await said(/it shows no certificate/);
  await said(/no proof within 1000 ms/);
  await said(/its TLS handshake failed: unsupported protocol/);
  // Not a byte of the interconnect's own.
  expect(heard).toBe(0);
  expect(a.seen).toEqual([]);
});

it('has no use for a server without credentials, and lets it in as soon as it has some', async () => {
  const a = await start('filer-a', new ChangingCredentials({ tls: [await certified('filer-a')] }));
  const b = await start('filer-b', new ChangingCredentials({ problem: 'tls.crt is not there.' }), a.port);
  await said(/Cannot reach filer-a at .*: tls.crt is not there\./);
  b.credentials.change({ tls: [await certified('filer-b')] });
  await connected(a, b);
});

it.each(['filer-a', 'filer-b'])(
  'knows a partner by the second issuer while the first one changes: %s dials',
  async (dialer) => {
    const elsewhere = await makeAuthority('elsewhere', Date.now(), DAY);
    // filer-a has started with certificates from elsewhere, filer-b not yet.
    const of = {
      'filer-a': [await certified('filer-a', { by: elsewhere }), await certified('filer-a')],
      'filer-b': [await certified('filer-b')],
    };
    const listener = await start(
      partnerOf(dialer),
      new ChangingCredentials({ tls: of[partnerOf(dialer) as 'filer-a'] }),
    );
    const one = await start(dialer, new ChangingCredentials({ tls: of[dialer as 'filer-a'] }), listener.port);
    await connected(listener, one);
  },
);

/** Sends one every 10 ms; each must arrive. */
async function heartbeatsThrough(a: End, b: End, count: number): Promise<void> {
  const before = a.messages.length;
  let sent = 0;
  const timer = setInterval(() => {
    b.interconnect.send(a.me, { kind: 'heartbeat', seq: sent++, holdings: [] });
  }, 10);
  await assertEventually(() => expect(sent).toBeGreaterThanOrEqual(count));
  clearInterval(timer);
  await assertEventually(() => expect(a.messages.length - before).toBe(sent));
}

it('changes certificates and, with an overlap, the authority, and loses neither the partner nor a heartbeat', async () => {
  const a = await start('filer-a', new ChangingCredentials({ tls: [await certified('filer-a')] }));
  const b = await start('filer-b', new ChangingCredentials({ tls: [await certified('filer-b')] }), a.port);
  await connected(a, b);
  const newer = await makeAuthority('home', Date.now(), DAY);
  const both = [authority, newer];
  // Each server at another time, as the kubelets of two nodes do it.
  const changes: [End, string, Issued][] = [
    [a, 'filer-a', {}],
    [b, 'filer-b', {}],
    [a, 'filer-a', { trusts: both }],
    [b, 'filer-b', { trusts: both }],
    [b, 'filer-b', { by: newer, trusts: both }],
    [a, 'filer-a', { by: newer, trusts: both }],
    [a, 'filer-a', { by: newer }],
    [b, 'filer-b', { by: newer }],
  ];
  for (const [end, server, how] of changes) {
    end.credentials.change({ tls: [await certified(server, how)] });
    await heartbeatsThrough(a, b, 10);
  }
  await connected(a, b);
});

it('ends a connection whose authority is not trusted any more', async () => {
  const a = await start('filer-a', new ChangingCredentials({ tls: [await certified('filer-a')] }));
  const b = await start('filer-b', new ChangingCredentials({ tls: [await certified('filer-b')] }), a.port);
  await connected(a, b);
  const newer = await makeAuthority('home', Date.now(), DAY);
  a.credentials.change({ tls: [await certified('filer-a', { by: newer })] });
  await assertEventually(() => expect(a.seen).toEqual([`+${b.me}`, `-${b.me}`]));
  await said(/its certificate is not trusted any more/);
});
