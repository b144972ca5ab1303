/** Removes directories with everything in them, a little at a time between the calls of clients. */
import { constants } from 'node:os';
import { DirectoryReader } from '../../system/directory-entries.ts';
import {
  AT_REMOVEDIR,
  close,
  makeDirectoryAt,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  openAt,
  openBeneath,
  renameAt,
  unlinkAt,
} from '../../system/file-calls.ts';
import { fsync } from '../../system/pool-calls.ts';
import { endProjectInheritance } from '../../system/project-inheritance.ts';
import { asServer } from '../../system/thread-identity.ts';
import { inBackground } from '../../system/turns.ts';
import { errnoName } from '../failures/errno-outcomes.ts';
import { privateDirectory } from '../ownership/volume-files.ts';
import { withPrivateDirectory } from '../private-files/private-files.ts';
import type { Volume } from '../volume/volume.ts';
import { DIRECTORY, Emptying, namesIn } from './emptying.ts';

// A directory is moved into FilerPair's own one first, in one step:
//
//   .filerpair/removed/ID/0      the directory; what is in it and is not empty is moved beside it: 1, 2, ...
//   .filerpair/removed/ID        empty: it is done. It stays until forget(), so that nothing is ever removed twice under one ID
//
// The next owner, after a crash or a takeover, needs to know nothing else. Nothing is entered before it was moved, which a mount point
// can't be. Symbolic links are removed as what they are.

const { EBUSY, EEXIST, EIO, ELOOP, ENOENT, ENOTDIR, EXDEV } = constants.errno;
const encoder = new TextEncoder();
const DOT = encoder.encode('.');
const REMOVED = encoder.encode('removed');
const FIRST = encoder.encode('0');
const OWN_MODE = 0o700;
/** The thread's time for one slice. ms */
const SLICE_MS = 1;
/** Between two slices, and while nothing may be written. ms */
const PAUSE_MS = 4;
const NOT_THERE: readonly number[] = [ENOENT, ENOTDIR, ELOOP];

export interface RemovalResult {
  /** removed: it is gone, all of it. absent: it was not there. inUse: an export lies in it. failed: some of it can't be removed. */
  readonly outcome: 'removed' | 'absent' | 'inUse' | 'failed';
  /** A sentence without its full stop. */
  readonly message: string;
}

export interface RemoverHooks {
  /** May the volume be changed at this moment, on the server's own account? */
  readonly mayWrite: () => boolean;
  /** Path of an export that is this directory or lies in it; null: there is none. */
  readonly exportIn: (names: readonly Uint8Array[], key: string) => string | null;
  readonly moved: () => void;
  readonly done: (id: string, result: RemovalResult) => void;
}

export class DirectoryRemover {
  readonly #volume: Volume;
  readonly #hooks: RemoverHooks;
  /** IDs, in the order in which they came. */
  readonly #queue: Set<string>;
  readonly #reader: DirectoryReader;
  /** By ID: of directories that were not there. Nothing else tells them from those that are deleted. */
  readonly #absent: Map<string, RemovalResult>;
  #running: Promise<void> | null;
  #stopped: boolean;

  constructor(volume: Volume, hooks: RemoverHooks) {
    this.#volume = volume;
    this.#hooks = hooks;
    this.#queue = new Set();
    this.#reader = new DirectoryReader();
    this.#absent = new Map();
    this.#running = null;
    this.#stopped = false;
  }

  /** Goes on with the removals that an owner before has not finished. */
  resume(): void {
    const unfinished: Uint8Array[] = [];
    this.#withRemoved((removed) => {
      for (const id of namesIn(this.#reader, removed, Number.POSITIVE_INFINITY)) {
        const place = openAt(removed, id, DIRECTORY);
        if (place < 0) continue;
        if (namesIn(this.#reader, place, 1).length > 0) unfinished.push(id);
        close(place);
      }
      return 0;
    });
    for (const id of unfinished) this.#enqueue(new TextDecoder().decode(id));
  }

  /** Ends with `done`. The same ID again removes nothing else. names: of `directory`, from the root of the volume. */
  remove(id: string, names: readonly Uint8Array[], directory: string): void {
    if (this.#queue.has(id) || this.#stopped) return;
    const where = `directory "${directory}" of volume "${this.#volume.spec.name}"`;
    const result = this.#absent.get(id) ?? asServer(() => this.#move(id, names, where));
    if (result?.outcome === 'absent') this.#absent.set(id, result);
    if (result === null) this.#enqueue(id);
    else this.#hooks.done(id, result);
  }

  /** Nobody asks for this ID again. */
  forget(id: string): void {
    if (this.#queue.has(id) || !this.#hooks.mayWrite()) return;
    const { gate } = this.#volume;
    this.#absent.delete(id);
    this.#withRemoved((removed) => unlinkAt(gate, removed, encoder.encode(id), AT_REMOVEDIR));
  }

  /** Begins nothing more. Resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  /** The result of `act`, or -errno. */
  #withRemoved(act: (removed: number) => number): number {
    return withPrivateDirectory(privateDirectory(this.#volume.spec.path), (own) => {
      const removed = openAt(own, REMOVED, DIRECTORY);
      if (removed < 0) return removed;
      const result = act(removed);
      close(removed);
      return result;
    });
  }

  // ------------------------------------------------------------------------------------------------- the move

  /** null: it lies in FilerPair's own directory, perhaps since an owner before. What has its name by now is something else. */
  #move(id: string, names: readonly Uint8Array[], where: string): RemovalResult | null {
    const last = names.at(-1);
    if (last === undefined) return { outcome: 'failed', message: 'the root of a volume is never deleted' };
    const place = encoder.encode(id);
    const moved = this.#withRemoved((removed) => {
      const fd = openAt(removed, place, DIRECTORY);
      if (fd >= 0) close(fd);
      return fd;
    });
    if (moved >= 0) return null;
    const above = this.#openAbove(names);
    const fd = above < 0 ? above : openBeneath(above, last, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    const { identity } = this.#volume;
    const looked = fd < 0 ? fd : identity.ofFd(fd);
    if (fd >= 0) close(fd);
    const user = looked < 0 ? null : this.#hooks.exportIn(names, identity.key());
    let result: RemovalResult | null = null;
    if (user !== null) {
      const message = `${where} stays: the export "${user}" is in it; delete that FilerShare first, or set deletionPolicy: Retain`;
      result = { outcome: 'inUse', message };
    } else if (looked < 0 && !NOT_THERE.includes(-looked)) result = whyNot(where, looked);
    else {
      const error = this.#moveTo(place, looked < 0 ? -1 : above, last);
      if (error < 0) result = whyNot(where, error);
      else if (looked < 0) result = { outcome: 'absent', message: `${where} is not there` };
    }
    if (above >= 0) close(above);
    return result;
  }

