/**
 * The embedded witness: one directory on one machine, one file for each disk set.
 *
 *   <home>.json      the Lease; replaced as a whole (temporary file, fsync, rename), never changed in place
 *   <home>.lock      flock'ed around read-compare-write; the kernel frees it when its holder dies
 *   <home>.history   one JSON line for each change of owner or acknowledger: what tests and people check
 *   <home>.written   the last epoch whose ownership record is on all volumes; apart from the Lease, so that to write it
 *                    is no change of the Lease
 *   <home>.notes     last transition and the like, for people
 *
 * It survives the death of any process at any point: before the rename nothing has happened, after it everything
 * has. It does not survive the loss of the machine, and shared network file systems are no place for it: it is for
 * development, tests and the demo.
 */

import { type FSWatcher, watch } from 'node:fs';
import { appendFile, type FileHandle, mkdir, open, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type LeaseOwnership,
  type LeaseSighting,
  laterWritten,
  type WrittenVolumes,
} from '../../pair/lease.ts';
import type { LeaseReadOutcome, LeaseWriteOutcome } from '../../pair/types.ts';
import type { Log } from '../log.ts';
import { bootMs } from '../system/boottime.ts';
import { tryLock } from '../system/flock.ts';
import { inBackground, repeat, reportingErrors } from '../system/turns.ts';
import {
  firstSighting,
  formatLeaseFile,
  parseLeaseFile,
  parseWrittenFile,
  withOwnership,
} from './lease-file.ts';
import { type LeaseNotes, readWithin, type Witness, writeWithin } from './witness.ts';

/** fs.watch may lose events; so the files are also read this often. */
const POLL_MS = 500;

export interface EmbeddedWitnessOptions {
  readonly directory: string;
  /** Ms after which a call's outcome is unknown. */
  readonly callMs: number;
  readonly log: Log;
}

export class EmbeddedWitness implements Witness {
  private readonly directory: string;
  private readonly callMs: number;
  private readonly log: Log;
  private readonly watchers = new Map<string, () => void>();
  private readonly ends: (() => void)[] = [];
  private noting: Promise<unknown> = Promise.resolve();
  /** By home: whether the last notes were written. */
  private readonly lastNoted = new Map<string, Promise<boolean>>();
  private watchingDirectory: FSWatcher | null = null;

  constructor(options: EmbeddedWitnessOptions) {
    this.directory = options.directory;
    this.callMs = options.callMs;
    this.log = options.log;
  }

  read(home: string): Promise<LeaseReadOutcome> {
    const reading = this.load(home).then(
      (sighting): LeaseReadOutcome => ({ kind: 'found', sighting }),
      (error: Error): LeaseReadOutcome => {
        this.log.warn(`Cannot read the Lease of ${home} in ${this.directory}: ${error.message}`);
        return { kind: 'unknown' };
      },
    );
    return readWithin(this.callMs, reading);
  }

  compareAndSwap(home: string, version: string, ownership: LeaseOwnership): Promise<LeaseWriteOutcome> {
    return writeWithin(this.callMs, this.swap(home, version, ownership));
  }

  watch(home: string, seen: (sighting: LeaseSighting) => void): void {
    let last = '';
    let reading = false;
    let again = false;
    const look = async (): Promise<void> => {
      again = reading;
      if (reading) return;
      reading = true;
      try {
        const sighting = await this.load(home);
        if (sighting.version !== last) reportingErrors(() => seen(sighting));
        last = sighting.version;
      } catch (error) {
        this.log.debug(`Cannot read the Lease of ${home} now: ${(error as Error).message}`);
      }
      reading = false;
      if (again) inBackground(look());
    };
    this.watchers.set(home, () => inBackground(look()));
    const poll = repeat(look, POLL_MS);
    this.ends.push(() => clearInterval(poll));
    inBackground(look().then(() => this.watchDirectory()));
  }

  annotate(home: string, notes: LeaseNotes): void {
    // One after the other: each is merged with what is there.
    const written = this.noting.then(() =>
      this.note(home, notes).then(
        () => true,
        (error: Error) => {
          this.log.warn(`Cannot write the notes of ${home} in ${this.directory}: ${error.message}`);
          return false;
        },
      ),
    );
    this.noting = written;
    this.lastNoted.set(home, written);
  }

  async noted(home: string): Promise<boolean> {
    return (await this.lastNoted.get(home)) ?? true;
  }

  async close(ms: number): Promise<void> {
    for (const end of this.ends.splice(0)) end();
    this.watchers.clear();
    await Promise.race([this.noting, delay(ms, undefined, { ref: false })]);
  }

  private path(home: string, suffix: string): string {
    return join(this.directory, `${home}.${suffix}`);
  }

  private async load(home: string): Promise<LeaseSighting> {
    return this.withWritten(home, await this.loadLease(home));
  }

  /** With what is known of the volumes; without it where that cannot be read or understood. */
  private async withWritten(home: string, sighting: LeaseSighting): Promise<LeaseSighting> {
    const text = await readFile(this.path(home, 'written'), 'utf8').catch(() => '');
    const written = parseWrittenFile(text);
    if (written === null || written.epoch > sighting.record.epoch) return sighting;
    return { ...sighting, record: { ...sighting.record, written } };
  }

