/** One call after the other, for setting the stage: mounting, creating files. No hot path. */

import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { beginRecord, endRecord, RecordParser } from '../../protocol/record.ts';
import type { opaque_auth } from '../../protocol/rpc.ts';
import { decodeReplyHeader, encodeCallHeader, ReplyHeader } from '../../protocol/rpc.ts';
import type { XdrReader } from '../../protocol/xdr.ts';
import { XdrWriter } from '../../protocol/xdr.ts';

const REPLY_SIZE_MAX = 2 * 1024 * 1024;

export class CallConnection {
  readonly #socket: Socket;
  readonly #credential: opaque_auth;
  readonly #parser = new RecordParser(REPLY_SIZE_MAX);
  #waiting: PromiseWithResolvers<XdrReader> | null = null;
  #xid = 1;

  private constructor(socket: Socket, credential: opaque_auth) {
    this.#socket = socket;
    this.#credential = credential;
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', (error) => this.#waiting?.reject(error));
    socket.on('close', () => this.#waiting?.reject(new Error('the server closed the connection')));
  }

  static async open(host: string, port: number, credential: opaque_auth): Promise<CallConnection> {
    const socket = connect({ host, port, noDelay: true });
    await once(socket, 'connect');
    return new CallConnection(socket, credential);
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Errors: refused by RPC, no decodable reply, connection lost. The result's status is the caller's business. */
  async call<Args, Res>(
    program: number,
    version: number,
    procedure: number,
    encode: (w: XdrWriter, args: Args) => void,
    args: Args,
    decode: (r: XdrReader) => Res,
  ): Promise<Res> {
    const w = new XdrWriter();
    const record = beginRecord(w);
    this.#xid += 1;
    encodeCallHeader(w, this.#xid, program, version, procedure, this.#credential);
    encode(w, args);
    endRecord(w, record);
    this.#waiting = Promise.withResolvers<XdrReader>();
    this.#socket.write(w.written());
    const r = await this.#waiting.promise;
    this.#waiting = null;
    const header = new ReplyHeader();
    decodeReplyHeader(r, header);
    if (header.kind !== 'success' || header.xid !== this.#xid)
      throw new Error(`the call failed: ${header.kind}`);
    return decode(r);
  }

  #receive(chunk: Uint8Array): void {
    try {
      this.#parser.push(chunk);
      while (this.#parser.next()) {
        this.#parser.keep();
        this.#waiting?.resolve(this.#parser.record);
      }
    } catch (error) {
      this.#waiting?.reject(error as Error);
    }
  }
}
