/** Copies of the same selection in several namespaces, read like one: for who may look into these namespaces and no others. */

import type { KubernetesObject } from './objects.ts';
import type { ObjectCopy } from './reflector.ts';

export class JoinedCopies<T extends KubernetesObject> implements ObjectCopy<T> {
  readonly #copies: ReadonlyMap<string, ObjectCopy<T>>;

  /** By namespace. */
  constructor(copies: ReadonlyMap<string, ObjectCopy<T>>) {
    this.#copies = copies;
  }

  get listed(): boolean {
    return this.#all().every(({ listed }) => listed);
  }

  get(namespace: string | undefined, name: string): T | undefined {
    return this.#copies.get(namespace ?? '')?.get(namespace, name);
  }

  *values(): IterableIterator<T> {
    for (const copy of this.#copies.values()) yield* copy.values();
  }

  inGroup(group: string): T[] {
    return this.#all().flatMap((copy) => copy.inGroup(group));
  }

  start(): void {
    for (const copy of this.#copies.values()) copy.start();
  }

  async whenListed(): Promise<void> {
    await Promise.all(this.#all().map((copy) => copy.whenListed()));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#all().map((copy) => copy.stop()));
  }

  #all(): ObjectCopy<T>[] {
    return [...this.#copies.values()];
  }
}
