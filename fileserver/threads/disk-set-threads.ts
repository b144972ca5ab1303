/** The threads that serve a disk set in one session: sends to all of a kind, and gathers what they reply. */
import { placeOf } from '../settings/thread-counts.ts';
import type { DataThreads } from './data-threads.ts';
import type { CloseMode } from './messages.ts';
import { type Reply, ReplyGathering } from './reply-gathering.ts';
import type { ToConnectionThread, ToVolumeThread, WithoutSession } from './thread-messages.ts';

export class DiskSetThreads {
  readonly session: number;
  readonly replies: ReplyGathering;
  readonly #threads: DataThreads;
  readonly #volumeThreads: readonly number[];
  /** None before attach(). */
  #connectionThreads: readonly number[];

  constructor(session: number, threads: DataThreads, volumeThreads: readonly number[]) {
    this.session = session;
    this.replies = new ReplyGathering();
    this.#threads = threads;
    this.#volumeThreads = volumeThreads;
    this.#connectionThreads = [];
  }

  get volumeThreadCount(): number {
    return this.#volumeThreads.length;
  }

  /** The thread that changes the disk set's volume of this index. */
  ofVolume(index: number): number {
    return this.#volumeThreads[placeOf(index, this.#volumeThreads.length)]!;
  }

  get areAttached(): boolean {
    return this.#connectionThreads.length > 0;
  }

  /** From now on connection threads take part. */
  attach(): void {
    this.#connectionThreads = this.#threads.connectionThreads;
  }

  toVolumeThread(thread: number, message: WithoutSession<ToVolumeThread>): void {
    this.#threads.toVolumeThread(thread, { ...message, session: this.session } as ToVolumeThread);
  }

  toVolumeThreads(message: WithoutSession<ToVolumeThread>): void {
    for (const thread of this.#volumeThreads) this.toVolumeThread(thread, message);
  }

  /** `except`: a thread that knows it. */
  toConnectionThreads(message: WithoutSession<ToConnectionThread>, except: number | null = null): void {
    for (const thread of this.#connectionThreads) {
      if (thread === except) continue;
      const said = { ...message, session: this.session } as ToConnectionThread;
      this.#threads.toConnectionThread(thread, said);
    }
  }

  /** Resolves with the replies of all volume threads. `messageTo`: for the thread of this index among them. */
  askEachVolumeThread(
    reply: Reply['kind'],
    messageTo: (index: number) => WithoutSession<ToVolumeThread>,
    change: number | null = null,
  ): Promise<Reply[]> {
    const replies = this.replies.gather(reply, this.#volumeThreads, change);
    this.#volumeThreads.forEach((thread, index) => {
      this.toVolumeThread(thread, messageTo(index));
    });
    return replies;
  }

  askVolumeThreads(
    reply: Reply['kind'],
    message: WithoutSession<ToVolumeThread>,
    change: number | null = null,
  ): Promise<Reply[]> {
    return this.askEachVolumeThread(reply, () => message, change);
  }

  askConnectionThreads(
    reply: Reply['kind'],
    message: WithoutSession<ToConnectionThread>,
    change: number | null = null,
  ): Promise<Reply[]> {
    const replies = this.replies.gather(reply, this.#connectionThreads, change);
    this.toConnectionThreads(message);
    return replies;
  }

  /** Resolves when every thread is closed, however long that takes. */
  close(mode: CloseMode): Promise<unknown> {
    // A quiescing that waits for `closed` has asked for it already: who has said it says nothing more.
    const everyThread = [...this.#volumeThreads, ...this.#connectionThreads];
    const closed = this.replies.awaited('closed') ?? this.replies.gather('closed', everyThread);
    this.toVolumeThreads({ kind: 'close', mode });
    this.toConnectionThreads({ kind: 'close', mode });
    return closed;
  }
}
