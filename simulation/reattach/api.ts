/**
 * The API server of the simulated cluster: objects of one namespace, compare-and-swap by resourceVersion, UIDs that no two
 * objects share, merge patches, graceful deletion. It carries out what the operator's real executor asks for, and what
 * Kubernetes' controllers, kubelets, servers and people write.
 */
import { ApiError } from '../../kubernetes/api-error.ts';
import type { KubernetesObject, MergePatch } from '../../kubernetes/objects.ts';
import type { Resource } from '../../kubernetes/resource.ts';
import { merged } from '../../operator/plan/world.fixture.ts';

/** Objects of one resource as they are at one moment; another array after each change. */
export type Snapshot = readonly KubernetesObject[];

export class SimulatedApi {
  /** By plural of the resource. */
  readonly #kinds: Map<string, Snapshot>;
  readonly #now: () => number;
  #version = 1_000;
  #uids = 0;

  /** @param now ms since the epoch. */
  constructor(objects: ReadonlyMap<string, Snapshot>, now: () => number) {
    this.#kinds = new Map(objects);
    this.#now = now;
  }

  snapshot<T extends KubernetesObject>(plural: string): readonly T[] {
    return (this.#kinds.get(plural) ?? []) as readonly T[];
  }

  find<T extends KubernetesObject>(plural: string, name: string): T | undefined {
    return this.snapshot<T>(plural).find(({ metadata }) => metadata.name === name);
  }

  add(plural: string, object: KubernetesObject): void {
    const metadata = {
      ...object.metadata,
      uid: `uid-${++this.#uids}`,
      creationTimestamp: new Date(this.#now()).toISOString(),
      resourceVersion: this.#nextVersion(),
    };
    this.#kinds.set(plural, [...this.snapshot(plural), { ...object, metadata }]);
  }

  /** Changes an object for every writer but the operator. Nothing happens if the object has gone. */
  change<T extends KubernetesObject>(plural: string, name: string, change: (old: T) => T): void {
    this.#kinds.set(
      plural,
      this.snapshot<T>(plural).map((one) => {
        if (one.metadata.name !== name) return one;
        const changed = change(one);
        return { ...changed, metadata: { ...changed.metadata, resourceVersion: this.#nextVersion() } };
      }),
    );
  }

  remove(plural: string, name: string): void {
    this.#kinds.set(
      plural,
      this.snapshot(plural).filter(({ metadata }) => metadata.name !== name),
    );
  }

  /** The object stays, marked, until its users have let go. */
  markDeleted(plural: string, name: string): void {
    const deletionTimestamp = new Date(this.#now()).toISOString();
    this.change(plural, name, (old) =>
      old.metadata.deletionTimestamp === undefined
        ? { ...old, metadata: { ...old.metadata, deletionTimestamp } }
        : old,
    );
  }

  // ---- what the executor asks for

  get({ plural }: Resource, { name }: { readonly name: string }): KubernetesObject {
    const found = this.find(plural, name);
    if (found === undefined) throw refused(404, 'NotFound', `${plural} "${name}" not found`);
    return found;
  }

  list({ plural }: Resource) {
    return { metadata: {}, items: this.snapshot(plural) };
  }

  create({ plural }: Resource, object: KubernetesObject): KubernetesObject {
    const { name = '' } = object.metadata;
    if (this.find(plural, name) !== undefined)
      throw refused(409, 'AlreadyExists', `${plural} "${name}" already exists`);
    this.add(plural, object);
    return this.find(plural, name)!;
  }

  apply(resource: Resource, object: KubernetesObject): KubernetesObject {
    const { name = '' } = object.metadata;
    if (this.find(resource.plural, name) === undefined) return this.create(resource, object);
    return this.mergePatch(resource, { name }, object as unknown as MergePatch);
  }

  mergePatch({ plural }: Resource, { name }: { readonly name: string }, patch: MergePatch): KubernetesObject {
    const old = this.find(plural, name);
    if (old === undefined) throw refused(404, 'NotFound', `${plural} "${name}" not found`);
    const { resourceVersion, uid } = (patch['metadata'] ?? {}) as KubernetesObject['metadata'];
    if ((resourceVersion ?? old.metadata.resourceVersion) !== old.metadata.resourceVersion)
      throw refused(409, 'Conflict', `${plural} "${name}" has been modified`);
    if ((uid ?? old.metadata.uid) !== old.metadata.uid)
      throw refused(409, 'Conflict', `${plural} "${name}" has another uid`);
    this.change(plural, name, (one) => merged(one, patch) as KubernetesObject);
    return this.find(plural, name)!;
  }

  delete(
    { plural }: Resource,
    { name }: { readonly name: string },
    expected: { readonly uid?: string },
  ): void {
    const found = this.find<KubernetesObject & { spec?: { nodeName?: string } }>(plural, name);
    if (found === undefined) throw refused(404, 'NotFound', `${plural} "${name}" not found`);
    if (expected.uid !== undefined && expected.uid !== found.metadata.uid)
      throw refused(409, 'Conflict', `${plural} "${name}" has another uid`);
    const isHeld =
      (plural === 'pods' && found.spec?.nodeName !== undefined) ||
      plural === 'persistentvolumeclaims' ||
      (found.metadata.finalizers?.length ?? 0) > 0;
    if (isHeld) this.markDeleted(plural, name);
    else this.remove(plural, name);
  }

  #nextVersion(): string {
    return String(++this.#version);
  }
}

export const refused = (status: number, reason: string, message: string): ApiError =>
  new ApiError({ outcome: 'refused', status, reason, message });
