/** A client for tests, on protocol/ alone: one connection, any number of calls at once, any XID and credential. */
import { connect, type Socket } from 'node:net';
import { NFS_PROGRAM, NFS_V3, type Nfs3Calls, type Nfs3Name, nfs3Procedures } from '../../protocol/nfs3.ts';
import { beginRecord, endRecord, RecordParser } from '../../protocol/record.ts';
import {
  authSysCredential,
  decodeReplyHeader,
  encodeCallHeader,
  type opaque_auth,
  ReplyHeader,
} from '../../protocol/rpc.ts';
import { XdrReader, XdrWriter } from '../../protocol/xdr.ts';

export interface RawReply {
  readonly header: ReplyHeader;
  /** At the results. */
  readonly r: XdrReader;
}

export interface CallOptions {
  readonly xid?: number;
  readonly credential?: opaque_auth;
}

export function userCredential(uid: number, gid: number, gids: number[] = [], machine = 'test'): opaque_auth {
  const machinename = new TextEncoder().encode(machine);
  return authSysCredential({ stamp: 1, machinename, uid, gid, gids }, new XdrWriter());
}
export const ROOT = userCredential(0, 0);

export class RpcClient {
  readonly socket: Socket;
  readonly #waiting: Map<number, { resolve: (reply: RawReply) => void; reject: (error: Error) => void }>;
  #nextXid: number;
  readonly closed: Promise<void>;

  private constructor(socket: Socket) {
    this.socket = socket;
    this.#waiting = new Map();
    this.#nextXid = Math.floor(Math.random() * 0x7fffffff);
    const parser = new RecordParser(4 * 1024 * 1024);
    socket.on('data', (chunk: Buffer) => {
      parser.push(chunk);
      while (parser.next()) this.#reply(parser.record);
    });
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        for (const { reject } of this.#waiting.values()) reject(new Error('connection closed'));
        this.#waiting.clear();
        resolve();
      });
    });
  }

  /** localPort: 0 lets the kernel choose. localAddress: where the client comes from. */
  static connect(port: number, host = '127.0.0.1', localPort = 0, localAddress?: string): Promise<RpcClient> {
    return new Promise((resolve, reject) => {
      const from = localAddress === undefined ? {} : { localAddress };
      const socket = connect({ port, host, localPort, ...from, noDelay: true });
      socket.once('connect', () => resolve(new RpcClient(socket)));
      socket.once('error', reject);
    });
  }

  #reply(record: XdrReader): void {
    const r = new XdrReader(record.bytes.slice(record.position, record.end));
    const header = new ReplyHeader();
    decodeReplyHeader(r, header);
    const waiter = this.#waiting.get(header.xid);
    this.#waiting.delete(header.xid);
    waiter?.resolve({ header, r });
  }

  /** Any program, any arguments. */
  raw(
    prog: number,
    vers: number,
    proc: number,
    args: (w: XdrWriter) => void,
    options: CallOptions = {},
  ): Promise<RawReply> {
    const xid = options.xid ?? this.#nextXid++ >>> 0;
    const w = new XdrWriter();
    const start = beginRecord(w);
    encodeCallHeader(w, xid, prog, vers, proc, options.credential ?? ROOT);
    args(w);
    endRecord(w, start);
    return this.exchange(xid, w.bytes.slice(0, w.position));
  }

  /** Sends bytes as they are, for which a reply with this XID is expected. */
  exchange(xid: number, data: Uint8Array): Promise<RawReply> {
    return new Promise((resolve, reject) => {
      if (this.socket.destroyed) {
        reject(new Error('connection closed'));
        return;
      }
      this.#waiting.set(xid, { resolve, reject });
      this.socket.write(data);
    });
  }

  /** A call of NFS. Throws if the answer is not an accepted success. */
  async call<Name extends Nfs3Name>(
    name: Name,
    args: Nfs3Calls[Name]['args'],
    options: CallOptions = {},
  ): Promise<Nfs3Calls[Name]['res']> {
    const procedure = nfs3Procedures[name];
    const encode = (w: XdrWriter): void => procedure.args.encode(w, args);
    const { header, r } = await this.raw(NFS_PROGRAM, NFS_V3, procedure.proc, encode, options);
    if (header.kind !== 'success') throw new Error(`${name}: ${header.kind} ${header.acceptStat}`);
    const result = procedure.res.decode(r);
    r.expectEnd();
    return result;
  }

  close(): void {
    this.socket.destroy();
  }
}
