/** A data path whose disk sets have several volumes, each with a thread of its own, as fileserver/threads/ has them. */
import type { ServerName } from '../pair/incarnation.ts';
import {
  CUT_LOOK_MS,
  type DataPathHost,
  diskTime,
  GIVE_UP_MS,
  isTaken,
  type OpenDiskSet,
  ServedConnections,
  type SimulatedPath,
} from './data-path-host.ts';
import type { SimulatedVolume } from './volume.ts';

// The volumes of one disk set open, hang, fail and close each in its own time; what the driver is told is about all of them:
//
//   opened    each thread has written the ownership record of its volume
//   failed    one thread could not, and the others have stopped, or were waited for long enough
//   closed    no thread is left, however long a disk holds one of them
//
// Where machines are paused as a whole (`volumesLookedAt`), a thread looks at the ownership record before the first change of a
// group, behind each flush before anything is answered, and every half second (docs/safety-paused-machines.md).

/** Operations that a thread is asked to do. Of a `write` that is not stable nobody is told that it is durable. */
const OPERATIONS = ['change', 'stableWrite', 'write', 'commit'] as const;
type Operation = (typeof OPERATIONS)[number];

/** A volume that has not answered for so long is told, and again each time. */
const STALL_MS = 1000;
/** Between two looks at an ownership record, on the process's own clock (fileserver/storage/volume/owner-watch.ts). */
const OWNER_WATCH_MS = 500;

interface Thread {
  readonly home: ServerName;
  readonly volume: SimulatedVolume;
  readonly opening: Opening;
  phase: 'opening' | 'open' | 'ended';
  /** Changes between the check of the lease and the end of their system call. */
  inHand: number;
  /** Told to end: it does when nothing is in hand and its disk answers. */
  ending: boolean;
  /** On the process's clock. */
  lookedAt: number;
  /** Number of groups of changes read from the journal. */
  read: number;
  /** Not flushed yet. */
  unflushed: Written[];
}

interface Written {
  /** Was somebody newer the owner when it was written? */
  readonly late: boolean;
  /** Its number in the journal; null: a WRITE is not in there. */
  readonly journalled: number | null;
}

interface Opening extends OpenDiskSet {
  readonly threads: Thread[];
  failed: boolean;
}

export class VolumeThreads implements SimulatedPath {
  readonly leaseEnds = new Map<ServerName, number>();
  readonly diskSets = new Map<ServerName, Opening>();
  readonly #host: DataPathHost;
  /** Those that have not ended, of openings that the driver has given up too. */
  readonly #threads = new Set<Thread>();
  /** Asked again whenever a thread has got further. */
  #waiting: { readonly until: () => boolean; readonly action: () => void }[] = [];
  readonly #connections = new ServedConnections();

