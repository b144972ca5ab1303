/** Parts that all objects of a pair have in common: labels, owner, and the fingerprint of what was applied. */

import { labels } from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject, OwnerReference } from '../../kubernetes/objects.ts';
import { apiVersionOf, resources } from '../../kubernetes/resource.ts';
import type { ResourceName } from '../model/action.ts';
import { fingerprint } from '../model/fingerprint.ts';
import { APPLIED_ANNOTATION } from '../model/names.ts';
import type { View } from '../model/view.ts';
import type { OwnKindName } from '../model/watched-kinds.ts';

export function ownerReference(view: View): OwnerReference {
  return {
    apiVersion: apiVersionOf(resources.filerPairs),
    kind: resources.filerPairs.kind,
    name: view.observed.name,
    uid: view.uid,
    controller: true,
    blockOwnerDeletion: true,
  };
}

export function pairLabels(view: View, server?: string): Record<string, string> {
  return {
    'app.kubernetes.io/name': 'filerpair',
    'app.kubernetes.io/managed-by': 'filerpair-operator',
    [labels.pair]: view.observed.name,
    ...(server === undefined ? {} : { [labels.server]: server }),
  };
}

export interface Desired<Name extends ResourceName = OwnKindName> {
  readonly resource: Name;
  readonly object: KubernetesObject;
}

interface Parts {
  readonly server?: string | undefined;
  /** Annotations or labels of the user; the operator's own win. */
  readonly template?: Readonly<Record<string, string>> | undefined;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  /** Everything beside apiVersion, kind and metadata. */
  readonly body: Readonly<Record<string, unknown>>;
  /** False: the object outlives the FilerPair. */
  readonly owned?: boolean;
}

export function desired<Name extends ResourceName>(
  view: View,
  resource: Name,
  name: string,
  parts: Parts,
): Desired<Name> {
  const metadata = {
    name,
    namespace: view.observed.namespace,
    labels: { ...parts.template, ...pairLabels(view, parts.server), ...parts.labels },
    ...(parts.owned === false ? {} : { ownerReferences: [ownerReference(view)] }),
  };
  const object = {
    apiVersion: apiVersionOf(resources[resource]),
    kind: resources[resource].kind,
    ...parts.body,
  };
  const annotations = {
    ...parts.annotations,
    [APPLIED_ANNOTATION]: fingerprint([metadata, parts.annotations ?? {}, parts.body]),
  };
  return { resource, object: { ...object, metadata: { ...metadata, annotations } } };
}
