/**
 * Actions that decide() wants: data, in the order in which they have to happen. The folder apply/ carries them out, runtime/ calls both
 * again whenever something changes, so a plan that fails halfway is no harm: the next one starts from there. An action that
 * fails holds up only what says that it needs it.
 */

import type { FilerPairStatus } from '../../crds/pair/status.ts';
import type { LastTransitionAnnotation } from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject, MergePatch } from '../../kubernetes/objects.ts';
import { apiVersionOf, resources } from '../../kubernetes/resource.ts';
import type { DnsLookup } from './observed.ts';

export type ResourceName = keyof typeof resources;

interface Of {
  readonly resource: ResourceName;
  /** One clause for the log: why this is done. */
  readonly why: string;
  /** Told once it is done. */
  readonly event?: PairEvent;
  /** Clients wait for it: of all pairs that have something to do, it is done first. Stands in front of what is not. */
  readonly urgent?: true;
  /** The piece of work that this action belongs to. */
  readonly part?: string;
  /** Pieces of work. The action is left out if an earlier action of one of them failed or was left out. */
  readonly needs?: readonly string[];
}

export type Action =
  /**
   * Server-side apply. `expect`: whether decide() saw an object of this pair. If it saw none, the executor makes
   * sure that there is none of anybody else before it applies: force would take it over. `differing`: fields that were found
   * otherwise, for people.
   */
  | (Of & {
      readonly kind: 'apply';
      readonly object: KubernetesObject;
      readonly expect: 'absent' | 'ours';
      readonly differing?: readonly string[];
    })
  /** Server-side apply of the whole status of an object that is there. */
  | (Of & { readonly kind: 'applyStatus'; readonly object: KubernetesObject })
  /** POST. AlreadyExists is success where the name is derived from what is made (pods), a problem elsewhere. */
  | (Of & { readonly kind: 'create'; readonly object: KubernetesObject })
  /** A key that signs file handles: random bytes are no decision, so the executor makes them. */
  | (Of & {
      readonly kind: 'createSecret';
      readonly object: KubernetesObject;
      readonly key: string;
      readonly size: number;
    })
  /** A new authority in the Secret `object`. `replaces`: resourceVersion of the one that is there; null: none is. */
  | (Of & {
      readonly kind: 'makeAuthority';
      readonly object: KubernetesObject;
      readonly replaces: string | null;
      /** Common name. */
      readonly name: string;
      readonly lifetimeMs: number;
      /** Authorities that go on being trusted, PEM. */
      readonly previous: 'the one that signs now' | readonly string[];
    })
  /** A new key and certificate in the Secret `object`, signed by the authority in the Secret `authority`. */
  | (Of & {
      readonly kind: 'issueCertificate';
      readonly object: KubernetesObject;
      readonly replaces: string | null;
      readonly authority: string;
      readonly by: 'newest' | 'previous';
      readonly dnsName: string;
      readonly lifetimeMs: number;
    })
  /** Merge patch; with a resourceVersion inside it is a compare-and-swap. */
  | (Of & {
      readonly kind: 'patch';
      /** Absent: of the cluster. */
      readonly namespace?: string;
      readonly name: string;
      readonly patch: MergePatch;
    })
  /** Would the API server make this object? A dry run: admission, quotas, names that must exist. Changes nothing. */
  | (Of & { readonly kind: 'check'; readonly object: KubernetesObject })
  /**
   * Reads a Lease, and fails unless it still names this holder at this epoch. Stands in front of what must
   * not be done on the strength of a cache that lags behind, as a step of the same piece of work.
   */
  | (Of & {
      readonly kind: 'confirm';
      readonly namespace: string;
      readonly name: string;
      readonly holder: string | null;
      readonly epoch: number;
    })
  /**
   * Lists pods and VolumeAttachments, and ends the plan if a pod for another node uses one of the claims, or one of the volumes
   * is attached to another node. Stands in front of a mount that must not become the second one: caches lag one by one.
   */
  | (Of & {
      readonly kind: 'confirmDetached';
      readonly namespace: string;
      /** Name of the pod to make. */
      readonly name: string;
      /** Claims of the disk set. */
      readonly claims: readonly string[];
      /** PersistentVolumes that these are bound to. */
      readonly volumes: readonly string[];
      /** The node on which they may be. */
      readonly node: string;
    })
  /**
   * Reads a claim, and ends the plan if somebody has deleted it. Stands in front of the end of a pod that may be the last one that
   * uses it: the claim would go with the pod, and a cache shows the deletion late.
   */
  | (Of & { readonly kind: 'confirmKept'; readonly namespace: string; readonly name: string })
  /**
   * Asks for a Node, and ends the plan if there is one. Stands in front of the end of a server whose node is said to be gone: it may
   * register again at any moment, and the server runs on.
   */
  | (Of & {
      readonly kind: 'confirmNodeGone';
      /** The object is the cluster's. */
      readonly namespace?: undefined;
      readonly name: string;
    })
  /**
   * Reads a Node, and ends the plan unless it is ready and has none of these volumes in use, or is marked as out of service, or there
   * is none. Stands in front of the end of the note on the Lease that it has the disks: when Kubernetes has taken them by force nothing
   * else says so.
   */
  | (Of & {
      readonly kind: 'confirmReleased';
      /** The object is the cluster's. */
      readonly namespace?: undefined;
      readonly name: string;
      /** As in Node.status.volumesInUse. */
      readonly volumes: readonly string[];
    })
  /**
   * Reads a FilerPairOperation, and fails unless it is the very object that was seen (uid) and has not ended. Stands in front of what
   * it asks of the servers: caches lag one by one, and an operation acts once.
   */
  | (Of & {
      readonly kind: 'confirmUnended';
      readonly namespace: string;
      readonly name: string;
      readonly uid: string;
    })
  /** Concerns the very object that was seen (uid). */
  | (Of & {
      readonly kind: 'delete';
      readonly namespace: string;
      readonly name: string;
      readonly uid: string;
    });

