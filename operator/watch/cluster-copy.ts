/** The operator's copy of the cluster: a reflector for each row of the table of watched kinds. Nothing is polled. */

import type { ApiError } from '../../kubernetes/api-error.ts';
import type { KubernetesClient, Selection } from '../../kubernetes/client.ts';
import { JoinedCopies } from '../../kubernetes/joined-copies.ts';
import { labels } from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import { type Change, type ObjectCopy, Reflector } from '../../kubernetes/reflector.ts';
import { type Resource, resources } from '../../kubernetes/resource.ts';
import {
  type ObjectOf,
  type WatchedKind,
  type WatchedKindName,
  watchedKinds,
} from '../model/watched-kinds.ts';

export interface ClusterCopyOptions {
  readonly client: KubernetesClient;
  /** Namespaces to watch; none: all. */
  readonly namespaces: readonly string[];
  /** Optional kinds not to look for: without the right to, looking fails forever. */
  readonly without: ReadonlySet<WatchedKindName>;
  /** Called for changes of what is kept, and for no other change. */
  readonly onChange: (name: WatchedKindName, change: Change<KubernetesObject>) => void;
  /** An optional kind was installed and listed, or removed. */
  readonly onServed: () => void;
  readonly onError: (resource: string, error: ApiError, retryInMs: number) => void;
}

interface Definition extends KubernetesObject {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

type Copy = ObjectCopy<KubernetesObject>;

export class ClusterCopy {
  readonly #options: ClusterCopyOptions;
  readonly #copies = new Map<WatchedKindName, Copy>();
  /** Copies for the definitions of optional kinds. */
  readonly #definitions: Copy[] = [];

  constructor(options: ClusterCopyOptions) {
    this.#options = options;
    for (const [name, kind] of Object.entries(watchedKinds) as [
      WatchedKindName,
      WatchedKind<KubernetesObject>,
    ][])
      if (kind.optional !== true) this.#copies.set(name, this.#watch(name, kind));
      else if (!options.without.has(name)) this.#definitions.push(this.#watchDefinition(name, kind));
  }

  /** Resolves when everything has been listed once. */
  async start(): Promise<void> {
    for (const copy of this.#all()) copy.start();
    await Promise.all(this.#all().map((copy) => copy.whenListed()));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#all().map((copy) => copy.stop()));
  }

  get listed(): boolean {
    return this.#all().every(({ listed }) => listed);
  }

  /** Whether the cluster has this kind, and the copy is filled. */
  isServed(name: WatchedKindName): boolean {
    return this.#copies.get(name)?.listed === true;
  }

  get<Name extends WatchedKindName>(
    name: Name,
    namespace: string | undefined,
    object: string,
  ): ObjectOf<Name> | undefined {
    return this.#copies.get(name)?.get(namespace, object) as ObjectOf<Name> | undefined;
  }

  *values<Name extends WatchedKindName>(name: Name): Generator<ObjectOf<Name>, void, void> {
    yield* (this.#copies.get(name)?.values() ?? []) as Iterable<ObjectOf<Name>>;
  }

  /** Those of the pair, by their label or their reference. */
  ofPair<Name extends WatchedKindName>(name: Name, key: string): ObjectOf<Name>[] {
    return (this.#copies.get(name)?.inGroup(key) ?? []) as ObjectOf<Name>[];
  }

  #all(): Copy[] {
    return [...this.#copies.values(), ...this.#definitions];
  }

  #watch(
    name: WatchedKindName,
    { resource, selects, asText, keep, concerning = content }: WatchedKind<KubernetesObject>,
  ): Copy {
    const concern = (object: KubernetesObject): string => JSON.stringify(concerning(object));
    return this.#reflector(resource, {
      ...(selects === 'pair' && { labelSelector: labels.pair }),
      ...(selects !== 'all' && { groupOf: (object) => pairOf(name, object) }),
      asText,
      trim: keep,
      onChange: (change) => {
        if (change.kind !== 'modified' || concern(change.object) !== concern(change.previous))
          this.#options.onChange(name, change);
      },
    });
  }

  #watchDefinition(name: WatchedKindName, kind: WatchedKind<KubernetesObject>): Copy {
    const definition = `${kind.resource.plural}.${kind.resource.group}`;
    const copy = this.#reflector<Definition>(resources.customResourceDefinitions, {
      fieldSelector: `metadata.name=${definition}`,
      trim: ({ metadata, status }) => ({
        metadata: { name: metadata.name ?? '' },
        status: { conditions: status?.conditions ?? [] },
      }),
      onChange: () => {
        const { conditions = [] } = copy.get(undefined, definition)?.status ?? {};
        const served = conditions.some(({ type, status }) => type === 'Established' && status === 'True');
        this.#serve(name, kind, served);
      },
    });
    return copy;
  }

  /** A kind may be installed or removed at any time. */
  #serve(name: WatchedKindName, kind: WatchedKind<KubernetesObject>, served: boolean): void {
    const copy = this.#copies.get(name);
    if (served === (copy !== undefined)) return;
    if (copy !== undefined) {
      this.#copies.delete(name);
      void copy.stop();
      this.#options.onServed();
      return;
    }
    const made = this.#watch(name, kind);
    this.#copies.set(name, made);
    made.start();
    made.whenListed().then(this.#options.onServed, () => undefined);
  }

  #reflector<T extends KubernetesObject>(
    resource: Resource,
    how: Selection & {
      readonly asText?: boolean | undefined;
      readonly trim: (object: T) => T;
      readonly groupOf?: (object: T) => string | null;
      readonly onChange: (change: Change<T>) => void;
    },
  ): ObjectCopy<T> {
    const { client, namespaces, onError } = this.#options;
    const copyOf = (namespace: string | undefined): Reflector<T> =>
      new Reflector<T>({
        ...how,
        namespace,
        client,
        resource,
        onError: (error, retryInMs) => onError(resource.plural, error, retryInMs),
      });
    if (!resource.namespaced || namespaces.length === 0) return copyOf(undefined);
    return new JoinedCopies(new Map(namespaces.map((name) => [name, copyOf(name)])));
  }
}

export const keyOf = (namespace: string, name: string): string => `${namespace}/${name}`;

export function pairKeyOf({ metadata }: KubernetesObject): string | null {
  const pair = metadata.labels?.[labels.pair];
  return pair === undefined ? null : keyOf(metadata.namespace ?? '', pair);
}

/** The pair that an object belongs to, by its label or its reference; null: none. */
export function pairOf(name: WatchedKindName, object: KubernetesObject): string | null {
  if (watchedKinds[name].selects !== 'reference') return pairKeyOf(object);
  const { spec } = object as { readonly spec?: { readonly pairRef?: { readonly name?: string } } };
  return spec?.pairRef?.name === undefined ? null : keyOf(object.metadata.namespace ?? '', spec.pairRef.name);
}

const content = ({ metadata: { resourceVersion: _, ...metadata }, ...object }: KubernetesObject): unknown => [
  metadata,
  object,
];
