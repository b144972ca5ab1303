/**
 * The files of a FileTable by their handles, and in the order of their last use. The way from a request to its file costs a hash and a
 * comparison.
 */
import { MAC_SIZE } from '../handles/file-handle.ts';
import type { OpenFile } from './open-file.ts';

/** Spreads what is alike over all hashes. 2^32 / golden ratio. */
const SPREAD = 0x9e3779b1;

export class FileIndex {
  readonly #chains: Map<number, OpenFile>;
  newest: OpenFile | null;
  oldest: OpenFile | null;
  count: number;
  /** Ticks so far. */
  now: number;

  constructor() {
    this.#chains = new Map();
    this.newest = null;
    this.oldest = null;
    this.count = 0;
    this.now = 0;
  }

  /** Files that can be found by their handles. */
  *found(): Iterable<OpenFile> {
    for (const first of this.#chains.values()) {
      for (let file: OpenFile | null = first; file !== null; file = file.chain) yield file;
    }
  }

  /** The file of a complete handle at bytes[start .. start + size); `hash`: hashOf() it without the signature. */
  withHandle(hash: number, bytes: Uint8Array, start: number, size: number): OpenFile | null {
    for (let file = this.#chains.get(hash) ?? null; file !== null; file = file.chain) {
      const { handle, otherHandle } = file;
      if (handle.length !== size) continue;
      if (sameBytes(handle, bytes, start, size)) return file;
      if (otherHandle !== null && sameBytes(otherHandle, bytes, start, size)) return file;
    }
    return null;
  }

  /** The file of the handle that begins with the first `size` of these bytes, whichever key has signed it. */
  withIdentity(hash: number, unsigned: Uint8Array, size: number): OpenFile | null {
    for (let file = this.#chains.get(hash) ?? null; file !== null; file = file.chain) {
      if (file.handle.length === size + MAC_SIZE && sameBytes(file.handle, unsigned, 0, size)) return file;
    }
    return null;
  }

  /** As the one used last. What was withdrawn can't be found by its handle. */
  insert(file: OpenFile): void {
    if (!file.tree.withdrawn) {
      file.chain = this.#chains.get(file.hash) ?? null;
      this.#chains.set(file.hash, file);
    }
    this.#append(file);
    this.count += 1;
  }

  /** The file is in the index. */
  remove(file: OpenFile): void {
    const first = this.#chains.get(file.hash);
    if (first === file) {
      if (file.chain === null) this.#chains.delete(file.hash);
      else this.#chains.set(file.hash, file.chain);
    } else {
      let before = first;
      while (before !== undefined && before.chain !== file) before = before.chain ?? undefined;
      if (before !== undefined) before.chain = file.chain;
    }
    file.chain = null;
    this.#unlink(file);
    this.count -= 1;
  }

  /** The file was used now: it becomes the newest. */
  touch(file: OpenFile): void {
    file.usedAt = this.now;
    if (file === this.newest) return;
    this.#unlink(file);
    this.#append(file);
  }

  #append(file: OpenFile): void {
    file.usedAt = this.now;
    file.older = this.newest;
    file.newer = null;
    if (this.newest !== null) this.newest.newer = file;
    else this.oldest = file;
    this.newest = file;
  }

  #unlink(file: OpenFile): void {
    if (file.older !== null) file.older.newer = file.newer;
    else this.oldest = file.newer;
    if (file.newer !== null) file.newer.older = file.older;
    else this.newest = file.older;
    file.older = null;
    file.newer = null;
  }
}

/**
 * Word by word, since every call looks for a file by it; cut to what V8 keeps without a heap object. Nobody can choose it freely: only
 * signed handles get in.
 */
export function hashOf(bytes: Uint8Array, start: number, size: number): number {
  let hash = size;
  let i = start;
  for (const end = start + size - 3; i < end; i += 4) {
    const word = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    hash = Math.imul(hash ^ word, SPREAD);
    hash ^= hash >>> 15;
  }
  for (; i < start + size; i++) hash = Math.imul(hash ^ bytes[i]!, SPREAD);
  return (hash ^ (hash >>> 15)) & 0x3fffffff;
}

function sameBytes(a: Uint8Array, b: Uint8Array, bStart: number, size: number): boolean {
  for (let i = 0; i < size; i++) if (a[i] !== b[bStart + i]) return false;
  return true;
}
