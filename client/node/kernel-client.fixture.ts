/**
 * A client for tests that connects as the Linux kernel's NFS client does: from one source port, again at once after a reset, and
 * three seconds after a refusal. It writes one line after the other, each acknowledged before the next.
 */
import { connect, type Socket } from 'node:net';
import { FILE_SYNC, NFS3_OK, type Nfs3Calls, SATTR3_NOTHING, UNCHECKED } from '../../protocol/nfs3.ts';
import { beginRecord, endRecord, RecordParser } from '../../protocol/record.ts';
import { decodeReplyHeader, encodeCallHeader, peekXid, ReplyHeader } from '../../protocol/rpc.ts';
import { type XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import { credentialOf } from '../identity.ts';
import { MOUNT_MNT, NFS3 } from '../procedures.ts';
import type { Procedure } from '../rpc-client.ts';

/** After a refusal (measured with Linux 6.12: 3.0 to 3.1 s). Ms. */
const REFUSED_MS = 3000;
/** After a reset. Ms. */
const RECONNECT_MS = 2;
const RECORD_SIZE_MAX = 1024 * 1024;
export const LINE_SIZE = 16;

export interface Ack {
  readonly number: number;
  readonly atMs: number;
}

export interface ConnectOutcome {
  readonly atMs: number;
  readonly outcome: string;
}

export class KernelLikeClient {
  readonly acks: Ack[] = [];
  /** Errors that an application would see; there must be none. */
  readonly errors: string[] = [];
  /** Connections that were opened or failed, and their ends. */
  readonly connections: ConnectOutcome[] = [];
  readonly #address: string;
  readonly #port: number;
  #localPort: number;
  #socket: Socket | null = null;
  #xid = Math.floor(Math.random() * 2 ** 31);
  #pending: { readonly record: Uint8Array; readonly answered: (reply: XdrReader) => void } | null = null;
  #stopped = false;
  readonly #credential = credentialOf({ uid: 0, gid: 0, gids: [] });

  constructor(address: string, port: number, localPort: number) {
    this.#address = address;
    this.#port = port;
    this.#localPort = localPort;
    this.#connect();
  }

  /** Writes numbered lines into a new file until stop(); resolves after the last one is acknowledged. */
  async write(exportPath: string, name: string): Promise<void> {
    const mounted = await this.#call(MOUNT_MNT, Buffer.from(exportPath));
    if (mounted.status !== 0) throw new Error(`MNT ${exportPath}: ${mounted.status}`);
    const where = { dir: mounted.fhandle.slice(), name: Buffer.from(name) };
    const how = { mode: UNCHECKED, obj_attributes: { ...SATTR3_NOTHING, mode: 0o644 } } as const;
    const created = await this.#nfs('CREATE', { where, how });
    if (created.status !== NFS3_OK || created.obj === null) throw new Error(`CREATE: ${created.status}`);
    const file = created.obj.slice();
    for (let number = 1; !this.#stopped; number++) {
      const data = Buffer.from(`${String(number).padStart(LINE_SIZE - 1, '0')}\n`);
      const offset = (number - 1) * LINE_SIZE;
      const written = await this.#nfs('WRITE', { file, offset, count: LINE_SIZE, stable: FILE_SYNC, data });
      if (written.status !== NFS3_OK) this.errors.push(`WRITE ${number}: ${written.status}`);
      else this.acks.push({ number, atMs: performance.now() });
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  close(): void {
    this.#stopped = true;
    this.#socket?.destroy();
    this.#socket = null;
  }

  /** As mount.nfs does at first: it connects, closes, and connects again. */
  reconnect(): void {
    this.#socket?.end();
  }

  #nfs<Name extends 'CREATE' | 'WRITE'>(
    name: Name,
    args: Nfs3Calls[Name]['args'],
  ): Promise<Nfs3Calls[Name]['res']> {
    return this.#call(NFS3[name] as Procedure<unknown, Nfs3Calls[Name]['res']>, args);
  }

  #call<Args, Res>(procedure: Procedure<Args, Res>, args: Args): Promise<Res> {
    this.#xid = (this.#xid + 1) >>> 0;
    const w = new XdrWriter(1024);
    const mark = beginRecord(w);
    const { program, version, procedure: number } = procedure;
    encodeCallHeader(w, this.#xid, program, version, number, this.#credential);
    procedure.encodeArgs(w, args);
    // Of a multiple of four bytes here.
    const payload = procedure.payloadOf?.(args) ?? new Uint8Array(0);
    endRecord(w, mark, payload.length);
    const record = Buffer.concat([w.written(), payload]);
    return new Promise<Res>((resolve) => {
      this.#pending = { record, answered: (reply) => resolve(procedure.decodeRes(reply)) };
      if (this.#socket?.readyState === 'open') this.#socket.write(record);
    });
  }

  #connect(): void {
    const socket = connect({
      host: this.#address,
      port: this.#port,
      localPort: this.#localPort,
      noDelay: true,
    });
    this.#socket = socket;
    const parser = new RecordParser(RECORD_SIZE_MAX);
    let opened = false;
    let failure = 'closed by the server';
    socket.on('connect', () => {
      opened = true;
      this.#note('connected');
      if (this.#pending !== null) socket.write(this.#pending.record);
    });
    socket.on('data', (chunk) => {
      parser.push(chunk);
      while (parser.next()) this.#receive(parser.record);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      failure = error.code ?? error.message;
    });
    socket.on('close', () => {
      if (this.#socket !== socket) return;
      this.#note(failure);
      if (failure === 'EADDRNOTAVAIL' || failure === 'EADDRINUSE') this.#localPort -= 1;
      const delayMs = !opened && failure === 'ECONNREFUSED' ? REFUSED_MS : RECONNECT_MS;
      setTimeout(() => this.#socket === socket && this.#connect(), delayMs);
    });
  }

  #receive(record: XdrReader): void {
    const pending = this.#pending;
    if (pending === null || peekXid(record) !== this.#xid) return;
    this.#pending = null;
    const header = new ReplyHeader();
    decodeReplyHeader(record, header);
    if (header.kind !== 'success') this.errors.push(`reply: ${header.kind}`);
    else pending.answered(record);
  }

  #note(outcome: string): void {
    this.connections.push({ atMs: performance.now(), outcome });
  }
}
