/**
 * Many clients that are no trouble by themselves: idle ones, slow readers that ask for much and read nothing, slow
 * writers that never finish a message. For tests of what they cost everybody else.
 */
import { connect, type Socket } from 'node:net';
import { NFS_PROGRAM, NFS_V3, NFS3_IO_SIZE_MAX, nfs3Procedures, nfsproc3 } from '../../protocol/nfs3.ts';
import { beginRecord, endRecord } from '../../protocol/record.ts';
import { encodeCallHeader, type opaque_auth } from '../../protocol/rpc.ts';
import { XdrWriter } from '../../protocol/xdr.ts';

export interface CrowdSize {
  readonly idle: number;
  readonly slowReaders: number;
  /** READs of 1 MiB that each slow reader asks for. */
  readonly readsEach: number;
  readonly slowWriters: number;
}

export class Crowd {
  readonly #sockets: Socket[];
  readonly #timer: NodeJS.Timeout;

  private constructor(sockets: Socket[], writers: readonly Socket[]) {
    this.#sockets = sockets;
    const crumb = new Uint8Array(16);
    this.#timer = setInterval(() => {
      for (const socket of writers) socket.write(crumb);
    }, 50);
  }

  /** All are connected, and have sent what they begin with, when this resolves. `file`: of 1 MiB at least. */
  static async gather(
    port: number,
    file: Uint8Array,
    credential: opaque_auth,
    size: CrowdSize,
  ): Promise<Crowd> {
    const open = (count: number): Promise<Socket[]> =>
      Promise.all(Array.from({ length: count }, () => connected(port)));
    const nothing = call(credential, nfsproc3.NULL, () => {});
    const reading = call(credential, nfsproc3.READ, (w) =>
      nfs3Procedures.READ.args.encode(w, { file, offset: 0, count: NFS3_IO_SIZE_MAX }),
    );
    // The beginning of a record of 1 MiB.
    const writing = new Uint8Array([0x80, 0x10, 0, 0, ...new Uint8Array(4096)]);
    const idle = await open(size.idle);
    await Promise.all(idle.map((socket) => answered(socket, nothing)));
    const readers = await open(size.slowReaders);
    for (const socket of readers) {
      socket.pause();
      for (let i = 0; i < size.readsEach; i++) socket.write(reading);
    }
    const writers = await open(size.slowWriters);
    for (const socket of writers) socket.write(writing);
    return new Crowd([...idle, ...readers, ...writers], writers);
  }

  disperse(): void {
    clearInterval(this.#timer);
    for (const socket of this.#sockets) socket.destroy();
  }
}

function call(credential: opaque_auth, procedure: number, args: (w: XdrWriter) => void): Uint8Array {
  const w = new XdrWriter();
  const start = beginRecord(w);
  encodeCallHeader(w, 1, NFS_PROGRAM, NFS_V3, procedure, credential);
  args(w);
  endRecord(w, start);
  return w.written().slice();
}

function connected(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket));
    socket.on('error', reject);
  });
}

function answered(socket: Socket, message: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('data', () => resolve());
    socket.once('close', () => reject(new Error('an idle connection was closed')));
    socket.write(message);
  });
}