  constructor(host: DataPathHost) {
    this.#host = host;
    host.queue.after(host.random.between(0, 40), () => this.#work());
  }

  // -------------------------------------------------------------------------------------------- the driver's

  grant(home: ServerName, until: number | null): void {
    if (until !== null) {
      this.leaseEnds.set(home, until);
      this.#strikeAtTheLimit(home, until);
      return;
    }
    this.leaseEnds.delete(home);
    this.#host.queue.after(CUT_LOOK_MS, () =>
      this.#host.run(() =>
        this.#when(
          () => this.#of(home).every(({ inHand }) => inHand === 0),
          () => {
            if (!this.leaseEnds.has(home)) this.#host.input({ kind: 'changesEnded', home });
          },
        ),
      ),
    );
  }

  open(home: ServerName, epoch: number): void {
    const opening: Opening = { epoch, phase: 'opening', threads: [], failed: false };
    this.diskSets.set(home, opening);
    if (!this.#host.calm && this.#host.random.chance(0.5)) this.#host.othersGoOn();
    for (const volume of this.#host.volumes.of(home)) {
      const thread: Thread = {
        home,
        volume,
        opening,
        phase: 'opening',
        inHand: 0,
        ending: false,
        lookedAt: this.#host.clock(),
        read: volume.journalled,
        unflushed: [],
      };
      opening.threads.push(thread);
      this.#threads.add(thread);
      this.#callDisk(thread, diskTime(this.#host, 10), () => this.#openVolume(thread));
    }
  }

  close(home: ServerName, mode: 'quiesce' | 'fence'): void {
    const diskSet = this.diskSets.get(home);
    if (mode === 'fence') {
      this.diskSets.delete(home);
      this.#connections.end((one) => one === home);
    } else if (diskSet !== undefined) {
      diskSet.phase = 'quiescing';
    }
    const closing = this.#of(home);
    for (const thread of closing)
      this.#callDisk(thread, diskTime(this.#host, mode === 'fence' ? 1 : 20), () => {
        thread.ending = true;
        this.#goOn();
      });
    const first = this.#host.has('closedByFirstThread') && closing.length > 0;
    this.#when(
      () =>
        first
          ? closing.some(({ phase }) => phase === 'ended')
          : closing.every((one) => one.phase === 'ended'),
      () => {
        // The fence reports a quiescing that was fenced meanwhile.
        if (mode === 'quiesce' && this.diskSets.get(home) !== diskSet) return;
        this.diskSets.delete(home);
        this.#connections.end((one) => one === home);
        this.#host.input({ kind: 'diskSetClosed', home });
      },
    );
  }

  prepare(): void {}
  freeze(): void {}
  thaw(): void {}
  disksAt(): void {}

  // ------------------------------------------------------------------------------------------------ clients

  serve<T>(home: ServerName, execute: (volume: SimulatedVolume) => T, answer: (result: T) => void): void {
    const [thread] = this.diskSets.get(home)?.threads ?? [];
    if (thread === undefined || !this.#serves(thread)) return;
    this.#change(thread, 0, () => {
      const result = execute(thread.volume);
      if (this.#serves(thread)) answer(result);
    });
  }

  whenClosed(home: ServerName, action: () => void): void {
    this.#connections.whenClosed(home, action);
  }

  end(): void {
    this.#connections.end(() => true);
  }

  // --------------------------------------------------------------------------------------- opening, failing

  #openVolume(thread: Thread): void {
    const { random, calm } = this.#host;
    const { home, opening, volume } = thread;
    if (this.diskSets.get(home) !== opening || opening.failed) {
      thread.ending = true;
      this.#goOn();
      return;
    }
    const refused =
      !calm && random.chance(0.02)
        ? 'IoError'
        : isTaken(volume, this.#host.me, opening.epoch)
          ? 'VolumeEpochAhead'
          : this.#held(home)
            ? null
            : 'RightLost';
    if (refused !== null) {
      this.#failOpening(thread, refused);
      return;
    }
    this.#recordOwner(thread);
  }

  /**
   * The record is read, compared and written by one thread in one piece, until it is in both blocks (fileserver/storage/ownership/ownership.ts).
   * A pause of the machine may come between the look and the write.
   */
  #recordOwner(thread: Thread): void {
    const { random, calm, timing, me } = this.#host;
    const { home, opening, volume } = thread;
    const { epoch } = opening;
    const refused = isTaken(volume, this.#host.me, epoch)
      ? 'VolumeEpochAhead'
      : this.#held(home)
        ? null
        : 'RightLost';
    const givenUp = this.diskSets.get(home) !== opening || opening.failed;
    if (givenUp || refused !== null) {
      if (refused !== null) this.#failOpening(thread, refused);
      thread.ending = true;
      this.#goOn();
      return;
    }
    const once = this.#host.has('ownerRecordedOnce') && volume.owner === me && volume.epoch === epoch;
    if (once || volume.isRecorded(me, epoch)) {
      this.#opened(thread);
      return;
    }
    const write = volume.beginRecord();
    if (!calm && random.chance(0.05)) this.#host.stopUntold(random.between(0, 4) * timing.leaseMs);
    this.#change(thread, this.#lateness(), () => {
      write(me, epoch, this.#host.runningClocks());
      this.#callDisk(thread, diskTime(this.#host, 2), () => this.#recordOwner(thread));
    });
  }

  #opened(thread: Thread): void {
    const { home, opening, volume } = thread;
    // An owner on a machine that was paused may have appended to the journal since it was read.
    if (!this.#host.has('journalReadOnce')) thread.read = volume.journalled;
    const { epoch } = opening;
    if (epoch > volume.readBy.epoch) volume.readBy = { epoch, journalled: thread.read };
    if (volume.told > thread.read)
      this.#host.violate(
        `${this.#host.me} opens a volume of ${home} with a journal as it was before a change that a client was told of`,
      );
    thread.phase = 'open';
    const { threads } = opening;
    const opened = this.#host.has('openedByFirstThread')
      ? opening.phase === 'opening'
      : threads.every(({ phase }) => phase === 'open');
    if (!opened) return;
    opening.phase = 'open';
    const { me } = this.#host;
    const notOurs = threads.find(({ volume: { owner, epoch } }) => owner !== me || epoch !== opening.epoch);
    if (notOurs !== undefined && !this.#host.volumesLookedAt)
      this.#host.violate(
        `${me} says that ${home} is opened, and a volume of it is of ${notOurs.volume.owner}`,
      );
    this.#host.input({ kind: 'diskSetOpened', home, epoch: opening.epoch });
  }

  #failOpening(thread: Thread, reason: string): void {
    const { home, opening, volume } = thread;
    const { epoch } = opening;
    thread.ending = true;
    this.#goOn();
    if (opening.failed || this.diskSets.get(home) !== opening) return;
    opening.failed = true;
    this.diskSets.delete(home);
    for (const other of opening.threads) other.ending = true;
    const more = reason === 'VolumeEpochAhead' ? { epochFound: volume.epoch } : {};
    let reported = false;
    const report = (): void => {
      if (reported) return;
      reported = true;
      this.#host.input({ kind: 'diskSetOpenFailed', home, epoch, reason, message: reason, ...more });
    };
    this.#when(() => opening.threads.every(({ phase }) => phase === 'ended'), report);
    this.#host.queue.after(GIVE_UP_MS, () => this.#host.run(report));
  }

  halt(home: ServerName, reportAfterMs: number): void {
    const diskSet = this.diskSets.get(home);
    if (diskSet === undefined || diskSet.phase === 'opening' || diskSet.halted) return;
    diskSet.halted = true;
    this.#host.queue.after(reportAfterMs, () =>
      this.#host.input({ kind: 'diskSetFault', home, reason: 'RightLost', message: 'halted' }),
    );
  }

  /** The volume's disk has not answered this process: told again while it lasts. */
  #watchStall(thread: Thread, sinceMs: number): void {
    const { queue } = this.#host;
    queue.after(STALL_MS, () =>
      this.#host.run(() => {
        const { home, opening, volume } = thread;
        const stuck = this.#host.hangsMs(volume) > 0;
        if (!stuck || this.diskSets.get(home) !== opening || opening.phase !== 'open') return;
        this.#host.input({
          kind: 'volumeStalled',
          home,
          volume: volume.name,
          waitedMs: queue.now - sinceMs,
        });
        this.#watchStall(thread, sinceMs);
      }),
    );
  }

  /** A disk that hangs for this process holds the thread that calls it. */
  hang(volume: SimulatedVolume): void {
    for (const thread of this.#threads)
      if (thread.volume === volume) this.#watchStall(thread, this.#host.queue.now);
  }

  // ------------------------------------------------------------------------------------------------- writes

  #work(): void {
    const { queue, random } = this.#host;
    this.#host.run(() => {
      for (const { threads } of this.diskSets.values()) {
        for (const thread of threads) this.#operate(thread, random.pick(OPERATIONS));
      }
    });
    queue.after(random.between(20, 60), () => {
      if (!this.#host.ended) this.#work();
    });
  }

  #operate(thread: Thread, operation: Operation): void {
    if (!this.#serves(thread)) return;
    const { random, calm, timing } = this.#host;
    // A disk that hangs holds its thread: in a change, or (more often) in a call that changes nothing.
    if (this.#host.hangsMs(thread.volume) > 0 && (thread.inHand > 0 || random.chance(0.95))) return;
    const { lookedAt } = thread;
    const watched = this.#host.clock() - lookedAt < OWNER_WATCH_MS;
    if ((operation === 'change' || !watched) && !this.#isOurs(thread)) return;
    const strikes = !calm && random.chance(0.003);
    if (strikes && random.chance(0.7)) this.#host.stop(random.between(0, 3) * timing.leaseMs);
    const begunAt = this.#host.clock();
    const written: Written[] = operation === 'write' || operation === 'commit' ? thread.unflushed : [];
    if (operation === 'commit') this.#flush(thread, thread.unflushed.splice(0));
    else
      this.#change(thread, strikes ? random.between(0, 3) * timing.leaseMs : 0, () => {
        const journalled = operation === 'change' ? ++thread.volume.journalled : null;
        written.push({ late: this.#isLate(thread, begunAt), journalled });
        if (operation !== 'write') this.#flush(thread, written);
      });
  }

  /** Is the volume still ours, after the flush? Only then the clients are told. */
  #flush(thread: Thread, written: readonly Written[]): void {
    const { random, calm, timing, me } = this.#host;
    this.#callDisk(thread, diskTime(this.#host, 2), () => {
      if (!calm && random.chance(0.002)) this.#host.stop(random.between(0, 3) * timing.leaseMs);
      this.#host.run(() => {
        const behind = this.#host.has('lookedAtBeforeOnly') || this.#isOurs(thread);
        if (!behind || !this.#serves(thread)) return;
        const { owner, epoch, readBy, told } = thread.volume;
        thread.volume.told = Math.max(told, ...written.map(({ journalled }) => journalled ?? 0));
        if (readBy.epoch > thread.opening.epoch && thread.volume.told > Math.max(told, readBy.journalled))
          this.#host.violate(
            `${me} told a client of a change to a volume of ${thread.home} that is not in the journal as it was read for epoch ${readBy.epoch}`,
          );
        if (written.some(({ late }) => late))
          this.#host.violate(
            `${me} told a client of a change that it made to a volume of ${thread.home} when ${owner} owned it at epoch ${epoch}`,
          );
      });
    });
  }

  /**
   * A change that is made after somebody newer has written the ownership record: the look does not prevent it. But it was begun
   * before, or half a second after it as this process counts the time in which it runs.
   */
  #isLate({ volume, home, opening: { epoch } }: Thread, begunAt: number): boolean {
    if (volume.epoch <= epoch) return false;
    this.#host.landedLate();
    const since = volume.clocksAtRecord.get(this.#host.me);
    if (since !== undefined && begunAt - since > OWNER_WATCH_MS)
      this.#host.violate(
        `${this.#host.me} changes a volume of ${home} long after ${volume.owner} has taken it`,
      );
    return true;
  }

  /** R6 in the middle of service (Volume.isOurs). false: the service ends. */
  #isOurs(thread: Thread): boolean {
    if (!this.#host.volumesLookedAt) return true;
    thread.lookedAt = this.#host.clock();
    if (this.#host.has('ownerNotLookedAt')) return true;
    if (!isTaken(thread.volume, this.#host.me, thread.opening.epoch)) return true;
    this.halt(thread.home, 0);
    return false;
  }

  /** A system call that changes the volume. The check of the lease is behind it: from now on it is in hand. */
  #change(thread: Thread, gapMs: number, call: () => void): void {
    thread.inHand++;
    this.#callDisk(thread, gapMs, () => {
      thread.inHand--;
      this.#host.wrote(thread.home, thread.opening.epoch, thread.volume);
      call();
      this.#goOn();
    });
  }

  /** Any system call: it waits for the disk, and for the process to be run. */
  #callDisk(thread: Thread, gapMs: number, call: () => void): void {
    const hangs = this.#host.hangsMs(thread.volume);
    this.#host.queue.after(Math.max(gapMs, hangs), () =>
      this.#host.run(() => {
        if (this.#host.hangsMs(thread.volume) > 0) this.#callDisk(thread, 0, call);
        else call();
      }),
    );
  }

  #goOn(): void {
    for (const thread of this.#threads) {
      if (!thread.ending || thread.inHand > 0) continue;
      thread.phase = 'ended';
      this.#threads.delete(thread);
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const one of waiting) this.#when(one.until, one.action);
  }

  #when(until: () => boolean, action: () => void): void {
    if (until()) action();
    else this.#waiting.push({ until, action });
  }

  #of(home: ServerName): Thread[] {
    return [...this.#threads].filter((thread) => thread.home === home);
  }

  #held(home: ServerName): boolean {
    const leaseEnd = this.leaseEnds.get(home);
    return leaseEnd !== undefined && this.#host.clock() < leaseEnd;
  }

  #serves({ home, opening, phase }: Thread): boolean {
    const current = this.diskSets.get(home) === opening && phase === 'open';
    return current && opening.phase !== 'opening' && opening.halted !== true && this.#held(home);
  }

  /** One thread gets no processor between the check and its call, while the others do. */
  #lateness(): number {
    const { random, calm, timing } = this.#host;
    return !calm && random.chance(0.05) ? random.between(0, 2) * timing.leaseMs : 0;
  }

  /** The process is stopped with a write in its hands in the very last moment of its lease. */
  #strikeAtTheLimit(home: ServerName, until: number): void {
    const { queue, random, calm, timing, volumesLookedAt } = this.#host;
    if (calm || volumesLookedAt || !random.chance(0.05)) return;
    queue.after(this.#host.msUntil(until) - 0.01, () => {
      if (!this.#host.running || this.leaseEnds.get(home) !== until || this.#host.calm) return;
      for (const thread of this.diskSets.get(home)?.threads ?? [])
        if (this.#serves(thread)) this.#change(thread, 0.1, () => {});
      this.#host.stop(random.pick([0.499, 1.5, 4]) * timing.guardMs);
    });
  }
}
