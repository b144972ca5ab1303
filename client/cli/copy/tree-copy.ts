/** Copies files and directories: several directories and many files at once, within bounds, and on after what fails for one of them. */
import { CallTimeout, hasCode } from '../../errors.ts';
import { CommandError, type Surroundings } from '../command.ts';
import { tell } from '../explain.ts';
import { Budget } from './budget.ts';
import { copyFile, type FileCopyOptions, isSame } from './file-copy.ts';
import { isAbandoned, isPartName } from './part-file.ts';
import { type Name, type Part, type Place, type PlaceInfo, textOf } from './place.ts';

export interface TreeCopyOptions extends FileCopyOptions {
  readonly recursive: boolean;
  /** A symbolic link is an error, and not copied. */
  readonly refuseLinks: boolean;
  readonly dryRun: boolean;
}

/** Calls of so many small files fill the server's groups of changes; of large ones a few fill the network. */
const IN_FLIGHT = { sizeMax: 160 * 1024 * 1024, countMax: 64 };
/** Memory of one large file: what is read ahead, and what is not confirmed yet. Bytes. */
const MEMORY_MAX = 48 * 1024 * 1024;
const DIRECTORIES_MAX = 8;

interface Folder {
  readonly source: Place;
  readonly info: PlaceInfo;
  readonly target: Place;
  /** Entries of the target. */
  readonly there: ReadonlyMap<string, PlaceInfo>;
  readonly parts: readonly Part[];
  readonly parent: Folder | null;
  /** Parts that are not finished yet: its own listing, and its entries. */
  pending: number;
}

export class TreeCopy {
  readonly #options: TreeCopyOptions;
  readonly #world: Surroundings;
  readonly #onBytes: (count: number) => void;
  readonly #budget = new Budget(IN_FLIGHT);
  readonly #folders: Folder[] = [];
  #workers = 0;
  /** Identities of the directories that receive something. */
  readonly #made = new Set<string>();
  readonly #tidied = new Set<string>();
  #active = 0;
  #idle = Promise.withResolvers<void>();
  #fatal: { readonly error: unknown } | null = null;
  #failed = 0;
  readonly counts = { files: 0, bytes: 0, same: 0, links: 0 };

  constructor(options: TreeCopyOptions, world: Surroundings, onBytes: (count: number) => void) {
    this.#options = options;
    this.#world = world;
    this.#onBytes = onBytes;
  }