  /** above: of the directory; -1: it is not there, and only that is to be remembered. 0 or -errno. */
  #moveTo(place: Uint8Array, above: number, name: Uint8Array): number {
    const { gate, spec } = this.#volume;
    const made = withPrivateDirectory(privateDirectory(spec.path), (own) =>
      makeDirectoryAt(gate, own, REMOVED, OWN_MODE),
    );
    if (made < 0 && made !== -EEXIST) return made;
    return this.#withRemoved((removed) => {
      const created = makeDirectoryAt(gate, removed, place, OWN_MODE);
      if (created < 0 && created !== -EEXIST) return created;
      if (above < 0) return 0;
      const fd = openAt(removed, place, DIRECTORY);
      if (fd < 0) return fd;
      // It has the project of the volume's root, if that gives it to what is made in it. The directory may have one of its own.
      endProjectInheritance(gate, fd);
      const result = renameAt(gate, above, name, fd, FIRST);
      close(fd);
      if (result < 0) unlinkAt(gate, removed, place, AT_REMOVEDIR);
      else this.#hooks.moved();
      return result;
    });
  }

  #openAbove(names: readonly Uint8Array[]): number {
    let fd = openAt(this.#volume.rootFd, DOT, O_PATH | O_DIRECTORY);
    for (const name of names.slice(0, -1)) {
      if (fd < 0) return fd;
      const next = openBeneath(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
      close(fd);
      fd = next;
    }
    return fd;
  }

  // ---------------------------------------------------------------------------------------------- the removal

  #enqueue(id: string): void {
    this.#queue.add(id);
    if (this.#running !== null || this.#stopped) return;
    this.#running = this.#run().finally(() => {
      this.#running = null;
    });
    inBackground(this.#running);
  }

  async #run(): Promise<void> {
    for (const id of this.#queue) {
      const result = await this.#empty(id);
      this.#queue.delete(id);
      if (result === null) return;
      this.#hooks.done(id, result);
    }
  }

  /** null: stopped before the end. */
  async #empty(id: string): Promise<RemovalResult | null> {
    const place = this.#withRemoved((removed) => openAt(removed, encoder.encode(id), DIRECTORY));
    if (place < 0) return whyNot("FilerPair's own directory", place);
    let emptying: Emptying | null = null;
    try {
      // The move is on the disk before anything is removed.
      const durable = await flushed(place);
      if (durable < 0) return whyNot("FilerPair's own directory", durable);
      const begun = asServer(() => new Emptying(this.#volume, this.#reader, place));
      emptying = begun;
      for (;;) {
        if (this.#stopped) return null;
        if (this.#hooks.mayWrite()) {
          const result = asServer(() => begun.goOn(performance.now() + SLICE_MS));
          if (result === 'done') break;
          if (result !== 'goesOn')
            return { outcome: 'failed', message: `the directory is not deleted whole: ${result.problem}` };
          await new Promise<void>((resolve) => this.#volume.asyncClose.whenClosed(resolve, null));
        }
        await pause();
      }
      await flushed(place);
      return { outcome: 'removed', message: 'the directory is deleted, with everything in it' };
    } finally {
      emptying?.close();
      close(place);
    }
  }
}

function whyNot(where: string, result: number): RemovalResult {
  const reason =
    result === -EBUSY
      ? 'something is mounted there (EBUSY)'
      : result === -EXDEV
        ? 'it is a file system of its own (EXDEV)'
        : errnoName(-result);
  return { outcome: 'failed', message: `${where} can't be deleted: ${reason}` };
}

function flushed(fd: number): Promise<number> {
  return new Promise((resolve) => fsync(fd, (error) => resolve(error === null ? 0 : (error.errno ?? -EIO))));
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}