/** Deletes the very object that was seen. */
export const deletion = (resource: ResourceName, { metadata }: KubernetesObject, why: string): Action => ({
  kind: 'delete',
  resource,
  namespace: metadata.namespace ?? '',
  name: metadata.name ?? '',
  uid: metadata.uid ?? '',
  why,
});

/** Merge patch of an object. */
export const patchOf = (
  resource: ResourceName,
  { metadata: { namespace, name = '' } }: KubernetesObject,
  patch: MergePatch,
  why: string,
): Action => ({ kind: 'patch', resource, ...(namespace && { namespace }), name, patch, why });

/** Compare-and-swap of annotations; null takes one off. */
export const annotated = (
  resource: ResourceName,
  object: KubernetesObject,
  annotations: Readonly<Record<string, string | null>>,
  why: string,
): Action => {
  const { resourceVersion } = object.metadata;
  return patchOf(resource, object, { metadata: { resourceVersion, annotations } }, why);
};

/** Compare-and-swap: a merge patch replaces the list, and others have finalizers too. */
export const finalizersSet = (
  resource: ResourceName,
  object: KubernetesObject,
  finalizers: readonly string[],
  why: string,
): Action => {
  const { resourceVersion } = object.metadata;
  return patchOf(resource, object, { metadata: { resourceVersion, finalizers } }, why);
};

/** The whole status that this operator has to tell of an object. */
export const statusApplied = (
  resource: ResourceName,
  { metadata: { name, namespace } }: KubernetesObject,
  status: object,
  why: string,
): Action => {
  const { kind } = resources[resource];
  const object = {
    apiVersion: apiVersionOf(resources[resource]),
    kind,
    metadata: { name, namespace },
    status,
  };
  return { kind: 'applyStatus', resource, object: object as KubernetesObject, why };
};

/** Steps of one piece of work: each needs all those before it. */
export const inSequence = (part: string, actions: readonly Action[]): Action[] =>
  actions.map((action) => ({ ...action, part, needs: [part, ...(action.needs ?? [])] }));

/** Actions of one piece of work that do not need each other. */
export const sideBySide = (part: string, actions: readonly Action[]): Action[] =>
  actions.map((action) => ({ ...action, part }));

export interface PairEvent {
  /** Tells whether an event that is decided twice is one and the same; told once. */
  readonly key: string;
  readonly type: 'Normal' | 'Warning';
  /** Reason of a condition or transition, in one word. */
  readonly reason: string;
  readonly note: string;
  /** Name of a change of owner in logs: disk set and epoch, as in the servers' logs. */
  readonly transition?: string;
  /** Absent: the pair. */
  readonly about?: { readonly resource: ResourceName; readonly object: KubernetesObject };
}

export type RolloutNote = NonNullable<FilerPairStatus['rollout']> & {
  /** Its turn has come: an image is tried, or a server has been touched. */
  readonly begun: boolean;
};

/** A change of the owner of a disk set, as the owner tells it. */
export type Transition = LastTransitionAnnotation & {
  readonly diskSet: string;
  /** From the begin of the first phase until the disk set is open: the first reply, which needs a client, is not in it. */
  readonly durationMilliseconds: number;
};

export interface Plan {
  readonly actions: readonly Action[];
  /** How far a change of the spec has come; null: both servers run as it wants. */
  readonly rollout: RolloutNote | null;
  /** Changes of owners that no status has told yet, the oldest first. */
  readonly transitions: readonly Transition[];
  /** The whole status, or null if it is as it should be (or there is nothing to write it to). */
  readonly status: FilerPairStatus | null;
  /** Changes in the status; the actions themselves tell what was done. */
  readonly events: readonly PairEvent[];
  /** Questions to the DNS for the next look; answering them changes nothing by itself. */
  readonly lookups: readonly DnsLookup[];
  /** When time alone will change the decision, in ms since the epoch; null: never. */
  readonly wakeAt: number | null;
}
