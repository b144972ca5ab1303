/** The objects of one copy, by namespace and name, and by group. */

import type { KubernetesObject } from './objects.ts';

/** An object as it is kept. */
export interface Entry<T> {
  /** Namespace and name. */
  readonly key: string;
  readonly uid: string | undefined;
  readonly version: string | undefined;
  readonly group: string | null;
  readonly kept: T | string;
}

export interface StoreOptions<T extends KubernetesObject> {
  /** Key by which inGroup() finds objects without looking at all of them; null: none. */
  readonly groupOf?: ((object: T) => string | null) | undefined;
  /** Keeps JSON text, a fifth of the memory, and parses it whenever the object is read. */
  readonly asText?: boolean | undefined;
}

export class ObjectStore<T extends KubernetesObject> {
  readonly #options: StoreOptions<T>;
  readonly #entries = new Map<string, Entry<T>>();
  readonly #groups = new Map<string, Map<string, Entry<T>>>();

  constructor(options: StoreOptions<T>) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  keys(): IterableIterator<string> {
    return this.#entries.keys();
  }

  get(key: string): T | undefined {
    const entry = this.#entries.get(key);
    return entry && read(entry);
  }

  *values(): IterableIterator<T> {
    for (const entry of this.#entries.values()) yield read(entry);
  }

  inGroup(group: string): T[] {
    return [...(this.#groups.get(group)?.values() ?? [])].map(read);
  }

  /** Whether this version of the very object is the one that is kept. */
  has(object: T): boolean {
    const { uid, resourceVersion } = object.metadata;
    const entry = this.#entries.get(keyOf(object));
    return resourceVersion !== undefined && entry?.uid === uid && entry?.version === resourceVersion;
  }

  /** The entry that set() keeps of the object. */
  prepare(object: T): Entry<T> {
    const { uid, resourceVersion: version } = object.metadata;
    const group = this.#options.groupOf?.(object) ?? null;
    const kept = this.#options.asText === true ? JSON.stringify(object) : object;
    return { key: keyOf(object), uid, version, group, kept };
  }

  set(entry: Entry<T>): void {
    const { key, group } = entry;
    const before = this.#entries.get(key)?.group ?? null;
    if (before !== group) this.#ungroup(key, before);
    this.#entries.set(key, entry);
    if (group === null) return;
    const members = this.#groups.get(group);
    if (members === undefined) this.#groups.set(group, new Map([[key, entry]]));
    else members.set(key, entry);
  }

  delete(key: string): void {
    this.#ungroup(key, this.#entries.get(key)?.group ?? null);
    this.#entries.delete(key);
  }

  #ungroup(key: string, group: string | null): void {
    if (group === null) return;
    const members = this.#groups.get(group);
    members?.delete(key);
    if (members?.size === 0) this.#groups.delete(group);
  }
}

export const keyOf = ({ metadata }: KubernetesObject): string =>
  `${metadata.namespace ?? ''}/${metadata.name ?? ''}`;

export const read = <T>({ kept }: Entry<T>): T => (typeof kept === 'string' ? (JSON.parse(kept) as T) : kept);
