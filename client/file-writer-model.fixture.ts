/**
 * A FileWriter with several users and a server that loses what it may lose, whenever it may. Every write has a number, and its
 * bytes are that number: so each byte tells which write it is of.
 */

import { DATA_SYNC, FILE_SYNC, NFS3ERR_IO, UNSTABLE } from '../protocol/nfs3.ts';
import { SeededRandom } from '../testing/seeded-random.ts';
import { NfsError } from './errors.ts';
import { FileWriter } from './file-writer.ts';
import type { WriteResult } from './nfs3-client.ts';

const FILE_SIZE = 128;
const HANDLE = new Uint8Array(1);

export interface ModelRun {
  /** What was promised and is not so, one sentence each. */
  readonly wrong: readonly string[];
  readonly losses: number;
  readonly failedCommits: number;
  readonly rewritten: number;
}

/** Everything random comes from the seed: the same one, the same run. */
export async function runModel(seed: number): Promise<ModelRun> {
  const model = new Model(seed);
  await model.run();
  return model;
}

class Model implements ModelRun {
  readonly wrong: string[] = [];
  losses = 0;
  failedCommits = 0;
  readonly #random: SeededRandom;
  /** As a reader of the server sees it. */
  #cached = new Uint8Array(FILE_SIZE);
  #durable = new Uint8Array(FILE_SIZE);
  #epoch = 1;
  /** Bytes of the WRITEs that the server works on. */
  readonly #working = new Set<{ start: number; end: number }>();
  /** The write that each byte is to be of, or a later one, as far as a commit() has promised. */
  readonly #promised = new Uint8Array(FILE_SIZE);
  readonly #latest = new Uint8Array(FILE_SIZE);
  #count = 0;
  readonly #writer = new FileWriter(
    { write: (_, offset, data) => this.#serveWrite(offset, data), commit: () => this.#serveCommit() },
    HANDLE,
    { writeSize: 8, window: 3, unconfirmedSizeMax: 48 },
  );

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  get rewritten(): number {
    return this.#writer.rewritten;
  }

  async run(): Promise<void> {
    await Promise.all([this.#user(), this.#user(), this.#user()]);
    await this.#commit();
    this.#lose();
    for (const [at, number] of this.#latest.entries()) {
      if (this.#durable[at] !== number) this.wrong.push(`at the end byte ${at} is not of the last write`);
    }
  }

  async #user(): Promise<void> {
    const unawaited: Promise<void>[] = [];
    for (let i = 0; i < 8; i++) {
      const done = this.#random.chance(0.75) ? this.#write() : this.#commit();
      if (this.#random.chance(0.3)) unawaited.push(done);
      else await done;
      await this.#pause();
    }
    await Promise.all(unawaited);
  }

  async #write(): Promise<void> {
    const start = this.#random.below(FILE_SIZE);
    const end = Math.min(FILE_SIZE, start + 1 + this.#random.below(20));
    this.#count += 1;
    this.#latest.fill(this.#count, start, end);
    try {
      await this.#writer.write(start, Buffer.alloc(end - start, this.#count));
    } catch (error) {
      // A COMMIT on the way: the data is taken all the same, and the next commit() is to make it durable.
      if (!(error instanceof NfsError)) throw error;
    }
  }

  async #commit(): Promise<void> {
    const wanted = this.#latest.slice();
    for (;;) {
      try {
        await this.#writer.commit();
        break;
      } catch (error) {
        if (!(error instanceof NfsError)) throw error;
      }
    }
    for (const [at, number] of wanted.entries()) this.#promised[at] = Math.max(this.#promised[at]!, number);
    this.#check('after commit()');
  }

  #check(when: string): void {
    for (const [at, number] of this.#promised.entries()) {
      if (this.#durable[at]! >= number) continue;
      this.wrong.push(`${when} byte ${at} is of write ${this.#durable[at]}, though ${number} was confirmed`);
      return;
    }
  }

  /** The server works on several calls at once, and finishes them in any order. */
  async #serveWrite(offset: number, data: Uint8Array): Promise<WriteResult> {
    const range = { start: offset, end: offset + data.length };
    for (const each of this.#working) {
      if (each.start < range.end && range.start < each.end) this.wrong.push('two WRITEs over one another');
    }
    this.#working.add(range);
    await this.#pause();
    const count = this.#random.chance(0.2)
      ? Math.max(1, Math.floor(data.length * this.#random.next()))
      : data.length;
    const committed = this.#random.chance(0.1) ? FILE_SYNC : this.#random.chance(0.1) ? DATA_SYNC : UNSTABLE;
    const taken = data.slice(0, count);
    this.#cached.set(taken, offset);
    if (committed === FILE_SYNC) this.#durable.set(taken, offset);
    this.#check('after a WRITE');
    const verifier = Buffer.alloc(8, this.#epoch);
    await this.#pause();
    this.#working.delete(range);
    return { count, committed, verifier };
  }

  async #serveCommit(): Promise<Uint8Array> {
    await this.#pause();
    if (this.#random.chance(0.1)) {
      // As Linux does it: what could not be written to the disk is dropped, and the next fsync succeeds.
      this.failedCommits += 1;
      this.#cached = this.#durable.slice();
      throw new NfsError(NFS3ERR_IO, 'COMMIT');
    }
    this.#durable = this.#cached.slice();
    this.#check('after a COMMIT');
    const verifier = Buffer.alloc(8, this.#epoch);
    await this.#pause();
    return verifier;
  }

  #lose(): void {
    this.losses += 1;
    this.#epoch += 1;
    this.#cached = this.#durable.slice();
  }

  /** Lets others go on; meanwhile the server may die, or write something to its disk on its own account. */
  async #pause(): Promise<void> {
    for (let turns = this.#random.below(6); turns > 0; turns--) await null;
    const chance = this.#random.next();
    if (chance < 0.06) this.#lose();
    else if (chance < 0.1) this.#durable = this.#cached.slice();
  }
}
