/**
 * Finds files by identity where the kernel won't: open_by_handle_at needs CAP_DAC_READ_SEARCH, and some file systems have no
 * handles to open.
 */
import { constants } from 'node:os';
import { DirectoryReader } from '../../system/directory-entries.ts';
import { close, O_DIRECTORY, O_NOFOLLOW, O_PATH, O_RDONLY, openAt } from '../../system/file-calls.ts';
import type { IdentityReader } from '../handles/file-identity.ts';
import { isDot, isDotDot, isPrivateName } from '../names/names.ts';

// An index in memory, identity -> (identity of a directory, name). It learns from every name that is looked up and,
// when that isn't enough (after a restart, after renames behind the server's back), by walking over the volume once.
// The handles that clients hold do not depend on it: they contain the identity, whichever way it is found.
//
// Costs memory for each file seen and a walk over the volume at the first miss: meant for demonstrations, development and small
// volumes. Any one of its names finds a file; a file open but nameless is stale.

interface Place {
  readonly parent: string;
  readonly name: Uint8Array;
}

/** Longest chain of directories that is followed upwards; the kernel's own limit for paths is far below. */
const DEPTH_MAX = 2048;
/** After a walk that did not find it, an identity counts as gone for so long. ms */
const GONE_MS = 2000;

const { ESTALE, ENOENT, ENOTDIR, ELOOP, EMFILE, ENFILE, ENOMEM } = constants.errno;
/** Resources that the server lacks for a moment: then a walk has not seen everything. */
const SHORTAGES: readonly number[] = [-EMFILE, -ENFILE, -ENOMEM];

export class PathIndex {
  readonly #rootFd: number;
  readonly #rootKey: string;
  readonly #identity: IdentityReader;
  readonly #places: Map<string, Place>;
  readonly #gone: Map<string, number>;
  walkCount: number;

  constructor(rootFd: number, rootKey: string, identity: IdentityReader) {
    this.#rootFd = rootFd;
    this.#rootKey = rootKey;
    this.#identity = identity;
    this.#places = new Map();
    this.#gone = new Map();
    this.walkCount = 0;
  }

  /** The object is (now) to be found there. */
  learn(key: string, parent: string, name: Uint8Array): void {
    this.#places.set(key, { parent, name: name.slice() });
    this.#gone.delete(key);
  }

  /** open() will not walk for it. */
  knows(key: string): boolean {
    const goneAt = this.#gone.get(key);
    return this.#places.has(key) || (goneAt !== undefined && performance.now() - goneAt < GONE_MS);
  }

  /** A descriptor of the object with this identity, or -errno (ESTALE: it has no name any more). */
  open(key: string, flags: number): number {
    const known = this.#openKnown(key, flags);
    if (known !== -ESTALE) return known;
    const now = performance.now();
    const goneAt = this.#gone.get(key);
    if (goneAt !== undefined && now - goneAt < GONE_MS) return -ESTALE;
    const walked = this.#walk();
    const found = this.#openKnown(key, flags);
    if (found !== -ESTALE) return found;
    if (walked < 0) return walked;
    this.#remember(key, now);
    return found;
  }

  #remember(key: string, now: number): void {
    if (this.#gone.size > 65536) this.#gone.clear();
    this.#gone.set(key, now);
  }

  #openKnown(key: string, flags: number): number {
    if (key === this.#rootKey) return openAt(this.#rootFd, DOT, flags | O_DIRECTORY);
    const names: Uint8Array[] = [];
    for (let at = key; at !== this.#rootKey; ) {
      const place = this.#places.get(at);
      if (place === undefined || names.length > DEPTH_MAX) return -ESTALE;
      names.push(place.name);
      at = place.parent;
    }
    return this.#descend(names, key, flags);
  }

  /** Down from the root, a name at a time, never through a symbolic link; is it the right object at the end? */
  #descend(names: readonly Uint8Array[], key: string, flags: number): number {
    let dir = this.#rootFd;
    for (let i = names.length - 1; i >= 0; i--) {
      const wanted = i === 0 ? flags | O_NOFOLLOW : O_PATH | O_DIRECTORY | O_NOFOLLOW;
      const fd = openAt(dir, names[i]!, wanted);
      if (dir !== this.#rootFd) close(dir);
      if (fd < 0) return fd === -ENOENT || fd === -ENOTDIR || fd === -ELOOP ? -ESTALE : fd;
      dir = fd;
    }
    if (this.#identity.ofFd(dir) === 0 && this.#identity.key() === key) return dir;
    close(dir);
    return -ESTALE;
  }

  /** Learns every name of the volume. 0; or -errno, if it could not look everywhere for lack of something. */
  #walk(): number {
    this.walkCount += 1;
    const rootFd = openAt(this.#rootFd, DOT, O_RDONLY | O_DIRECTORY);
    if (rootFd < 0) return rootFd;
    const walked = this.#walkDirectory(this.#rootKey, rootFd, 0);
    close(rootFd);
    return walked;
  }

  /** Names first, then the directories among them one after the other: one descriptor a level is open. As walk(). */
  #walkDirectory(parent: string, fd: number, depth: number): number {
    const reader = new DirectoryReader();
    if (depth > DEPTH_MAX || reader.start(fd, 0n) < 0) return 0;
    const found: { readonly key: string; readonly name: Uint8Array }[] = [];
    while (reader.next() > 0) {
      const { name } = reader;
      if (isDot(name) || isDotDot(name) || (parent === this.#rootKey && isPrivateName(name))) continue;
      if (this.#identity.ofName(fd, name) < 0) continue;
      const key = this.#identity.key();
      this.learn(key, parent, name);
      found.push({ key, name: name.slice() });
    }
    for (const { key, name } of found) {
      const below = openAt(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      if (SHORTAGES.includes(below)) return below;
      if (below < 0) continue;
      const walked = this.#walkDirectory(key, below, depth + 1);
      close(below);
      if (walked < 0) return walked;
    }
    return 0;
  }
}

const DOT = new TextEncoder().encode('.');