  /** Reads the Lease; makes the first one if there is none. */
  private async loadLease(home: string): Promise<LeaseSighting> {
    try {
      return parseLeaseFile(await readFile(this.path(home, 'json'), 'utf8'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    await mkdir(this.directory, { recursive: true });
    return this.locked(home, async () => {
      try {
        return parseLeaseFile(await readFile(this.path(home, 'json'), 'utf8'));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
      await this.replace(home, firstSighting);
      return firstSighting;
    });
  }

  /** `refused` as long as nothing was renamed; from then on, `applied` or `unknown`. */
  private async swap(home: string, version: string, ownership: LeaseOwnership): Promise<LeaseWriteOutcome> {
    let renaming = false;
    try {
      return await this.locked(home, async (): Promise<LeaseWriteOutcome> => {
        const before = parseLeaseFile(await readFile(this.path(home, 'json'), 'utf8'));
        if (before.version !== version) return { kind: 'conflict' };
        const after = withOwnership(before, ownership);
        await this.record(home, before, after);
        await this.replace(home, after, () => {
          renaming = true;
        });
        return { kind: 'applied', sighting: await this.withWritten(home, after) };
      });
    } catch (error) {
      const message = `the Lease of ${home} in ${this.directory}: ${(error as Error).message}`;
      this.log.warn(`Cannot write ${message}`);
      return renaming ? { kind: 'unknown' } : { kind: 'refused', message };
    }
  }

  /** Runs `work` with the disk set's lock. Rejects if the lock cannot be had in time: nothing was done then. */
  private async locked<T>(home: string, work: () => Promise<T>): Promise<T> {
    const lock = await open(this.path(home, 'lock'), 'a');
    try {
      const giveUpAt = bootMs() + this.callMs;
      while (!tryLock(lock.fd)) {
        if (bootMs() > giveUpAt) throw new Error(`locked by another process for more than ${this.callMs} ms`);
        await delay(1);
      }
      return await work();
    } finally {
      await lock.close();
    }
  }

  private async replace(home: string, sighting: LeaseSighting, renaming = (): void => {}): Promise<void> {
    const temporary = this.path(home, `json.${process.pid}.tmp`);
    await writeDurably(temporary, formatLeaseFile(sighting));
    renaming();
    await rename(temporary, this.path(home, 'json'));
    const directory = await open(this.directory, 'r');
    await directory.sync().finally(() => directory.close());
  }

  /**
   * Before the rename: a line too many (its change was never made) is better than an owner without a line. Not
   * durable against a crash of the machine, as nothing depends on it.
   */
  private async record(home: string, before: LeaseSighting, after: LeaseSighting): Promise<void> {
    const { holder, epoch, acknowledger, releasedTo } = after.record;
    if (holder === before.record.holder && acknowledger === before.record.acknowledger) return;
    const line = { bootMs: bootMs(), version: after.version, holder, epoch, acknowledger, releasedTo };
    await appendFile(this.path(home, 'history'), `${JSON.stringify(line)}\n`);
  }

  private async note(home: string, notes: LeaseNotes): Promise<void> {
    if (notes.maintenance !== undefined) await this.setMaintenance(home, notes.maintenance);
    if (notes.written !== undefined) await this.raiseWritten(home, notes.written);
    const path = this.path(home, 'notes');
    const before = await readFile(path, 'utf8').then(JSON.parse, () => ({}));
    await writeFile(`${path}.${process.pid}.tmp`, `${JSON.stringify({ ...before, ...notes }, null, 2)}\n`);
    await rename(`${path}.${process.pid}.tmp`, path);
  }

  private raiseWritten(home: string, written: WrittenVolumes): Promise<void> {
    return this.locked(home, async () => {
      const path = this.path(home, 'written');
      const known = parseWrittenFile(await readFile(path, 'utf8').catch(() => ''));
      const later = laterWritten(known ?? undefined, written);
      await writeDurably(`${path}.tmp`, `${JSON.stringify(later)}\n`);
      await rename(`${path}.tmp`, path);
    });
  }

  /** The one note that servers act by: beside the ownership, where all of them see it. */
  private setMaintenance(home: string, maintenance: string | null): Promise<void> {
    return this.locked(home, async () => {
      const { version, record } = parseLeaseFile(await readFile(this.path(home, 'json'), 'utf8'));
      await this.replace(home, { version: String(Number(version) + 1), record: { ...record, maintenance } });
    });
  }

  /** One watch for all disk sets; begun once the directory is there. */
  private watchDirectory(): void {
    if (this.ends.length === 0 || this.watchingDirectory !== null) return;
    try {
      const watcher = watch(this.directory, (_event, file) => {
        for (const [home, look] of this.watchers) {
          if (file === null || file === `${home}.json`) look();
        }
      });
      watcher.on('error', () => {
        // The poll goes on.
      });
      this.watchingDirectory = watcher;
      this.ends.push(() => watcher.close());
    } catch (error) {
      this.log.debug(`No file events from ${this.directory}: ${(error as Error).message}`);
    }
  }
}

async function writeDurably(path: string, text: string): Promise<void> {
  const file: FileHandle = await open(path, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.datasync();
  } finally {
    await file.close();
  }
}
