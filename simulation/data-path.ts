/**
 * The data path of one simulated process: threads of their own, which check the lease and then make a system call, and lie
 * between the two for as long as it pleases the machine.
 */

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

//   check the lease          not scheduled, or the whole process is stopped           the system call
//        |-------------------------------------------------------------------------------|
//
// A write that is between the two is *in hand*: nothing but the end of the process keeps it from reaching the disk, so a
// disk set is not closed before it has. That is the hole of R2 that R10 closes.

export class SimulatedDataPath implements SimulatedPath {
  readonly leaseEnds = new Map<ServerName, number>();
  readonly diskSets = new Map<ServerName, OpenDiskSet>();
  readonly #host: DataPathHost;
  /** Number of calls between check and system call, by home. */
  readonly #inHand = new Map<ServerName, number>();
  /** Closes that wait until nothing of a disk set is in hand. */
  readonly #pendingCloses: { readonly home: ServerName; readonly action: () => void }[] = [];
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
    const held = this.#held(home, 1);
    this.leaseEnds.delete(home);
    if (held) this.#strikeWhenCut(home);
    this.#host.queue.after(CUT_LOOK_MS, () => this.#host.run(() => this.#tellChangesEnded(home)));
  }

  open(home: ServerName, epoch: number): void {
    const { queue, random, timing, calm } = this.#host;
    const diskSet: OpenDiskSet = { epoch, phase: 'opening' };
    this.diskSets.set(home, diskSet);
    queue.after(diskTime(this.#host, 10), () =>
      this.#host.run(() => {
        if (this.diskSets.get(home) !== diskSet) return;
        const refused = this.#refusal(home, epoch);
        if (refused !== null) {
          this.diskSets.delete(home);
          this.#refused(home, epoch, refused);
          return;
        }
        if (!calm && random.chance(0.04)) {
          this.#openHalf(home, diskSet);
          return;
        }
        if (!calm && random.chance(0.05)) this.#host.stop(random.between(0, 4) * timing.leaseMs);
        this.#systemCall(home, 0, () => this.#recordOwner(home, diskSet));
      }),
    );
  }

  close(home: ServerName, mode: 'quiesce' | 'fence'): void {
    const { queue, random, calm } = this.#host;
    const diskSet = this.diskSets.get(home);
    if (mode === 'fence') {
      this.diskSets.delete(home);
      this.#connections.end((one) => one === home);
    } else if (diskSet !== undefined) {
      diskSet.phase = 'quiescing';
      // A call that is in the kernel when the disk set is told to close.
      if (!calm && random.chance(0.1)) this.#attempt(home, 0, random.between(0, 200));
    }
    queue.after(diskTime(this.#host, mode === 'fence' ? 1 : 20), () =>
      this.#host.run(() => this.#closed(home, mode === 'fence' ? undefined : diskSet)),
    );
  }

  prepare(): void {}
  freeze(): void {}
  thaw(): void {}
  disksAt(): void {}

  // ------------------------------------------------------------------------------------------------ clients

  /** Checked right before it is executed, and once more before it is answered (R2). */
  serve<T>(home: ServerName, execute: (volume: SimulatedVolume) => T, answer: (result: T) => void): void {
    const epoch = this.#serving(home);
    if (epoch === null) return;
    this.#systemCall(home, 0, () => {
      if (this.#hasNewerOwner(home, epoch)) return;
      this.#host.wrote(home, epoch);
      const result = execute(this.#host.volumes.mountedFor(home));
      if (this.#serving(home) !== null) answer(result);
    });
  }

  /** Once, when this process serves the disk set no more, for whatever reason. */
  whenClosed(home: ServerName, action: () => void): void {
    this.#connections.whenClosed(home, action);
  }

  /** The process has ended. */
  end(): void {
    this.#connections.end(() => true);
  }

  // --------------------------------------------------------------------------------------- opening, closing

  /**
   * One thread writes the ownership record of its volume, slowly; another cannot open its own. The failure is reported when
   * the first has stopped, or has been waited for long enough. Meanwhile somebody may tell the server to stop.
   */
  #openHalf(home: ServerName, diskSet: OpenDiskSet): void {
    const { queue, random, timing } = this.#host;
    this.#systemCall(home, random.between(0, 2) * timing.leaseMs, () => this.#recordOwner(home, diskSet));
    this.diskSets.delete(home);
    if (random.chance(0.3))
      queue.after(random.between(0, GIVE_UP_MS), () => this.#host.input({ kind: 'stop' }));
    let reported = false;
    const report = (): void => {
      if (reported) return;
      reported = true;
      const { epoch } = diskSet;
      this.#host.input({
        kind: 'diskSetOpenFailed',
        home,
        epoch,
        reason: 'NotAVolume',
        message: 'NotAVolume',
      });
    };
    this.#whenNothingInHand(home, report);
    queue.after(GIVE_UP_MS, () => this.#host.run(report));
  }

  /**
   * A thread finds that the lease is over, or that a volume cannot be trusted: nothing of the disk set is changed or
   * answered any more, and the driver is told, perhaps late.
   */
  halt(home: ServerName, reportAfterMs: number): void {
    const diskSet = this.diskSets.get(home);
    if (diskSet === undefined || diskSet.phase === 'opening' || diskSet.halted) return;
    diskSet.halted = true;
    if (this.#host.has('haltUntold')) return;
    this.#host.queue.after(reportAfterMs, () =>
      this.#host.input({ kind: 'diskSetFault', home, reason: 'RightLost', message: 'halted' }),
    );
  }

  /** R6, as fileserver/storage/ does it: whose volume is it, has anybody newer owned it, may this server still? */
  #refusal(home: ServerName, epoch: number): string | null {
    const { volumes, calm, random } = this.#host;
    if (!calm && random.chance(0.02)) return 'IoError';
    const volume = volumes.mountedFor(home);
    if (volume.home !== home && !this.#host.has('volumeIdentityUnchecked')) return 'WrongVolume';
    if (this.#isAhead(volume, epoch)) return 'VolumeEpochAhead';
    return this.#held(home) ? null : 'RightLost';
  }

  /**
   * R6 while a disk set is served (Volume.isOurs): the service ends. Only where the witness forgets: elsewhere a write that the
   * rules should have prevented has to be seen.
   */
  #hasNewerOwner(home: ServerName, epoch: number): boolean {
    if (!this.#host.witnessForgets || !this.#isAhead(this.#host.volumes.mountedFor(home), epoch))
      return false;
    this.halt(home, 0);
    return true;
  }

  #isAhead(volume: SimulatedVolume, epoch: number): boolean {
    if (this.#host.has('volumeEpochUnchecked')) return false;
    return isTaken(volume, this.#host.me, epoch);
  }

  #refused(home: ServerName, epoch: number, reason: string): void {
    const ahead = reason === 'VolumeEpochAhead';
    const more = ahead ? { epochFound: this.#host.volumes.mountedFor(home).epoch } : {};
    if (ahead) this.#host.foundAhead(home);
    this.#host.input({ kind: 'diskSetOpenFailed', home, epoch, reason, message: reason, ...more });
  }

  #recordOwner(home: ServerName, diskSet: OpenDiskSet): void {
    const { epoch } = diskSet;
    const volume = this.#host.volumes.mountedFor(home);
    // The record is read, compared and written by one thread in one piece (fileserver/storage/ownership/ownership.ts).
    if (this.#isAhead(volume, epoch)) {
      if (this.diskSets.get(home) === diskSet) {
        this.diskSets.delete(home);
        this.#refused(home, epoch, 'VolumeEpochAhead');
      }
      return;
    }
    this.#host.wrote(home, epoch);
    if (volume.epoch > epoch)
      this.#host.violate(
        `${this.#host.me} opened ${home} at epoch ${epoch}, behind the volume's ${volume.epoch}`,
      );
    volume.beginRecord()(this.#host.me, epoch, this.#host.runningClocks());
    if (this.diskSets.get(home) !== diskSet) return;
    diskSet.phase = 'open';
    this.#host.input({ kind: 'diskSetOpened', home, epoch });
  }

  /** Reported when nothing is in hand any more. Of a quiescing that was fenced meanwhile the fence reports. */
  #closed(home: ServerName, quiesced: OpenDiskSet | undefined): void {
    this.#whenNothingInHand(home, () => {
      if (quiesced !== undefined && this.diskSets.get(home) !== quiesced) return;
      if (quiesced !== undefined) {
        this.diskSets.delete(home);
        this.#connections.end((one) => one === home);
      }
      this.#host.input({ kind: 'diskSetClosed', home });
    });
  }

  /** The one who looks is the one who tells: what it says is not old. */
  #tellChangesEnded(home: ServerName): void {
    this.#whenNothingInHand(home, () => {
      if (!this.leaseEnds.has(home)) this.#host.input({ kind: 'changesEnded', home });
    });
  }

  #whenNothingInHand(home: ServerName, action: () => void): void {
    if ((this.#inHand.get(home) ?? 0) === 0) action();
    else this.#pendingCloses.push({ home, action: () => this.#whenNothingInHand(home, action) });
  }

  // ------------------------------------------------------------------------------------------------- writes

  #work(): void {
    const { queue, random, timing, calm } = this.#host;
    this.#host.run(() => {
      for (const home of this.diskSets.keys()) {
        const strikes = !calm && random.chance(0.003);
        const ms = strikes ? random.between(0, 3) * timing.leaseMs : 0;
        // The process is stopped after the check, or (one in three) only this thread gets no processor.
        if (strikes && random.chance(0.3)) this.#attempt(home, 0, ms);
        else this.#attempt(home, ms, 0);
      }
    });
    queue.after(random.between(20, 60), () => {
      if (!this.#host.ended) this.#work();
    });
  }

  /** A write: checked, and executed `gapMs` later or when the process goes on. */
  #attempt(home: ServerName, stopMs: number, gapMs: number): void {
    const epoch = this.#serving(home);
    if (epoch === null) return;
    if (stopMs > 0) this.#host.stop(stopMs);
    this.#systemCall(home, gapMs, () => this.#write(home, epoch));
  }

  #write(home: ServerName, epoch: number): void {
    if (this.#hasNewerOwner(home, epoch)) return;
    const volume = this.#host.volumes.mountedFor(home);
    if (volume.home !== home)
      this.#host.violate(`${this.#host.me} wrote what is for ${home} to the volume of ${volume.home}`);
    this.#host.wrote(home, epoch);
  }

  /** Its check is behind it: from now on it is in hand. */
  #systemCall(home: ServerName, gapMs: number, call: () => void): void {
    const { queue } = this.#host;
    this.#inHand.set(home, (this.#inHand.get(home) ?? 0) + 1);
    queue.after(gapMs, () =>
      this.#host.run(() => {
        this.#inHand.set(home, this.#inHand.get(home)! - 1);
        call();
        const all = this.#pendingCloses.splice(0);
        for (const closing of all) closing.action();
      }),
    );
  }

  #held(home: ServerName, latenessMs = 0): boolean {
    const leaseEnd = this.leaseEnds.get(home);
    return leaseEnd !== undefined && this.#host.clock() < leaseEnd + latenessMs;
  }

  /** Epoch at which calls are executed now; null: they are not. */
  #serving(home: ServerName): number | null {
    const diskSet = this.diskSets.get(home);
    if (diskSet === undefined || diskSet.phase === 'opening' || diskSet.halted) return null;
    return this.#held(home) ? diskSet.epoch : null;
  }

  // ----------------------------------------------------------------------------------- the limits of rules

  /**
   * The process is stopped with a write in its hands in the very last moment of its lease, and goes on in the very last
   * moment before the switch kills it.
   */
  #strikeAtTheLimit(home: ServerName, until: number): void {
    const { queue, random, calm, timing } = this.#host;
    if (calm || !random.chance(0.05)) return;
    queue.after(this.#host.msUntil(until) - 0.01, () => {
      if (!this.#host.running || this.leaseEnds.get(home) !== until || this.#host.calm) return;
      this.#attempt(home, random.pick([0.499, 0.499, 1.5, 4]) * timing.guardMs, 0);
    });
  }

  /** A thread has checked the lease, the agent's thread cuts it, and the process is stopped before the system call. */
  #strikeWhenCut(home: ServerName): void {
    const { queue, random, calm, timing } = this.#host;
    const diskSet = this.diskSets.get(home);
    if (calm || diskSet === undefined || diskSet.phase === 'opening' || !random.chance(0.1)) return;
    const { epoch } = diskSet;
    this.#systemCall(home, 0.1, () => this.#write(home, epoch));
    queue.after(0.05, () => {
      if (!this.#host.calm) this.#host.stop(random.between(0, 4) * timing.leaseMs);
    });
  }
}
