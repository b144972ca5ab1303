/** Parts of a file that are kept until they are on a disk, each byte once: the newest. */
import type { WriteResult } from './nfs3-client.ts';

export interface Extent {
  readonly start: number;
  readonly data: Uint8Array;
  /** Number of the oldest write whose bytes, or newer ones in their place, are in here. */
  since: number;
  /** The server's answer to the WRITE that carried it; null before. */
  verifier: WriteResult['verifier'] | null;
  /** A COMMIT has failed since it was sent: the server may have dropped it, though its verifier stays. */
  dropped: boolean;
}

/** Extents in the order of their offsets, none over another. */
export class ExtentMap {
  #extents: Extent[] = [];
  #held = 0;

  /** Bytes. */
  get size(): number {
    return this.#held;
  }

  get count(): number {
    return this.#extents.length;
  }

  [Symbol.iterator](): IterableIterator<Extent> {
    return this.#extents.values();
  }

  /** Newer data: what it covers is dropped. A commit that waits for dropped bytes now waits for the new ones. */
  putOver(extent: Extent): void {
    const { start, data } = extent;
    const end = start + data.length;
    const first = this.#firstAfter(start);
    let next = first;
    const parts: Extent[] = [];
    for (; next < this.#extents.length && this.#extents[next]!.start < end; next++) {
      const old = this.#extents[next]!;
      const oldEnd = old.start + old.data.length;
      this.#held -= old.data.length;
      extent.since = Math.min(extent.since, old.since);
      if (old.start < start) parts.push({ ...old, data: old.data.subarray(0, start - old.start) });

      if (oldEnd > end) parts.push({ ...old, start: end, data: old.data.subarray(end - old.start) });
    }
    const at = parts.length > 0 && parts[0]!.start < start ? 1 : 0;
    parts.splice(at, 0, extent);
    for (const part of parts) this.#held += part.data.length;
    this.#extents.splice(first, next - first, ...parts);
  }

  /** Older data: only those parts of it are taken whose bytes are not here yet. */
  putUnder(extent: Extent): void {
    const { start, data, since } = extent;
    const end = start + data.length;
    const gaps: Extent[] = [];
    let at = start;
    for (let i = this.#firstAfter(start); i < this.#extents.length && this.#extents[i]!.start < end; i++) {
      const newer = this.#extents[i]!;
      newer.since = Math.min(newer.since, since);
      if (newer.start > at) {
        gaps.push({ ...extent, start: at, data: data.subarray(at - start, newer.start - start) });
      }
      at = newer.start + newer.data.length;
    }
    if (at < end) gaps.push({ ...extent, start: at, data: data.subarray(at - start) });
    for (const gap of gaps) this.putOver(gap);
  }

  /** Removes an extent that is in here, itself and not only its like. */
  remove(extent: Extent): void {
    const at = this.#firstAfter(extent.start);
    if (this.#extents[at] !== extent) throw new Error(`no such extent at ${extent.start}`);
    this.#extents.splice(at, 1);
    this.#held -= extent.data.length;
  }

  overlaps({ start, data }: Pick<Extent, 'start' | 'data'>): boolean {
    const next = this.#extents[this.#firstAfter(start)];
    return next !== undefined && next.start < start + data.length;
  }

  /** Removes some at once. */
  removeAll(extents: ReadonlySet<Extent>): void {
    this.#extents = this.#extents.filter((each) => !extents.has(each));
    this.#held = this.#extents.reduce((size, each) => size + each.data.length, 0);
  }

  /** Index of the first extent that ends after a place. */
  #firstAfter(place: number): number {
    let low = 0;
    let high = this.#extents.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { start, data } = this.#extents[middle]!;
      if (start + data.length <= place) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
