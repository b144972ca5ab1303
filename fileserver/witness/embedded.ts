/** The embedded witness: one directory on one machine, some files for each disk set. */
import { appendFileSync, type FSWatcher, watch } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { LeaseOwnership, LeaseSighting } from '../../pair/lease.ts';
import type { LeaseReadOutcome, LeaseWriteOutcome } from '../../pair/types.ts';
import type { Log } from '../logging/log.ts';
import { bootMs } from '../system/boottime.ts';
import { inBackground, repeat, reportingErrors } from '../system/turns.ts';
import {
  firstSighting,
  formatLeaseFile,
  parseLeaseFile,
  parseWrittenFile,
  withOwnership,
} from './lease-file.ts';
import { type FileVersion, VersionedFile } from './versioned-file.ts';
import { type LeaseNotes, readWithin, type Witness, writeWithin } from './witness.ts';

//   <home>.lease-<n>    version n of the Lease (versioned-file.ts)
//   <home>.written-<n>  the volumes on which the ownership record of epoch n has been written; apart from the Lease, so that
//                       to write it is no change of the Lease
//   <home>.history      one JSON line for each change of owner or acknowledger: what tests and people check
//   <home>.notes        last transition and the like, for people
//
// It survives the death of any process at any point, and none that is frozen holds up another. It does not survive the loss
// of the machine, and shared network file systems are no place for it: it is for development, tests and the demo.

/** fs.watch may lose events; so the files are also read this often. */
const POLL_MS = 500;

export interface EmbeddedWitnessOptions {
  readonly directory: string;
  /** Ms after which a call's outcome is unknown. */
  readonly callMs: number;
  /** For tests; see POLL_MS. */
  readonly pollMs?: number;
  readonly log: Log;
}

export class EmbeddedWitness implements Witness {
  readonly #directory: string;
  readonly #callMs: number;
  readonly #pollMs: number;
  readonly #log: Log;
  readonly #watchers = new Map<string, () => void>();
  readonly #ends: (() => void)[] = [];
  #noting: Promise<unknown> = Promise.resolve();
  /** By home: whether the last notes were written. */
  readonly #lastNoted = new Map<string, Promise<boolean>>();
  #watchingDirectory: FSWatcher | null = null;

  constructor(options: EmbeddedWitnessOptions) {
    this.#directory = options.directory;
    this.#callMs = options.callMs;
    this.#pollMs = options.pollMs ?? POLL_MS;
    this.#log = options.log;
  }

  read(home: string): Promise<LeaseReadOutcome> {
    const reading = this.#load(home).then(
      (sighting): LeaseReadOutcome => ({ kind: 'found', sighting }),
      (error: Error): LeaseReadOutcome => {
        this.#log.warn(`Cannot read the Lease of ${home} in ${this.#directory}: ${error.message}`);
        return { kind: 'unknown' };
      },
    );
    return readWithin(this.#callMs, reading);
  }

  compareAndSwap(home: string, version: string, ownership: LeaseOwnership): Promise<LeaseWriteOutcome> {
    return writeWithin(this.#callMs, this.#swap(home, version, ownership));
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
        const sighting = await this.#load(home);
        if (sighting.version !== last) reportingErrors(() => seen(sighting));
        last = sighting.version;
      } catch (error) {
        this.#log.debug(`Cannot read the Lease of ${home} now: ${(error as Error).message}`);
      }
      reading = false;
      if (again) inBackground(look());
    };
    this.#watchers.set(home, () => inBackground(look()));
    const poll = repeat(look, this.#pollMs);
    this.#ends.push(() => clearInterval(poll));
    inBackground(look().then(() => this.#watchDirectory()));
  }

  annotate(home: string, notes: LeaseNotes): void {
    // One after the other: each is merged with what is there.
    const written = this.#noting.then(() =>
      this.#note(home, notes).then(
        () => true,
        (error: Error) => {
          this.#log.warn(`Cannot write the notes of ${home} in ${this.#directory}: ${error.message}`);
          return false;
        },
      ),
    );
    this.#noting = written;
    this.#lastNoted.set(home, written);
  }

