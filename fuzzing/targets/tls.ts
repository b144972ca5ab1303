/** The first bytes of strangers at the interconnect's port, through real sockets and OpenSSL: nobody without a certificate gets in. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { Acceptor } from '../../fileserver/interconnect/acceptor.ts';
import { certified } from '../../fileserver/interconnect/certificates.fixture.ts';
import { createLog } from '../../fileserver/logging/log.ts';
import { makeAuthority } from '../../operator/apply/certificate-authority.ts';
import { ascii } from '../../protocol/testing/wire.ts';
import { mustHold, type Target } from '../target.ts';

const DAY = 24 * 3600_000;
/** Alert, handshake and application data, and the change of ciphers that TLS 1.3 still says (RFC 8446 §5.1). */
const RECORD_TYPES = [0x14, 0x15, 0x16, 0x17];

let listening: Promise<{ readonly port: number; readonly acceptor: Acceptor }> | null = null;
let established = 0;

async function listen(): Promise<{ readonly port: number; readonly acceptor: Acceptor }> {
  const authority = await makeAuthority('home', Date.now(), DAY);
  const tls = await certified(authority, 'filer-a', 'filer-b');
  const acceptor = new Acceptor({
    host: '127.0.0.1',
    port: 0,
    credentials: {
      current: { tls: [tls], problem: null },
      subscribe: () => {},
    },
    identity: { pair: 'home', server: 'filer-a', incarnation: 'filer-a/machine/1', role: 'server' },
    partner: 'filer-b',
    timing: { pingMs: 50, silenceMs: 300 },
    events: { message: () => {}, closed: () => {} },
    established: () => established++,
    log: createLog({ level: 'error', format: 'text' }, {}),
  });
  return { port: await acceptor.listen(), acceptor };
}

/** ClientHello of TLS 1.3 with SNI, as OpenSSL sends it, with a key share of zeros. */
function clientHello(): Uint8Array {
  const extension = (type: number, ...data: number[]): number[] => [
    type >> 8,
    type & 255,
    0,
    data.length,
    ...data,
  ];
  const name = [...ascii('filer-a')];
  const extensions = [
    ...extension(0, 0, name.length + 3, 0, 0, name.length, ...name),
    ...extension(10, 0, 4, 0, 0x1d, 0, 0x17),
    ...extension(13, 0, 6, 4, 3, 8, 4, 8, 9),
    ...extension(43, 2, 3, 4),
    ...extension(51, 0, 36, 0, 0x1d, 0, 32, ...new Array<number>(32).fill(9)),
  ];
  const hello = [
    3,
    3,
    ...new Array<number>(32).fill(1),
    0,
    0,
    2,
    0x13,
    1,
    1,
    0,
    0,
    extensions.length,
    ...extensions,
  ];
  const handshake = [1, 0, 0, hello.length, ...hello];
  return Uint8Array.of(0x16, 3, 1, 0, handshake.length, ...handshake);
}

export const tls: Target = {
  name: 'tls',
  covers: ['protocol/', 'fileserver/interconnect/'],
  words: [
    Uint8Array.of(0x16, 3, 1),
    Uint8Array.of(0x17, 3, 3),
    Uint8Array.of(0x14, 3, 3, 0, 1, 1),
    Uint8Array.of(0x15, 3, 3, 0, 2),
  ],
  seeds: () => [
    clientHello(),
    Uint8Array.of(...clientHello(), 0x14, 3, 3, 0, 1, 1, 0x17, 3, 3, 0, 2, 9, 9),
    Uint8Array.of(0x15, 3, 1, 0, 2, 1, 0),
    Uint8Array.of(0, 0, 0, 2, 123, 125),
    ascii('GET / HTTP/1.1\r\n\r\n'),
  ],
  run: async (input) => {
    listening ??= listen();
    const { port } = await listening;
    const before = established;
    const socket = connect(port, '127.0.0.1');
    const heard: Buffer[] = [];
    socket.on('data', (bytes: Buffer) => heard.push(bytes));
    socket.on('error', () => {});
    socket.end(input);
    if (!socket.closed) await once(socket, 'close');
    mustHold(established === before, 'somebody without a certificate has got in');
    const bytes = Buffer.concat(heard);
    mustHold(bytes.length === 0 || RECORD_TYPES.includes(bytes[0]!), 'the answer is no TLS record');
  },
  end: async () => {
    if (listening !== null) (await listening).acceptor.stop();
  },
};
