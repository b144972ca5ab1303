/** Keeps a copy of a selection of objects: list once, then watch from there, forever. */

import { ApiError, isGone } from './api-error.ts';
import { createBackOff, pause } from './back-off.ts';
import type { KubernetesClient, Selection } from './client.ts';
import { type Entry, keyOf, ObjectStore, read, type StoreOptions } from './object-store.ts';
import type { KubernetesObject } from './objects.ts';
import type { Resource } from './resource.ts';
import { isOlder } from './resource-version.ts';

//   list ok ──> watch ──> watch ended by the server, or broken ──> watch again from the last resourceVersion seen
//     ^                    └─ 410 Gone (HTTP, or an ERROR inside the stream), or history has gone back ──> list again
//     └── before each attempt after a failure: wait (doubling, jittered; at least as long as the API asks for)
//
// An API server whose etcd was restored from a backup begins again at an older resourceVersion. It accepts a watch from a version
// that it has not reached yet, and is silent until it has; what happened in between is never told. A restore breaks every watch.
// So after a watch that ended before its time the version of now is asked for (resourceVersions are comparable: KEP-5504).
//
// Bookmarks keep the resourceVersion fresh on a quiet selection, so that resuming after an hour needs no list. A copy
// may be old; it is never half new: after a list the differences are reported object by object, deletions included. Only the first
// list is taken page by page: until it is whole the copy is not to be relied on.

export type Change<T extends KubernetesObject> =
  | { readonly kind: 'added'; readonly object: T }
  | { readonly kind: 'modified'; readonly object: T; readonly previous: T }
  | { readonly kind: 'deleted'; readonly previous: T };

export interface ReflectorOptions<T extends KubernetesObject> extends Selection, StoreOptions<T> {
  readonly client: KubernetesClient;
  readonly resource: Resource;
  /** Called for each difference, in order, after the copy has it. An exception here is a bug and ends the reflector. */
  readonly onChange?: ((change: Change<T>) => void) | undefined;
  /** Called after the first list, and after every later one. */
  readonly onListed?: (() => void) | undefined;
  /** Called with every failure; the reflector goes on by itself. */
  readonly onError?: ((error: ApiError, retryInMs: number) => void) | undefined;
  /** Reduces what is kept in memory; absent: to everything but managedFields. */
  readonly trim?: ((object: T) => T) | undefined;
  /** Waiting times after failures, ms. */
  readonly retryMsMin?: number | undefined;
  readonly retryMsMax?: number | undefined;
  /** ms of silence after which a watch counts as dead; the API's bookmarks come about once a minute. */
  readonly idleMsMax?: number | undefined;
  readonly random?: (() => number) | undefined;
}

/** The part of a copy that its readers see, wherever it comes from. */
export type ObjectCopy<T extends KubernetesObject> = Pick<
  Reflector<T>,
  'listed' | 'get' | 'values' | 'inGroup' | 'start' | 'whenListed' | 'stop'
>;

/** A watch that ends sooner and brought nothing is treated as a failure would be. */
const SHORT_WATCH_MS = 5_000;

