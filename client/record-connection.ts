/**
 * One TCP connection that carries RPC records: whole messages in and out. Knows nothing of calls, retries or failover; the
 * connection ends exactly once, and says why.
 */
import { connect, type Socket } from 'node:net';
import { RecordParser } from '../protocol/record.ts';
import { XdrError, type XdrReader } from '../protocol/xdr.ts';
import type { ReservedPorts } from './reserved-ports.ts';

/** A READ or READDIRPLUS reply is 1 MiB and a header; nothing sensible is longer than this. Bytes. */
export const RECORD_SIZE_MAX = 4 * 1024 * 1024;

const KEEP_ALIVE_MS = 10_000;

/** Connections of this process, also those that are not open yet. */
let connections = 0;

export function connectionCount(): number {
  return connections;
}

export interface RecordConnectionHandlers {
  readonly onOpen: (connection: RecordConnection) => void;
  /** Part of a message arrived, and no whole one. */
  readonly onBytes: () => void;
  /** A whole message, without record marks. Its bytes stay valid: nobody writes into them again. */
  readonly onRecord: (connection: RecordConnection, record: XdrReader) => void;
  /** Once, and not after abandon(). `reason` is a system error code (ECONNREFUSED) or a sentence. */
  readonly onEnd: (connection: RecordConnection, reason: string) => void;
}

export class RecordConnection {
  readonly id: number;
  readonly target: string;
  #socket: Socket;
  readonly #ports: ReservedPorts | null;
  /** Ports tried. */
  #tries = 0;
  readonly #parser: RecordParser;
  #handlers: RecordConnectionHandlers | null;
  #corked = false;
  #open = false;
  #queuedSize = 0;
  #ref = true;

  /** ports: null for any port of this machine. */
  constructor(
    id: number,
    host: string,
    port: number,
    handlers: RecordConnectionHandlers,
    ports: ReservedPorts | null = null,
  ) {
    this.id = id;
    this.target = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
    this.#handlers = handlers;
    this.#parser = new RecordParser(RECORD_SIZE_MAX);
    this.#ports = ports;
    connections += 1;
    this.#socket = this.#dial(host, port);
  }

  #dial(host: string, port: number): Socket {
    const localPort = this.#ports?.next(this.#tries) ?? 0;
    this.#tries += 1;
    const socket = connect({
      host,
      port,
      ...(localPort === 0 ? {} : { localPort }),
      // Else Node answers the server's FIN with one of its own, behind everything that is still queued here.
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    });
    if (!this.#ref) socket.unref();
    socket.on('connect', () => {
      this.#open = true;
      this.#handlers?.onOpen(this);
    });
    socket.on('data', (chunk: Uint8Array) => this.#receive(chunk));
    socket.on('end', () => this.#end('the server closed the connection'));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const again =
        localPort !== 0 && !this.#open && this.#handlers !== null && this.#ports?.failed(error.code);
      if (again === true) this.#socket = this.#dial(host, port);
      else this.#end(error.code ?? error.message);
    });
    socket.on('close', () => {
      if (this.#socket !== socket) return;
      connections -= 1;
      this.#end('the connection was closed');
    });
    return socket;
  }

  /** Sends the parts of a complete record, mark included; what one turn of the event loop sends goes out together. */
  send(parts: readonly Uint8Array[]): void {
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
      setImmediate(() => {
        this.#corked = false;
        this.#socket.uncork();
      });
    }
    for (const part of parts) {
      this.#queuedSize += part.length;
      this.#socket.write(part);
    }
  }

  /** Bytes given to send() so far. */
  get queued(): number {
    return this.#queuedSize;
  }

  /** How many of them the kernel has: those behind it are still read from where the sender keeps them. */
  get handedOver(): number {
    return this.#queuedSize - this.#socket.writableLength;
  }

  /** Bytes of the present write that the kernel has not taken yet. It takes them as the other side takes those before. */
  get unsentSize(): number {
    // Node's own count shrinks only with each complete write; libuv's with every byte. Socket.setTimeout() uses it too.
    const { _handle } = this.#socket as Socket & { readonly _handle?: { readonly writeQueueSize?: number } };
    return _handle?.writeQueueSize ?? this.#socket.writableLength;
  }

  /** Whether it keeps the process alive. */
  setRef(ref: boolean): void {
    this.#ref = ref;
    if (ref) this.#socket.ref();
    else this.#socket.unref();
  }

  /** Back-pressure: what arrives waits in the kernel until resume(). */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /**
   * Ends the connection with a reset, so that nothing still queued here reaches the server later: a call that is
   * about to be resent elsewhere must not also be delivered from the kernel's send buffer.
   */
  abandon(): void {
    this.#handlers = null;
    this.#reset();
  }

  #receive(chunk: Uint8Array): void {
    const parser = this.#parser;
    let whole = false;
    try {
      parser.push(chunk);
      while (this.#handlers !== null && parser.next()) {
        whole = true;
        parser.keep();
        this.#handlers.onRecord(this, parser.record);
      }
      if (!whole) this.#handlers?.onBytes();
    } catch (error) {
      if (!(error instanceof XdrError)) throw error;
      this.#end(`the server sent no valid RPC message: ${error.message}`);
    }
  }

  #end(reason: string): void {
    const handlers = this.#handlers;
    this.#handlers = null;
    // Also when the server hung up first: its calls are resent elsewhere, and it may read on.
    this.#reset();
    handlers?.onEnd(this, reason);
  }

  #reset(): void {
    if (this.#open && !this.#socket.destroyed) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }
}
