/** Finds who serves one disk set for a director, by the library's own search, and keeps asking whether that server answers. */
import { NFS_PROGRAM, NFS_V3 } from '../../protocol/nfs3.ts';
import type { ConnectionEvent } from '../connection-event.ts';
import { DiskSetIdentity } from '../disk-set-identity.ts';
import { credentialOf } from '../identity.ts';
import { mount } from '../mount.ts';
import { Operation } from '../operation.ts';
import { ReservedPorts } from '../reserved-ports.ts';
import type { Resolver } from '../resolver.ts';
import { RpcClient } from '../rpc-client.ts';
import { ServingPort } from '../serving-port/serving-port.ts';
import type { NfsUrl } from '../url.ts';
import { type DirectorInput, SILENCE_MS } from './director.ts';
import { canonicalAddress } from './netlink/address.ts';

/**
 * Interval of questions to a server that answers. Only silence needs them, and no partner takes over from a silent server within
 * two seconds: by then both ports are searched. The end of the connection tells of a server that ends. Each question costs some
 * 0.07 % of a core when asked every second. Ms.
 */
const ASK_INTERVAL_MS = 1000;
/** A search is short, and a client waits: attempts come faster than those of other clients. Ms. */
const SEARCH_INTERVAL_MS = 10;
/** The export is asked for again after a failure: without it other servers' disks could not be told from these. Ms. */
const MOUNT_AGAIN_MS = 5000;

export interface FinderEvents {
  readonly onInput: (input: DirectorInput) => void;
  /** For the log. */
  readonly onEvent: (event: ConnectionEvent) => void;
}

export class Finder {
  readonly #port: ServingPort;
  readonly #url: NfsUrl;
  readonly #resolver: Resolver;
  readonly #identity = new DiskSetIdentity();
  readonly #events: FinderEvents;
  readonly #stop = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #isAsking = false;
  #silence: NodeJS.Timeout | null = null;
  #mountTimer: NodeJS.Timeout | null = null;

  constructor(url: NfsUrl, resolver: Resolver, events: FinderEvents) {
    this.#url = url;
    this.#resolver = resolver;
    this.#events = events;
    this.#port = new ServingPort({
      endpoints: url.endpoints,
      resolver,
      identity: this.#identity,
      attempts: { intervalMs: SEARCH_INTERVAL_MS },
      onEvent: (event) => this.#heard(event),
      onAnswer: () => {
        this.#isAsking = false;
        events.onInput({ kind: 'Answered', sentAtMs: this.#askedAtMs });
      },
    });
    this.#port.subscribe((place) => {
      this.#endSilence();
      if (place === null) events.onInput({ kind: 'Lost' });
      else
        events.onInput({
          kind: 'Found',
          target: { address: canonicalAddress(place.host), port: place.port },
        });
    });
    void this.#mount();
    this.#timer = setInterval(() => this.ask(), ASK_INTERVAL_MS);
  }

  /** Asks the server now, without waiting for the next interval. One question at a time: its age counts. */
  ask(): void {
    if (this.#isAsking || this.#port.place === null) return;
    this.#isAsking = true;
    this.#askedAtMs = performance.now();
    this.#port.ask();
  }

  /** A server that holds other disks is told from the right one. */
  get isDiskSetKnown(): boolean {
    return this.#identity.isKnown;
  }

  /** One sentence on why nobody is found. */
  describeFailure(): string {
    return this.#port.describeFailure();
  }

  close(): void {
    this.#stop.abort();
    clearInterval(this.#timer);
    if (this.#mountTimer !== null) clearTimeout(this.#mountTimer);
    this.#endSilence();
    this.#port.close();
  }

  /** Learns a file handle of the disk set: with it a server at the other port can be asked whether it holds the set. */
  async #mount(): Promise<void> {
    const options = {
      endpoints: this.#url.endpoints,
      resolver: this.#resolver,
      program: NFS_PROGRAM,
      version: NFS_V3,
      credential: credentialOf({ uid: 0, gid: 0, gids: [] }),
      // Else an export with `ports: Reserved` gives no handle. NULL, which all else is, is answered at any port.
      ports: new ReservedPorts(() => {}),
    };
    const rpc = new RpcClient(options);
    try {
      const operation = new Operation({ syscall: 'mount' }, { signal: this.#stop.signal });
      const { root } = await mount(this.#url, rpc, options, operation);
      this.#identity.mounted(root, options.credential);
    } catch {
      if (this.#stop.signal.aborted) return;
      this.#mountTimer = setTimeout(() => void this.#mount(), MOUNT_AGAIN_MS);
    } finally {
      rpc.close();
    }
  }

  #heard(event: ConnectionEvent): void {
    const { onInput, onEvent } = this.#events;
    onEvent(event);
    switch (event.kind) {
      case 'Doubted':
        this.#silence ??= setTimeout(() => onInput({ kind: 'Silent' }), SILENCE_MS);
        break;
      case 'Reassured':
        this.#endSilence();
        onInput({ kind: 'Heard' });
        break;
      default:
        break;
    }
  }

  #endSilence(): void {
    if (this.#silence !== null) clearTimeout(this.#silence);
    this.#silence = null;
  }
}
