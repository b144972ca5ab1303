/**
 * Keeps one outgoing connection to the partner up: connects, proves who it is, and begins anew 20-200 ms after every
 * end. What it says about failures is said once a minute for each cause.
 */
import { connect, type LookupFunction, type Socket } from 'node:net';
import type { InterconnectIdentity } from '../../protocol/interconnect.ts';
import { type Log, OncePerMinute } from '../log.ts';
import { rememberingLookup } from './address.ts';
import {
  authenticate,
  type ConnectionEvents,
  type ConnectionTiming,
  InterconnectConnection,
} from './connection.ts';

/**
 * Ms until a connection request counts as lost. A request to an address behind which nobody is (a Service without
 * endpoints) is often swallowed, and TCP itself would ask again only after 1 s.
 */
const CONNECT_MS = 300;
const RETRY_MS_MIN = 20;
const RETRY_MS_MAX = 200;
/** After a refusal on purpose (wrong secret, wrong pair) haste is useless. */
const RETRY_MS_REFUSED = 1000;

export interface DialerOptions {
  readonly host: string;
  readonly port: number;
  readonly secret: Uint8Array;
  readonly identity: InterconnectIdentity;
  /** Name of the server that must answer. */
  readonly partner: string;
  readonly timing: ConnectionTiming;
  readonly events: ConnectionEvents;
  readonly established: (connection: InterconnectConnection) => void;
  readonly log: Log;
}

export class Dialer {
  private readonly options: DialerOptions;
  private readonly lookup: LookupFunction = rememberingLookup();
  private readonly seldom = new OncePerMinute(() => performance.now());
  private current: InterconnectConnection | null = null;
  private dialing: Socket | null = null;
  private timer: NodeJS.Timeout | null = null;
  private retryMs = RETRY_MS_MIN;
  private stopped = false;

  constructor(options: DialerOptions) {
    this.options = options;
  }

  /** The connection that stands; null while there is none. */
  get connection(): InterconnectConnection | null {
    return this.current;
  }

  start(): void {
    void this.dial();
  }

  /** No more attempts. The connection that stands is left to the caller. */
  stop(): void {
    this.stopped = true;
    if (this.timer !== null) clearTimeout(this.timer);
    this.dialing?.destroy();
  }

  private async dial(): Promise<void> {
    const { host, port, secret, identity, partner, timing, events, established } = this.options;
    try {
      const socket = await this.connect(host, port);
      const proved = await authenticate(socket, 'dialer', secret, identity);
      if (this.stopped) return void socket.destroy();
      if (proved.peer.server !== partner || proved.peer.role !== 'server') {
        socket.destroy();
        throw new Refusal(`${proved.peer.server} (${proved.peer.role}) answers there instead of ${partner}`);
      }
      this.dialing = null;
      this.retryMs = RETRY_MS_MIN;
      const connection = new InterconnectConnection(socket, proved, timing, {
        message: events.message,
        closed: (reason, closed) => {
          this.current = null;
          events.closed(reason, closed);
          this.again(RETRY_MS_MIN);
        },
      });
      this.current = connection;
      established(connection);
      connection.start();
      socket.resume();
    } catch (error) {
      this.failed(error as Error);
    }
  }

  private connect(host: string, port: number): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port, lookup: this.lookup, noDelay: true, autoSelectFamily: false });
      this.dialing = socket;
      let settled = false;
      const fail = (error: Error): void => {
        if (settled) return;
        settled = true;
        clearTimeout(timer);
        socket.removeAllListeners().on('error', () => {});
        socket.destroy();
        reject(error);
      };
      // If this process itself was held up, the answer may wait unread: timers come before it, immediates after.
      const late = (): void => fail(new Error(`no answer within ${CONNECT_MS} ms`));
      const timer = setTimeout(() => setImmediate(late), CONNECT_MS);
      socket.once('error', fail);
      socket.once('close', () => fail(new Error('given up')));
      socket.once('connect', () => {
        settled = true;
        clearTimeout(timer);
        socket.removeAllListeners();
        resolve(socket);
      });
    });
  }

  private failed(error: Error): void {
    if (this.stopped) return;
    const { host, port, partner, log } = this.options;
    this.seldom.tell(error.message, (leftOut) => {
      const more = leftOut > 0 ? ` (${leftOut} more attempts ended so)` : '';
      log.info(`Cannot reach ${partner} at ${host}:${port}: ${error.message}${more}. Trying again.`);
    });
    const refused = error instanceof Refusal || error.message.includes("pair's secret");
    this.again(refused ? RETRY_MS_REFUSED : this.retryMs);
    this.retryMs = Math.min(RETRY_MS_MAX, this.retryMs * 2);
  }

  private again(ms: number): void {
    if (this.stopped) return;
    // Both servers dial at the same pace: a little chance keeps them from meeting for ever.
    this.timer = setTimeout(() => void this.dial(), ms * (0.75 + Math.random() / 2));
  }
}

/** Somebody answered who is not the partner. */
class Refusal extends Error {}
