/** One client in a relay thread: its calls to the servers, their replies to it, and its end. */

import type { NativeBuffer } from '../../../native/native-buffer.ts';
import { NFS_PROGRAM, NFS_V3 } from '../../../protocol/nfs3.ts';
import { XdrReader } from '../../../protocol/xdr.ts';
import type { AttemptsInput, AttemptsState } from '../../attempts-state.ts';
import type { ConnectionEvent } from '../../connection-event.ts';
import { OwnCalls } from '../../own-calls.ts';
import { isRefused, suspect } from '../../refused-call.ts';
import type { ReservedPorts } from '../../reserved-ports.ts';
import type { ServingPlace } from '../../serving-port/serving-port.ts';
import { SilenceWatch } from '../../silence-watch.ts';
import { CALL_COST, type CallMemory, type MemoryUser } from '../call-memory.ts';
import type { CallTimes } from '../proxy-figures.ts';
import { type CallSlabs, Slab } from './call-slabs.ts';
import { CallStream } from './call-stream.ts';
import { KeptCall, KeptCalls, NO_ROOM } from './kept-calls.ts';
import { FIGURES, type FromRelayThread, figure } from './messages.ts';
import type { Pipes } from './pipes.ts';
import type { Ready } from './poller.ts';
import { ReplyStream } from './reply-stream.ts';
import { close, EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP, errorName } from './system-calls.ts';
import { Upstream, type UpstreamConnection, type UpstreamSurroundings } from './upstream.ts';

/** Objects that all clients of a thread share. */
export interface RelaySurroundings extends UpstreamSurroundings {
  readonly slabs: CallSlabs;
  readonly pipes: Pipes;
  /** Memory from replyMemory(). */
  readonly scratch: NativeBuffer;
  readonly memory: CallMemory;
  readonly clientIdentity: Uint8Array;
  readonly figures: Float64Array;
  readonly callTimes: CallTimes;
  readonly post: (message: FromRelayThread) => void;
}

const GONE = EPOLLERR | EPOLLHUP | EPOLLRDHUP;

export class RelayedClient implements Ready, MemoryUser {
  readonly id: number;
  readonly clientFd: number;
  readonly counts = { calls: 0, replies: 0, repeated: 0 };
  /** Bytes of memory that its unanswered calls take. */
  heldSize = 0;
  readonly #surroundings: RelaySurroundings;
  readonly #slot: number;
  readonly #calls: KeptCalls;
  readonly #stream: CallStream;
  readonly #replies: ReplyStream;
  readonly #upstream: Upstream;
  readonly #own: OwnCalls;
  readonly #silence: SilenceWatch;
  /** Bytes that had been sent when the count was looked at last. */
  #sentSize = 0;
  readonly #reader = new XdrReader();
  readonly #onEnd: (client: RelayedClient, reason: string) => void;
  #clientEvents = 0;
  #serverEvents = 0;
  #readingPaused = false;
  #noRoom = false;
  /** Answered calls of the present connection. */
  #answeredCount = 0;
  /** The finder knows that the present connection is of use. */
  #worked = false;
  /** Calls that were answered in the present turn. */
  #progress = false;
  /** Start of the present doubt or search. */
  #troubledSinceMs: number;
  #ended = false;