export class Reflector<T extends KubernetesObject> {
  readonly #options: ReflectorOptions<T>;
  readonly #objects: ObjectStore<T>;
  readonly #abort = new AbortController();
  readonly #firstList = Promise.withResolvers<void>();
  #listed = false;
  #running: Promise<void> | undefined;
  #lastError: ApiError | undefined;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#objects = new ObjectStore(options);
    // Nobody has to wait for the first list.
    this.#firstList.promise.catch(() => undefined);
  }

  /** Whether the copy has been whole at least once. Before that, absence means nothing. */
  get listed(): boolean {
    return this.#listed;
  }

  /** Why the copy may be out of date now; undefined while a watch stands. */
  get lastError(): ApiError | undefined {
    return this.#lastError;
  }

  get(namespace: string | undefined, name: string): T | undefined {
    return this.#objects.get(`${namespace ?? ''}/${name}`);
  }

  values(): IterableIterator<T> {
    return this.#objects.values();
  }

  /** Those for which `groupOf` says `group`. */
  inGroup(group: string): T[] {
    return this.#objects.inGroup(group);
  }

  get size(): number {
    return this.#objects.size;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Resolves after the first list; rejects when stopped before it. */
  whenListed(): Promise<void> {
    return this.#firstList.promise;
  }

  /** Ends the watch; resolves when nothing of this reflector runs any more. Rejects with a handler's exception. */
  async stop(): Promise<void> {
    this.#abort.abort();
    this.#firstList.reject(new Error(`the reflector of ${this.#options.resource.plural} was stopped`));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { retryMsMin = 250, retryMsMax = 30_000, random } = this.#options;
    const backOff = createBackOff(retryMsMin, retryMsMax, random);
    const signal = this.#abort.signal;
    let resourceVersion: string | undefined;
    let brokenOff = false;
    while (!signal.aborted) {
      try {
        const wentBack =
          resourceVersion !== undefined && brokenOff && (await this.#isBehind(resourceVersion));
        if (wentBack) resourceVersion = undefined;
        resourceVersion ??= await this.#list(wentBack);
        this.#lastError = undefined;
        const startedMs = performance.now();
        let news = false;
        const timeoutSeconds = this.#timeoutSeconds();
        brokenOff = true;
        for await (const event of this.#watch(resourceVersion, timeoutSeconds)) {
          news = true;
          backOff.reset();
          if (event.type === 'BOOKMARK') {
            resourceVersion = event.resourceVersion;
            continue;
          }
          this.#take(event.type, event.object);
          resourceVersion = event.object.metadata.resourceVersion ?? resourceVersion;
        }
        brokenOff = performance.now() - startedMs < timeoutSeconds * 1000 - SHORT_WATCH_MS;
        // Ended gracefully. Ended at once and without news (a proxy that allows no long answers): do not spin.
        if (!news && performance.now() - startedMs < SHORT_WATCH_MS) await pause(backOff.next(), signal);
        else backOff.reset();
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof ApiError)) {
          this.#abort.abort();
          throw error;
        }
        if (isGone(error)) resourceVersion = undefined;
        this.#lastError = error;
        const waitMs = Math.max(error.retryAfterMs ?? 0, backOff.next());
        this.#options.onError?.(error, waitMs);
        await pause(waitMs, signal);
      }
    }
  }

  /** Spread, so that the watches of one process do not end together. */
  #timeoutSeconds(): number {
    const { random = Math.random } = this.#options;
    return 300 + Math.floor(random() * 300);
  }

  async #isBehind(resourceVersion: string): Promise<boolean> {
    const { client, resource } = this.#options;
    const now = await client.versionNow(resource, this.#options, { signal: this.#abort.signal });
    return isOlder(now, resourceVersion);
  }

  #watch(resourceVersion: string, timeoutSeconds: number) {
    const { client, resource, namespace, labelSelector, fieldSelector } = this.#options;
    return client.watch<T>(resource, {
      namespace,
      labelSelector,
      fieldSelector,
      resourceVersion,
      timeoutSeconds,
      idleMsMax: this.#options.idleMsMax ?? 100_000,
      signal: this.#abort.signal,
    });
  }

  /** `wentBack`: a version that was seen before may have been given a second time, to something else. */
  async #list(wentBack: boolean): Promise<string> {
    const { client, resource } = this.#options;
    const gone = new Set(this.#objects.keys());
    const changed: Entry<T>[] = [];
    let version: string | undefined;
    // Reduced page by page. A later list is taken when the last page is there: the copy is never half new.
    const first = !this.#listed;
    for await (const page of client.pages<T>(resource, this.#options, { signal: this.#abort.signal })) {
      version = page.metadata.resourceVersion;
      for (const object of page.items) {
        gone.delete(keyOf(object));
        if (!wentBack && this.#objects.has(object)) continue;
        const reduced = this.#reduced(object);
        if (first) this.#set(reduced);
        else changed.push(this.#objects.prepare(reduced));
      }
    }
    for (const entry of changed) this.#put(entry, read(entry));
    for (const key of gone) this.#forget(key, this.#objects.get(key)!);
    this.#listed = true;
    this.#firstList.resolve();
    this.#options.onListed?.();
    return version ?? '0';
  }

  #take(type: 'ADDED' | 'MODIFIED' | 'DELETED', arrived: T): void {
    if (type === 'DELETED') {
      const key = keyOf(arrived);
      if (this.#objects.get(key) !== undefined) this.#forget(key, this.#reduced(arrived));
    } else if (!this.#objects.has(arrived)) this.#set(this.#reduced(arrived));
  }

  #set(reduced: T): void {
    this.#put(this.#objects.prepare(reduced), reduced);
  }

  #put(entry: Entry<T>, object: T): void {
    const previous = this.#objects.get(entry.key);
    this.#objects.set(entry);
    this.#options.onChange?.(
      previous === undefined ? { kind: 'added', object } : { kind: 'modified', object, previous },
    );
  }

  #forget(key: string, previous: T): void {
    this.#objects.delete(key);
    this.#options.onChange?.({ kind: 'deleted', previous });
  }

  #reduced(object: T): T {
    const { trim } = this.#options;
    if (trim !== undefined) return trim(object);
    const { managedFields: _, ...metadata } = object.metadata as T['metadata'] & { managedFields?: unknown };
    return { ...object, metadata } as T;
  }
}
