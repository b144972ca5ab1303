/** An NFS client that knows nothing of pairs, and calls as it sends them, for tests of the proxy. */
import { connect, type Socket } from 'node:net';
import { afterEach } from 'vitest';
import { nfsproc3 } from '../../protocol/nfs3.ts';
import { RecordParser } from '../../protocol/record.ts';

/** Run behind each test, the latest first. */
export const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const each of cleanUp.splice(0).reverse()) await each();
});

/** An NFS client that knows nothing of pairs: one socket, records out, records in. */
export class PlainClient {
  readonly socket: Socket;
  readonly replies: { xid: number; results: string }[] = [];
  closed = false;
  readonly #parser = new RecordParser(4 * 1024 * 1024);

  constructor(port: number, localAddress = '127.0.0.1') {
    this.socket = connect({ port, host: '127.0.0.1', localAddress, noDelay: true });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.closed = true;
    });
    this.socket.on('data', (chunk) => {
      this.#parser.push(chunk);
      while (this.#parser.next()) {
        const { record } = this.#parser;
        const xid = record.u32();
        record.position += 20;
        this.replies.push({
          xid,
          results: Buffer.from(record.bytes.subarray(record.position, record.end)).toString(),
        });
      }
    });
    cleanUp.push(() => this.socket.destroy());
  }
}

/** A call as one record of the given fragments (fragment sizes of the message; default: one). */
export function callRecord(
  xid: number,
  payload: string | Buffer = '',
  fragmentSize = Number.POSITIVE_INFINITY,
  procedure: number = nfsproc3.GETATTR,
): Buffer {
  const body = Buffer.from(payload);
  const padded = Buffer.alloc((body.length + 3) & ~3);
  body.copy(padded);
  const message = Buffer.alloc(44 + padded.length);
  const words = [xid, 0, 2, 100003, 3, procedure, 0, 0, 0, 0, body.length];
  for (const [i, word] of words.entries()) message.writeUInt32BE(word, i * 4);
  padded.copy(message, 44);
  const parts: Buffer[] = [];
  for (let at = 0; at < message.length; at += fragmentSize) {
    const fragment = message.subarray(at, Math.min(at + fragmentSize, message.length));
    const mark = Buffer.alloc(4);
    mark.writeUInt32BE(((at + fragment.length === message.length ? 0x8000_0000 : 0) + fragment.length) >>> 0);
    parts.push(mark, fragment);
  }
  return Buffer.concat(parts);
}

export function messageOf(record: Buffer): Buffer {
  return record.subarray(4);
}