  constructor(
    id: number,
    fd: number,
    slot: number,
    ports: ReservedPorts | null,
    surroundings: RelaySurroundings,
    onEnd: (client: RelayedClient, reason: string) => void,
  ) {
    this.id = id;
    this.clientFd = fd;
    this.#slot = slot * FIGURES;
    this.#surroundings = surroundings;
    this.#onEnd = onEnd;
    const { slabs, scratch, pipes, poller, memory, clientIdentity } = surroundings;
    this.#troubledSinceMs = poller.now;
    this.#calls = new KeptCalls(slabs, poller);
    this.#stream = new CallStream(slabs, this.#calls, this.counts, scratch);
    this.#replies = new ReplyStream(this, pipes, scratch);
    this.#own = new OwnCalls(clientIdentity, (xid) => this.#calls.get(xid | 0) !== undefined);
    this.#upstream = new Upstream(surroundings, ports, {
      onAdopted: (connection, fruitless) => this.#adopted(connection, fruitless),
      onDetached: (connection, reason) => this.#detached(connection, reason),
      onRefused: () => surroundings.post({ kind: 'Refused' }),
      onAskAdopted: () => this.#askAdopted(),
      onReady: (events) => this.#serverReady(events),
      onStep: (before, input) => this.#report(before, input),
    });
    this.#silence = new SilenceWatch(poller, this.#calls, {
      plan: () => (this.#upstream.adopted === null ? null : this.#upstream.state),
      hasSent: () => this.#hasSent(),
      onSilent: () => {
        this.#upstream.input({ kind: 'Silent' });
        surroundings.post({ kind: 'Doubt' });
      },
      onSent: () => this.#upstream.input({ kind: 'Sent' }),
      onStuck: (stuckMs, now) => {
        this.#calls.narrow(now);
        this.#upstream.break(`the server left a call unanswered for ${stuckMs / 1000} s`);
      },
    });
    memory.add(this);
    this.#clientEvents = EPOLLIN | EPOLLRDHUP;
    poller.add(fd, this.#clientEvents, this);
    this.#show();
  }

  move(place: ServingPlace | null): void {
    if (!this.#ended) this.#upstream.move(place);
  }

  moveCalls(): void {
    this.#calls.move();
  }

  /** There is room for calls again. */
  resume(): void {
    if (!this.#readingPaused || this.#ended) return;
    this.#readingPaused = false;
    this.#watch();
    this.#surroundings.post({ kind: 'Unread', id: this.id, unread: false });
  }

  onReady(events: number): void {
    // TCP cannot tell a client that is gone from one that only has no more to say. No NFS client waits for replies
    // after its FIN; but one that came back on a new connection would suffer from an old WRITE resent here.
    if ((events & GONE) !== 0) {
      this.end('the client closed the connection');
      return;
    }
    if ((events & EPOLLOUT) !== 0) this.#drain();
    if ((events & EPOLLIN) !== 0 && !this.#ended && !this.#readingPaused) this.#receiveCalls();
  }

  end(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    const { poller, memory } = this.#surroundings;
    this.#silence.stop();
    memory.remove(this);
    this.#upstream.close();
    this.#stream.close();
    this.#replies.close();
    this.#calls.clear();
    poller.remove(this.clientFd);
    close(this.clientFd);
    this.#show();
    this.#onEnd(this, reason);
  }

  // For the reply stream.

  callOf(key: number): KeptCall | null | string {
    const xid = key >>> 0;
    if (this.#own.isAnswer(xid) || this.#own.isGreeted(xid)) return null;
    const call = this.#calls.get(key);
    // Not unanswered: a server that says it twice.
    if (call === undefined) return null;
    return this.#calls.isSent(call) ? call : 'the server answered a call that it had not been sent';
  }

  answered(call: KeptCall, bytes: Uint8Array | null, start: number, end: number): void {
    const { identity, poller, post, callTimes } = this.#surroundings;
    const { now } = poller;
    if (bytes !== null && identity.isWanted(now)) {
      this.#reader.reset(bytes, start, end);
      identity.learn(call.head(), this.#reader, now);
      if (!identity.isWanted(now)) post({ kind: 'Learned', known: identity.knowledge });
    }
    this.#calls.take(call, now);
    callTimes.answered(now - call.begunAtMs);
    this.counts.replies += 1;
    this.#answeredCount += 1;
    this.#progress = true;
  }

  clientIsFull(): void {
    this.#silence.pause();
    if (this.#upstream.state.mode === 'suspect') this.#upstream.input({ kind: 'Heard', progress: false });
    this.#watch();
  }

  clientFailed(reason: string): void {
    this.end(reason);
  }

  #receiveCalls(): void {
    const { memory, post } = this.#surroundings;
    const { count } = this.#calls;
    const why = this.#stream.receive(this.clientFd);
    if (why !== null) {
      this.end(why);
      return;
    }
    this.#surroundings.figures[this.#slot + figure.calledAtMs] = this.#surroundings.poller.now;
    if (this.#upstream.adopted === null && this.#calls.count > count)
      this.#upstream.input({ kind: 'Wanted' });
    this.#send();
    if (this.#ended) return;
    this.#hold();
    if (!this.#stream.isInLongCall && memory.isFull(this)) {
      this.#readingPaused = true;
      memory.waitForRoom(this);
      this.#watch();
      post({ kind: 'Unread', id: this.id, unread: true });
    }
    this.#show();
  }

  #serverReady(events: number): void {
    const connection = this.#upstream.adopted!;
    if ((events & EPOLLOUT) !== 0) this.#send();
    if (this.#ended || this.#upstream.adopted !== connection || (events & ~EPOLLOUT) === 0) return;
    if (this.#replies.isBlocked) {
      // Not read, so it is the end: the replies that are in it come again.
      this.#upstream.end(connection, 'ECONNRESET');
      return;
    }
    this.#silence.heard();
    this.#progress = false;
    const why = this.#replies.receive(connection.fd);
    if (this.#ended) return;
    if (why !== null) {
      this.#upstream.end(connection, why);
      return;
    }
    this.#heard(this.#progress);
    if (this.#progress) {
      if (!this.#worked) this.#surroundings.post({ kind: 'Worked', place: connection.place });
      this.#worked = true;
      this.#upstream.suspicion = null;
      if (this.#calls.count === 0) this.#silence.relax();
      this.#hold();
    }
    if (this.#calls.isBehind && this.#upstream.adopted === connection) this.#send();
    this.#show();
  }

  #send(): void {
    const connection = this.#upstream.adopted;
    if (connection === null) return;
    const result = this.#calls.sendSome(connection.fd, this.#surroundings.poller.now);
    if (result < 0) {
      this.#upstream.end(connection, errorName(result));
      return;
    }
    const noRoom = result === NO_ROOM;
    if (noRoom !== this.#noRoom) {
      this.#noRoom = noRoom;
      this.#watch();
    }
    this.#silence.watch();
  }

  #hasSent(): boolean {
    const before = this.#sentSize;
    this.#sentSize = this.#calls.sentSize;
    return this.#sentSize !== before;
  }

  #drain(): void {
    if (!this.#replies.drain() || this.#ended) return;
    this.#silence.resume();
    this.#watch();
  }

  /** Which events are of interest now. */
  #watch(): void {
    if (this.#ended) return;
    const { poller } = this.#surroundings;
    const { isBlocked } = this.#replies;
    const clientEvents = EPOLLRDHUP | (this.#readingPaused ? 0 : EPOLLIN) | (isBlocked ? EPOLLOUT : 0);
    if (clientEvents !== this.#clientEvents) poller.change(this.clientFd, clientEvents);
    this.#clientEvents = clientEvents;
    const connection = this.#upstream.adopted;
    if (connection === null) return;
    const serverEvents = (isBlocked ? 0 : EPOLLIN) | (this.#noRoom ? EPOLLOUT : 0);
    if (serverEvents !== this.#serverEvents) poller.change(connection.fd, serverEvents);
    this.#serverEvents = serverEvents;
  }

  #adopted(connection: UpstreamConnection, fruitless: boolean): void {
    const { now } = this.#surroundings.poller;
    const { attemptCount } = this.#upstream;
    if (fruitless) this.#calls.narrow(now);
    this.#answeredCount = 0;
    this.#worked = false;
    this.#noRoom = false;
    this.#serverEvents = EPOLLIN;
    this.#calls.restart(this.#own.greeting().map(ownCall), this.#replies.interruptedCall);
    this.#sentSize = this.#calls.sentSize;
    this.#silence.heard();
    this.#watch();
    const { count } = this.#calls;
    this.#send();
    const { role: port } = connection.place;
    const afterMs = now - this.#troubledSinceMs;
    const { target } = connection;
    this.#emit({ kind: 'Adopted', atMs: now, port, target, afterMs, attempts: attemptCount, resent: count });
  }

  #detached(connection: UpstreamConnection, reason: string | null): void {
    const { poller, post } = this.#surroundings;
    const { now: atMs } = poller;
    if (this.#upstream.state.mode === 'serving') this.#troubledSinceMs = atMs;
    const refused = reason !== null && this.#isRefused();
    this.#calls.detach();
    this.#own.clear();
    this.#replies.detach();
    if (reason === null) return;
    const { role: port } = connection.place;
    this.#emit({ kind: 'Lost', atMs, port, target: connection.target, reason });
    if (refused) this.end('the server closes the connection instead of an answer');
    else post({ kind: 'Doubt' });
  }

  /** Has the connection ended, again and again, because of the one call that was on it? */
  #isRefused(): boolean {
    const { lone } = this.#calls;
    if (this.#answeredCount > 0 || lone === null) return false;
    const upstream = this.#upstream;
    upstream.suspicion = suspect(
      upstream.suspicion,
      lone.key >>> 0,
      'primary',
      this.#surroundings.poller.now,
    );
    return isRefused(upstream.suspicion);
  }

  #askAdopted(): void {
    this.#calls.addOwn([ownCall(this.#own.ask(NFS_PROGRAM, NFS_V3))]);
    this.#send();
  }

  #heard(progress: boolean): void {
    // The plan has to know only when it changes something: not for each of thousands of replies a second.
    const { state, plan } = this.#upstream;
    const changed =
      state.fruitless > 0 ||
      state.patienceMs !== plan.patienceMs ||
      state.samePortPatienceMs !== plan.samePortPatienceMs;
    if (state.mode === 'suspect' || (progress && changed)) this.#upstream.input({ kind: 'Heard', progress });
  }

  #report(before: AttemptsState, input: AttemptsInput): void {
    const { state, adopted } = this.#upstream;
    const { now: atMs } = this.#surroundings.poller;
    if (before.mode === 'serving' && state.mode === 'suspect' && adopted !== null) {
      this.#troubledSinceMs = atMs;
      const { role: port } = adopted.place;
      this.#emit({ kind: 'Doubted', atMs, port, target: adopted.target });
    } else if (before.mode === 'suspect' && input.kind === 'Heard') {
      this.#upstream.attemptCount = 0;
      this.#emit({ kind: 'Reassured', atMs, afterMs: atMs - before.sinceMs });
    }
  }

  #emit(event: ConnectionEvent): void {
    this.#surroundings.post({ kind: 'Event', id: this.id, event });
  }

  #hold(): void {
    const held = this.#calls.size + this.#calls.count * CALL_COST;
    const change = held - this.heldSize;
    if (change === 0) return;
    this.heldSize = held;
    this.#surroundings.memory.changed(change);
  }

  #show(): void {
    const { figures } = this.#surroundings;
    const at = this.#slot;
    figures[at + figure.count] = this.#calls.count;
    figures[at + figure.size] = this.#calls.size;
    figures[at + figure.sinceMs] = this.#calls.oldest?.begunAtMs ?? 0;
    figures[at + figure.calls] = this.counts.calls;
    figures[at + figure.replies] = this.counts.replies;
    figures[at + figure.repeated] = this.counts.repeated;
  }
}

/** Its memory is its own. */
function ownCall(record: Uint8Array): KeptCall {
  const slab = new Slab(record.length);
  slab.bytes.set(record);
  return new KeptCall(0, record.length, slab, 0, record.length, null, false, true);
}
