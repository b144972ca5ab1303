/**
 * The one finder of the serving port of a disk set, for everybody who connects to it. It follows the plan of attempts
 * (client/attempts.ts): names are resolved, both ports are tried, and the server proves that it serves the disk set.
 */
import { randomInt } from 'node:crypto';
import { NFS_PROGRAM, NFS_V3, nfsproc3 } from '../../protocol/nfs3.ts';
import { beginRecord, endRecord } from '../../protocol/record.ts';
import { AUTH_NONE_CREDENTIAL, encodeCallHeader } from '../../protocol/rpc.ts';
import { XdrWriter } from '../../protocol/xdr.ts';
import type { AttemptsOptions } from '../attempts-state.ts';
import type { ConnectionEvent } from '../connection-event.ts';
import type { DiskSetIdentity } from '../disk-set-identity.ts';
import { FailoverConnection } from '../failover-connection.ts';
import { tell } from '../listeners.ts';
import type { ReservedPorts } from '../reserved-ports.ts';
import type { Resolver } from '../resolver.ts';
import type { Endpoints, PortRole } from '../transport-address.ts';

// It holds one connection to the serving port, and sends no call by it but NULL. When that connection ends, the search begins at
// once. A server that is frozen ends no connection: those who have unanswered calls report it (doubt). No timer runs while the
// connection is open and nobody asks.

/** After a doubt was unfounded the next one waits for this time. A server that is only slow makes many of them. Ms. */
const DOUBT_INTERVAL_MS = 250;
/** Time from finding a place, to which others then fail to connect, to the next search. Ms. */
const RENEW_INTERVAL_MS = 50;

/** Where a disk set is served. */
export interface ServingPlace {
  readonly role: PortRole;
  /** An address, not a name. */
  readonly host: string;
  readonly port: number;
}

export interface ServingPortOptions {
  readonly endpoints: Endpoints;
  readonly resolver: Resolver;
  /** Knowledge of the disk set: its user mounts it, or learns it from answered calls. */
  readonly identity: DiskSetIdentity;
  /** Who this is to the servers (FailoverConnectionOptions). */
  readonly clientIdentity?: Uint8Array | undefined;
  readonly attempts?: Partial<AttemptsOptions> | undefined;
  /** Asked before each attempt: may another connection be opened? */
  readonly mayConnect?: (() => boolean) | undefined;
  /** Asked at each attempt: local ports to connect from; undefined: any. */
  readonly ports?: (() => ReservedPorts | undefined) | undefined;
  readonly onEvent?: ((event: ConnectionEvent) => void) | undefined;
  /** The server has answered what ask() asked it. */
  readonly onAnswer?: (() => void) | undefined;
}

/** `null`: no serving port is known now. */
export type PlaceListener = (place: ServingPlace | null) => void;

export class ServingPort {
  readonly #connection: FailoverConnection;
  readonly #onEvent: ((event: ConnectionEvent) => void) | undefined;
  readonly #listeners = new Set<PlaceListener>();
  #place: ServingPlace | null = null;
  #doubtedAtMs = Number.NEGATIVE_INFINITY;
  #doubtTimer: NodeJS.Timeout | null = null;
  #foundAtMs = 0;
  #renewTimer: NodeJS.Timeout | null = null;
  #closed = false;

  /** Begins to look at once. */
  constructor(options: ServingPortOptions) {
    const { ports, onEvent, onAnswer, ...rest } = options;
    this.#onEvent = onEvent;
    this.#connection = new FailoverConnection({
      ...rest,
      get ports() {
        return ports?.();
      },
      program: NFS_PROGRAM,
      version: NFS_V3,
      onReply: () => tell(onAnswer, undefined),
      onRefused: () => {},
      onEvent: (event) => this.#observe(event),
    });
    this.#connection.start();
  }

  get place(): ServingPlace | null {
    return this.#place;
  }

  /** Calls the listener at each change until the returned function is called. `place` is what holds now. */
  subscribe(listener: PlaceListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Somebody's connection to the place is silent with calls unanswered, or has ended: the server is asked at once whether it is
   * there, and both ports are searched until it answers.
   */
  doubt(): void {
    if (this.#closed || this.#doubtTimer !== null) return;
    const delayMs = this.#doubtedAtMs + DOUBT_INTERVAL_MS - performance.now();
    if (delayMs <= 0) {
      this.#connection.doubt();
      return;
    }
    this.#doubtTimer = setTimeout(() => {
      this.#doubtTimer = null;
      this.#connection.doubt();
    }, delayMs);
    this.#doubtTimer.unref();
  }

  /**
   * Somebody's new connection to the place was refused, or not answered as it should be. The place is searched anew: that the
   * connection of the finder is open proves nothing for others.
   */
  renew(): void {
    if (this.#closed || this.#renewTimer !== null || this.#place === null) return;
    const delayMs = Math.max(0, this.#foundAtMs + RENEW_INTERVAL_MS - performance.now());
    this.#renewTimer = setTimeout(() => {
      this.#renewTimer = null;
      this.#connection.renew();
    }, delayMs);
    this.#renewTimer.unref();
  }

  /** Somebody's call was answered at this place. Places that answer nothing are searched ever more slowly. */
  worked({ role, host, port }: ServingPlace): void {
    const place = this.#place;
    if (place !== null && role === place.role && host === place.host && port === place.port)
      this.#connection.worked();
  }

  /** Asks the server whether it is there (NULL). If it leaves that unanswered for `patienceMs`, it is doubted. */
  ask(): void {
    if (this.#closed || this.#connection.pendingCount > 0) return;
    const xid = randomInt(2 ** 32);
    const w = new XdrWriter(64);
    const mark = beginRecord(w);
    encodeCallHeader(w, xid, NFS_PROGRAM, NFS_V3, nfsproc3.NULL, AUTH_NONE_CREDENTIAL);
    endRecord(w, mark);
    this.#connection.send(xid, w.written());
  }

  /** True if no name has ever had an address, and the resolver says that none of them exists. */
  get isNameUnknown(): boolean {
    return this.#connection.isNameUnknown;
  }

  /** One sentence on why nothing is reached. */
  describeFailure(): string {
    return this.#connection.describeFailure();
  }

  close(): void {
    this.#closed = true;
    for (const timer of [this.#doubtTimer, this.#renewTimer]) if (timer !== null) clearTimeout(timer);
    this.#listeners.clear();
    this.#connection.close();
  }

  #observe(event: ConnectionEvent): void {
    tell(this.#onEvent, event);
    if (event.kind === 'Adopted') this.#found({ role: event.port, ...parseTarget(event.target) });
    else if (event.kind === 'Lost') this.#move(null);
    else if (event.kind === 'Reassured') this.#doubtedAtMs = event.atMs;
  }

  #found(place: ServingPlace): void {
    this.#foundAtMs = performance.now();
    const { role, host, port } = this.#place ?? {};
    // A new connection to the same place is the finder's own affair.
    if (place.role !== role || place.host !== host || place.port !== port) this.#move(place);
  }

  #move(place: ServingPlace | null): void {
    this.#place = place;
    for (const listener of [...this.#listeners]) tell(listener, place);
  }
}

/** `10.0.0.5:2049`, `[fd00::5]:2049`. */
function parseTarget(target: string): { host: string; port: number } {
  const colon = target.lastIndexOf(':');
  return { host: target.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: Number(target.slice(colon + 1)) };
}
