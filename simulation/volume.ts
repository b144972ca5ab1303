/**
 * The simulated disks: what is mounted where, and the ownership record on each (R6). Volumes outlive processes, Leases
 * that were restored from a backup, and people who mount the wrong one.
 */

import type { Incarnation, ServerName } from '../pair/incarnation.ts';
import { type Answer, apply, flushed, lost, type Operation, type Register } from './history.ts';

/** An ownership record. */
interface OwnershipBlock {
  readonly generation: number;
  readonly owner: Incarnation;
  readonly epoch: number;
  /** Times that the clocks of all processes showed when it was written. */
  readonly clocks: ReadonlyMap<Incarnation, number>;
}

export class SimulatedVolume {
  /** Server to which it belongs by declaration: written once. */
  readonly home: ServerName;
  readonly name: string;
  /** Groups of changes whose intents are in the journal. */
  journalled = 0;
  /** Number of the last of these that a client was told. */
  told = 0;
  /** The newest owner that has read the journal, and how far. */
  readBy: { readonly epoch: number; readonly journalled: number } = { epoch: 0, journalled: 0 };
  /** As the kernel counts them for those who have files open (errseq). */
  writeBackErrors = 0;
  /** As fileserver/storage/ownership/ownership.ts has it: the one of the higher generation counts. */
  readonly #blocks: (OwnershipBlock | null)[] = [null, null];
  /** Files that clients made on it, by name. */
  readonly #files = new Map<string, Register>();
  /** The duplicate request cache: committed with the operation, by client and XID. */
  readonly #answers = new Map<string, Answer>();

  constructor(home: ServerName, name = 'data') {
    this.home = home;
    this.name = name;
  }

  /** Epoch of the last owner that opened it. */
  get epoch(): number {
    return this.#newest?.epoch ?? 0;
  }

  get owner(): Incarnation | null {
    return this.#newest?.owner ?? null;
  }

  /** Times that the clocks of all processes showed when the ownership record was written. */
  get clocksAtRecord(): ReadonlyMap<Incarnation, number> {
    return this.#newest?.clocks ?? new Map();
  }

  get #newest(): OwnershipBlock | null {
    const [a, b] = this.#blocks as [OwnershipBlock | null, OwnershipBlock | null];
    return (a?.generation ?? 0) > (b?.generation ?? 0) ? a : b;
  }

  /** The record of this owner is in both blocks. */
  isRecorded(owner: Incarnation, epoch: number): boolean {
    return this.#blocks.every((block) => block?.owner === owner && block.epoch === epoch);
  }

  /**
   * Reads the ownership record. What it returns writes another one over the block that is the older one now, whatever is there
   * then.
   */
  beginRecord(): (owner: Incarnation, epoch: number, clocks: ReadonlyMap<Incarnation, number>) => void {
    const generation = (this.#newest?.generation ?? 0) + 1;
    return (owner, epoch, clocks) => {
      this.#blocks[generation % 2] = { generation, owner, epoch, clocks };
    };
  }

  /** Once, but for WRITE, of which the volume keeps no record: sent again, it gets the answer of the first time. */
  execute(xid: string, name: string, operation: Operation): Answer {
    const before = this.#answers.get(xid);
    if (before !== undefined) return before;
    const { next, answer } = apply(this.#files.get(name) ?? null, operation);
    this.#files.set(name, next);
    if (operation.kind !== 'write') this.#answers.set(xid, answer);
    return answer;
  }

  /** All of the file's data is on the disk. */
  flush(name: string): void {
    this.#files.set(name, flushed(this.#files.get(name) ?? null));
  }

  /** The kernel writes out what is unstable, and the disk does not take it. The next flush of a file is told. */
  failWriteBack(): void {
    for (const [name, register] of this.#files) {
      if (register !== null && register.data !== register.durable) this.writeBackErrors++;
      this.#files.set(name, lost(register));
    }
  }

  /** The answer that the operation will get. */
  foresee(xid: string, name: string, operation: Operation): Answer {
    return this.#answers.get(xid) ?? apply(this.#files.get(name) ?? null, operation).answer;
  }

  /** Makes it the volume of a server without a duplicate request cache: nothing to recognize a call by. */
  forgetAnswers(): void {
    this.#answers.clear();
  }
}

export class SimulatedVolumes {
  /** Volumes that lie where those of a disk set are expected. */
  readonly #mounted = new Map<ServerName, readonly SimulatedVolume[]>();

  constructor(homes: readonly ServerName[], each: number) {
    for (const home of homes) {
      const volumes = Array.from({ length: each }, (_, index) => new SimulatedVolume(home, `data${index}`));
      this.#mounted.set(home, volumes);
    }
  }

  /** The first, or only, one. */
  mountedFor(home: ServerName): SimulatedVolume {
    return this.of(home)[0]!;
  }

  of(home: ServerName): readonly SimulatedVolume[] {
    return this.#mounted.get(home)!;
  }

  /** Somebody mounts each where the other belongs; the same again puts it right. */
  swap(a: ServerName, b: ServerName): void {
    const first = this.of(a);
    this.#mounted.set(a, this.of(b));
    this.#mounted.set(b, first);
  }

  get swapped(): boolean {
    return [...this.#mounted].some(([home, [volume]]) => volume!.home !== home);
  }
}
