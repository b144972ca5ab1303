/** Reduces an object to the fields that its reader uses: a copy of the cluster costs memory for everything that is in it. */

import type { KubernetesObject } from './objects.ts';

/** The members of an object to keep, or of each object of a list; true: the member as it is. */
export type Fields = { readonly [member: string]: true | Fields };

/** Annotation that kubectl writes for itself: the whole object once more. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

const METADATA: Fields = {
  name: true,
  namespace: true,
  uid: true,
  resourceVersion: true,
  generation: true,
  creationTimestamp: true,
  deletionTimestamp: true,
  labels: true,
  annotations: true,
  finalizers: true,
  ownerReferences: true,
};

/** The object with these fields alone, the metadata that identify it, and those annotations. */
export function withFields<T extends KubernetesObject>(
  object: T,
  fields: Fields,
  isKept: (annotation: string) => boolean = () => true,
): T {
  const kept = pick(object, { metadata: METADATA, ...fields }) as T;
  const { annotations } = kept.metadata;
  if (annotations === undefined) return kept;
  const left = Object.entries(annotations).filter(([name]) => name !== LAST_APPLIED && isKept(name));
  return { ...kept, metadata: { ...kept.metadata, annotations: Object.fromEntries(left) } };
}

function pick(value: unknown, fields: Fields): unknown {
  if (Array.isArray(value)) return value.map((one) => pick(one, fields));
  if (typeof value !== 'object' || value === null) return value;
  const members = value as Readonly<Record<string, unknown>>;
  const kept: Record<string, unknown> = {};
  for (const [name, wanted] of Object.entries(fields)) {
    const member = members[name];
    if (member !== undefined) kept[name] = wanted === true ? member : pick(member, wanted);
  }
  return kept;
}