  /** Rejects with what went wrong; of a directory when all else in it is copied. */
  async copy(source: Place, info: PlaceInfo, target: Place): Promise<void> {
    const there = await target.info();
    if (info.kind !== 'Directory') {
      const parts = await this.#partsBeside(target);
      return this.#copyOne(source, info, target, there, parts);
    }
    if (!this.#options.recursive) throw new CommandError(`${source.label} is a directory: copy it with -r`);
    this.#failed = 0;
    this.#idle = Promise.withResolvers();
    await this.#enter(source, info, target, there, null);
    await this.#idle.promise;
    if (this.#fatal !== null) throw this.#fatal.error;
    if (this.#failed > 0)
      throw new CommandError(
        `${this.#failed} of what ${source.label} holds could not be copied, the rest is copied`,
      );
  }

  async #enter(
    source: Place,
    info: PlaceInfo,
    target: Place,
    there: PlaceInfo | null,
    parent: Folder | null,
  ): Promise<void> {
    check(source, info, target, there);
    if (this.#made.has(info.identity))
      throw new CommandError(
        `${source.label} is a part of this copy: a directory cannot be copied into itself`,
      );
    const { dryRun } = this.#options;
    if (dryRun && there === null) this.#world.stdout.line(`would make directory ${target.label}`);
    // Its owner has to be able to fill it.
    const isNew = dryRun ? there === null : await target.makeDirectory((info.mode & 0o777) | 0o700);
    const made = await target.info();
    if (made !== null) this.#made.add(made.identity);
    const { existing, parts } = isNew ? EMPTY : await contentsOf(target);
    const folder: Folder = { source, info, target, there: existing, parts, parent, pending: 1 };
    if (parent !== null) parent.pending += 1;
    this.#active += 1;
    this.#folders.push(folder);
    this.#startWorkers();
  }

  #startWorkers(): void {
    while (this.#workers < DIRECTORIES_MAX && this.#folders.length > 0) {
      this.#workers += 1;
      void this.#work();
    }
  }

  async #work(): Promise<void> {
    // The latest first: a tree is left before the next one is entered, which keeps few directories open.
    for (let folder = this.#folders.pop(); folder !== undefined; folder = this.#folders.pop()) {
      try {
        await this.#list(folder);
      } catch (error) {
        this.#fail(error);
      }
      await this.#leave(folder);
    }
    this.#workers -= 1;
  }

  async #list(folder: Folder): Promise<void> {
    for (const { place, info } of await folder.source.entries()) {
      if (this.#fatal !== null) return;
      this.#world.stop.throwIfAborted();
      // Gone meanwhile, or a device: a copy of a directory goes on without it, and says so.
      if (info === null || info.kind === 'Other') {
        const why = info === null ? 'it is gone' : 'no file';
        this.#world.stderr.line(`filerpair: ${place.label} left out: ${why}`);
        continue;
      }
      const target = folder.target.child(place.name);
      const there = folder.there.get(keyOfName(place.name)) ?? null;
      if (info.kind === 'Directory') {
        await this.#enter(place, info, target, there, folder).catch((error: unknown) => this.#fail(error));
        continue;
      }
      const giveBack = await this.#budget.take(Math.min(info.size, MEMORY_MAX));
      folder.pending += 1;
      void this.#copyOne(place, info, target, there, folder.parts)
        .catch((error: unknown) => this.#fail(error))
        .then(() => {
          giveBack();
          return this.#leave(folder);
        });
    }
  }

  /** One of those that a folder waits for is done; with the last one it gets its attributes. */
  async #leave(folder: Folder): Promise<void> {
    folder.pending -= 1;
    if (folder.pending > 0) return;
    await this.#finish(folder).catch((error: unknown) => this.#fail(error));
    if (folder.parent !== null) await this.#leave(folder.parent);
    this.#active -= 1;
    if (this.#active === 0) this.#idle.resolve();
  }

  async #finish({ info, target, parts }: Folder): Promise<void> {
    const { dryRun, preserve } = this.#options;
    if (dryRun || this.#fatal !== null) return;
    for (const part of parts) {
      const now = await target.info();
      // A courtesy: the copy does not depend on it. A part that was gone on with has another name by now.
      if (isAbandoned(part.name, part.file, now?.mtimeMs ?? 0))
        await target
          .child(part.name)
          .removePart(part)
          .catch(() => {});
    }
    await target.syncNames();
    if (preserve) await target.setAttributes(info);
    else if ((info.mode & 0o700) !== 0o700) {
      const made = await target.info();
      if (made !== null) await target.setAttributes({ ...made, mode: info.mode & 0o777 });
    }
  }

  #fail(error: unknown): void {
    const { stop, stderr } = this.#world;
    if (this.#fatal !== null) return;
    // The next ones would only fail in the same way.
    const hopeless = error instanceof CallTimeout || hasCode(error, 'ENOSPC', 'EDQUOT', 'EROFS', 'ECANCELED');
    if (hopeless || stop.aborted) this.#fatal = { error };
    else {
      tell(error, stderr);
      this.#failed += 1;
    }
  }

  async #copyOne(
    source: Place,
    info: PlaceInfo,
    target: Place,
    there: PlaceInfo | null,
    parts: readonly Part[],
  ): Promise<void> {
    check(source, info, target, there);
    if (info.kind === 'Other') throw new CommandError(`${source.label} is neither a file nor a directory`);
    if (info.kind === 'Link') return this.#copyLink(source, target);
    if (await isSame(source, info, target, there, this.#options)) {
      this.counts.same += 1;
      return;
    }
    if (this.#options.dryRun) this.#world.stdout.line(`would copy ${source.label} to ${target.label}`);
    else
      await copyFile(source, info, target, there, parts, this.#options, (count) => {
        this.counts.bytes += count;
        this.#onBytes(count);
      });
    this.counts.files += 1;
  }

  async #copyLink(source: Place, target: Place): Promise<void> {
    if (this.#options.refuseLinks) throw new CommandError(`${source.label} is a symbolic link: refused`);
    const to: Name = await source.readLink();
    if (this.#options.dryRun)
      this.#world.stdout.line(`would make symbolic link ${target.label} to ${textOf(to)}`);
    else await target.makeLink(to);
    this.counts.links += 1;
  }

  /** For a file that is named: what is beside its target, and what of it can go. */
  async #partsBeside(target: Place): Promise<readonly Part[]> {
    if (this.#options.dryRun || this.#tidied.has(target.parent)) return [];
    this.#tidied.add(target.parent);
    const found = await target.parts().catch(() => ({ parts: [], nowMs: 0 }));
    if (this.#options.resume) return found.parts;
    for (const part of found.parts)
      if (isAbandoned(part.name, part.file, found.nowMs)) await target.removePart(part).catch(() => {});
    return [];
  }
}

const EMPTY = { existing: new Map<string, PlaceInfo>(), parts: [] as Part[] };

function keyOfName(name: Name): string {
  return typeof name === 'string' ? name : `\0${name.toString('latin1')}`;
}

async function contentsOf(target: Place): Promise<typeof EMPTY> {
  const existing = new Map<string, PlaceInfo>();
  const parts: Part[] = [];
  for (const { place, info } of await target.entries()) {
    const { name } = place;
    if (info === null) continue;
    existing.set(keyOfName(name), info);
    if (typeof name !== 'string' || !isPartName(name)) continue;
    const { size, mtimeMs, nlink, kind } = info;
    const isKind = (wanted: PlaceInfo['kind']) => () => kind === wanted;
    parts.push({
      name,
      file: { size, mtimeMs, nlink, isFile: isKind('File'), isSymbolicLink: isKind('Link') },
    });
  }
  return { existing, parts };
}

function check(source: Place, info: PlaceInfo, target: Place, there: PlaceInfo | null): void {
  if (there?.identity === info.identity)
    throw new CommandError(
      `${source.label} and ${target.label} are the same ${info.kind === 'Directory' ? 'directory' : 'file'}`,
    );
  if (there?.kind === 'Directory' && info.kind !== 'Directory')
    throw new CommandError(`${target.label} is a directory: ${source.label} does not replace it`);
}