  async noted(home: string): Promise<boolean> {
    return (await this.#lastNoted.get(home)) ?? true;
  }

  async close(ms: number): Promise<void> {
    for (const end of this.#ends.splice(0)) end();
    await Promise.race([this.#noting, delay(ms, undefined, { ref: false })]);
  }

  #path(home: string, suffix: string): string {
    return join(this.#directory, `${home}.${suffix}`);
  }

  #lease(home: string): VersionedFile {
    return new VersionedFile(this.#directory, `${home}.lease`);
  }

  #written(home: string): VersionedFile {
    return new VersionedFile(this.#directory, `${home}.written`);
  }

  async #load(home: string): Promise<LeaseSighting> {
    return this.#withWritten(home, await this.#loadLease(home));
  }

  /** Adds what is known of the volumes, unless that cannot be read or understood. */
  async #withWritten(home: string, sighting: LeaseSighting): Promise<LeaseSighting> {
    const newest = await this.#written(home)
      .newest()
      .catch(() => null);
    const written = parseWrittenFile(newest?.text ?? '');
    if (written === null || written.epoch > sighting.record.epoch) return sighting;
    return { ...sighting, record: { ...sighting.record, written } };
  }

  /** Reads the Lease; makes the first one if there is none. */
  async #loadLease(home: string): Promise<LeaseSighting> {
    const lease = this.#lease(home);
    let newest = await lease.newest();
    if (newest === null) {
      await mkdir(this.#directory, { recursive: true });
      await lease.add(1, formatLeaseFile(firstSighting));
      newest = await lease.newest();
    }
    if (newest === null) throw new Error('it was removed while it was read');
    return sightingOf(newest);
  }

  /** `refused` as long as nothing was written. */
  async #swap(home: string, version: string, ownership: LeaseOwnership): Promise<LeaseWriteOutcome> {
    try {
      return await this.#replace(home, version, (before) => withOwnership(before, ownership));
    } catch (error) {
      const message = `the Lease of ${home} in ${this.#directory}: ${(error as Error).message}`;
      this.#log.warn(`Cannot write ${message}`);
      return { kind: 'refused', message };
    }
  }

  /** Rejects as long as nothing was written. */
  async #replace(
    home: string,
    version: string,
    change: (before: LeaseSighting) => LeaseSighting,
  ): Promise<LeaseWriteOutcome> {
    const before = await this.#loadLease(home);
    if (before.version !== version) return { kind: 'conflict' };
    const after = change(before);
    const outcome = await this.#lease(home).add(Number(after.version), formatLeaseFile(after), () =>
      this.#record(home, before, after),
    );
    if (outcome === 'taken') return { kind: 'conflict' };
    if (outcome === 'unknown') return { kind: 'unknown' };
    return { kind: 'applied', sighting: await this.#withWritten(home, after) };
  }

  /** Not durable against a crash of the machine, as nothing depends on it. */
  #record(home: string, before: LeaseSighting, after: LeaseSighting): void {
    const { holder, epoch, acknowledger, releasedTo } = after.record;
    if (holder === before.record.holder && acknowledger === before.record.acknowledger) return;
    const line = { bootMs: bootMs(), version: after.version, holder, epoch, acknowledger, releasedTo };
    appendFileSync(this.#path(home, 'history'), `${JSON.stringify(line)}\n`);
  }

  async #note(home: string, notes: LeaseNotes): Promise<void> {
    if (notes.maintenance !== undefined) await this.#setMaintenance(home, notes.maintenance);
    if (notes.written !== undefined) {
      // Only the owner of an epoch writes of it. What is written late, of an earlier epoch, lowers nothing.
      await this.#written(home).put(notes.written.epoch, `${JSON.stringify(notes.written)}\n`);
    }
    const path = this.#path(home, 'notes');
    const before = await readFile(path, 'utf8').then(JSON.parse, () => ({}));
    await writeFile(`${path}.${process.pid}.tmp`, `${JSON.stringify({ ...before, ...notes }, null, 2)}\n`);
    await rename(`${path}.${process.pid}.tmp`, path);
  }

  /** The one note that servers act by: beside the ownership, where all of them see it. Rejects after `callMs`. */
  async #setMaintenance(home: string, maintenance: string | null): Promise<void> {
    const giveUpAt = bootMs() + this.#callMs;
    for (;;) {
      const { version } = await this.#loadLease(home);
      const outcome = await this.#replace(home, version, (before) => ({
        version: String(Number(before.version) + 1),
        record: { ...before.record, maintenance },
      }));
      if (outcome.kind === 'applied') return;
      if (bootMs() > giveUpAt) throw new Error(`others wrote the Lease for ${this.#callMs} ms`);
    }
  }

  /** One watch for all disk sets; begun once the directory is there. */
  #watchDirectory(): void {
    if (this.#ends.length === 0 || this.#watchingDirectory !== null) return;
    try {
      const watcher = watch(this.#directory, (_event, file) => {
        for (const [home, look] of this.#watchers) {
          if (file === null || file.startsWith(`${home}.lease-`)) look();
        }
      });
      watcher.on('error', () => {
        // The poll goes on.
      });
      this.#watchingDirectory = watcher;
      this.#ends.push(() => watcher.close());
    } catch (error) {
      this.#log.debug(`No file events from ${this.#directory}: ${(error as Error).message}`);
    }
  }
}

function sightingOf({ number, text }: FileVersion): LeaseSighting {
  const sighting = parseLeaseFile(text);
  if (sighting.version !== String(number))
    throw new Error(`version ${number} says that it is ${sighting.version}`);
  return sighting;
}
