/**
 * A TCP peer for tests that speaks RPC records and does exactly what the test says: answers, keeps silent, answers half and hangs
 * up. Real sockets; only the server behind them is scripted, because no real server can be brought to stop at the seventeenth
 * byte.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { beginRecord, endRecord, RecordParser } from '../protocol/record.ts';
import { CallHeader, decodeCallHeader, encodeSuccessHeader } from '../protocol/rpc.ts';
import { SUCCESSION_PROGRAM, successionproc1 } from '../protocol/succession.ts';
import { XdrWriter } from '../protocol/xdr.ts';
import { freePorts } from '../testing/free-ports.ts';

export interface ScriptedCall {
  readonly xid: number;
  readonly program: number;
  readonly procedure: number;
  /** The whole message, without its record mark. */
  readonly message: Buffer;
  readonly socket: Socket;
}

export class ScriptedServer {
  readonly host: string;
  readonly port: number;
  /** All calls but NULL and announcements of connections, in the order of their arrival. */
  readonly calls: ScriptedCall[] = [];
  /** What to do with a call that is not NULL. */
  onCall: (call: ScriptedCall) => void = (call) => answer(call);
  onNull: (call: ScriptedCall) => void = (call) => answer(call);
  onAnnouncement: (call: ScriptedCall) => void = (call) => answer(call);
  /** Whether a file handle is one of this server's. The default: every handle is. */
  onHolds: (call: ScriptedCall) => void = (call) => answer(call, Buffer.alloc(4));
  /** What to do with raw bytes before they are parsed; true swallows them. */
  onBytes: ((socket: Socket, bytes: Uint8Array) => boolean) | null = null;
  /** Connections in the order in which they were accepted. */
  readonly accepted: Socket[] = [];
  readonly #sockets = new Set<Socket>();
  #server: Server | null = null;

  private constructor(host: string, port: number) {
    this.host = host;
    this.port = port;
  }

  /** A server on a free port, listening or not yet. */
  static async create(state: 'open' | 'closed', host = '127.0.0.1', port?: number): Promise<ScriptedServer> {
    const created = new ScriptedServer(host, port ?? (await freePorts(1))[0]!);
    if (state === 'open') await created.open();
    return created;
  }

  async open(): Promise<void> {
    const server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.port, this.host, resolve);
    });
  }

  /** Stops listening and resets every connection, as the death of a process does. */
  async shut(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    const closed = new Promise<unknown>((resolve) => (server ? server.close(resolve) : resolve(null)));
    for (const socket of this.#sockets) socket.resetAndDestroy();
    await closed;
  }

  /** Refuses new connections; those that are open stay. */
  refuse(): void {
    this.#server?.close();
    this.#server = null;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  #accept(socket: Socket): void {
    this.accepted.push(socket);
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    const parser = new RecordParser(8 * 1024 * 1024);
    const header = new CallHeader();
    socket.on('data', (chunk) => {
      if (this.onBytes?.(socket, chunk)) return;
      parser.push(chunk);
      while (parser.next()) {
        const { bytes, position, end } = parser.record;
        const message = Buffer.from(bytes.subarray(position, end));
        decodeCallHeader(parser.record, header);
        const call = { xid: header.xid, program: header.prog, procedure: header.proc, message, socket };
        if (call.program === SUCCESSION_PROGRAM && call.procedure === successionproc1.HOLDS)
          this.onHolds(call);
        else if (call.program === SUCCESSION_PROGRAM) this.onAnnouncement(call);
        else if (call.procedure === 0) this.onNull(call);
        else {
          this.calls.push(call);
          this.onCall(call);
        }
      }
    });
  }
}

/**
 * A loopback address that no other process uses. A server there keeps its port while it does not listen: no other test that looks for
 * a free port is given it, and answers in its place.
 */
export const ownLoopback = `127.${64 + ((process.pid >> 16) & 63)}.${(process.pid >> 8) & 255}.${process.pid & 255}`;

/** A successful reply with the given results as one record. */
export function replyRecord(xid: number, results: Uint8Array = new Uint8Array(0)): Buffer {
  const w = new XdrWriter();
  const mark = beginRecord(w);
  encodeSuccessHeader(w, xid);
  w.opaqueFixed(results);
  endRecord(w, mark);
  return Buffer.from(w.written());
}

export function answer(call: ScriptedCall, results?: Uint8Array): void {
  call.socket.write(replyRecord(call.xid, results));
}
