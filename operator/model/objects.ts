/** The fields of Kubernetes objects that the operator reads. Everything else stays in the JSON, untouched. */

import type { z } from 'zod';
import type { Condition as TypedCondition } from '../../crds/condition.ts';
import type { FilerDiskSetSpec, FilerDiskSetStatus } from '../../crds/filer-disk-set.ts';
import type { filerPairClassSpec } from '../../crds/filer-pair-class.ts';
import type { FilerPairOperationSpec, FilerPairOperationStatus } from '../../crds/filer-pair-operation.ts';
import type { FilerShareSpec } from '../../crds/filer-share.ts';
import type { FilerPairSpecInput } from '../../crds/pair/spec.ts';
import type { FilerPairStatus } from '../../crds/pair/status.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';

export interface FilerPairObject extends KubernetesObject {
  readonly spec: FilerPairSpecInput;
  readonly status?: FilerPairStatus;
}

export interface FilerPairOperationObject extends KubernetesObject {
  readonly spec: FilerPairOperationSpec;
  readonly status?: FilerPairOperationStatus;
}

export interface FilerDiskSetObject extends KubernetesObject {
  readonly spec: FilerDiskSetSpec;
  readonly status?: FilerDiskSetStatus;
}

/** The part of a share that the operator needs to know: whether its pair can serve it. */
export interface FilerShareObject extends KubernetesObject {
  /** Every address and port may mount it: it does not matter which of them a server sees. */
  readonly forEverybody?: true;
  readonly spec: Pick<FilerShareSpec, 'pairRef' | 'server' | 'volume' | 'deletionPolicy'>;
  readonly status?: { readonly conditions?: readonly Omit<TypedCondition, 'message'>[] };
}

export interface FilerPairClassObject extends KubernetesObject {
  readonly spec: z.input<typeof filerPairClassSpec>;
}

export interface Terminated {
  readonly exitCode?: number;
  readonly reason?: string;
  /** Text that the container wrote to its termination log; the server's first line there is its incarnation. */
  readonly message?: string;
  readonly finishedAt?: string;
  readonly containerID?: string;
}

export interface ContainerState {
  readonly running?: { readonly startedAt?: string };
  readonly waiting?: { readonly reason?: string; readonly message?: string };
  readonly terminated?: Terminated;
}

export interface ContainerStatus {
  readonly name: string;
  readonly ready?: boolean;
  readonly restartCount?: number;
  readonly state?: ContainerState;
  readonly lastState?: ContainerState;
}

export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason?: string;
  readonly message?: string;
  readonly lastTransitionTime?: string;
}

export interface Pod extends KubernetesObject {
  readonly spec?: { readonly nodeName?: string; readonly [field: string]: unknown };
  readonly status?: {
    readonly phase?: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';
    readonly reason?: string;
    readonly message?: string;
    readonly podIP?: string;
    readonly conditions?: readonly Condition[];
    readonly containerStatuses?: readonly ContainerStatus[];
  };
}

export interface Taint {
  readonly key: string;
  readonly value?: string;
  readonly effect: string;
}

export interface Node extends KubernetesObject {
  /** When the annotation filerpair.dev/powered-off was written, by the API server's clock, RFC 3339; absent: not known. */
  readonly poweredOffSaidAt?: string;
  readonly spec?: { readonly unschedulable?: boolean; readonly taints?: readonly Taint[] };
  readonly status?: {
    readonly conditions?: readonly Condition[];
    readonly addresses?: readonly { readonly type: string; readonly address: string }[];
    /** `bootID`: another one after every boot. */
    readonly nodeInfo?: { readonly bootID?: string };
    /** Attachable volumes that its kubelet has mounted, or is about to; it takes one off when it has unmounted it. */
    readonly volumesInUse?: readonly string[];
  };
}

export interface NodeSelectorRequirement {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | 'Gt' | 'Lt';
  readonly values?: readonly string[];
}

export interface NodeSelectorTerm {
  readonly matchExpressions?: readonly NodeSelectorRequirement[];
  readonly matchFields?: readonly NodeSelectorRequirement[];
}

export interface NodeSelector {
  readonly nodeSelectorTerms: readonly NodeSelectorTerm[];
}

export interface PersistentVolume extends KubernetesObject {
  readonly spec?: {
    readonly nodeAffinity?: { readonly required?: NodeSelector };
    /** These, not those of its claim, decide for Kubernetes whether two nodes may have it attached. */
    readonly accessModes?: readonly string[];
    readonly csi?: { readonly driver?: string; readonly volumeHandle?: string };
  };
}

export interface CSIDriver extends KubernetesObject {
  /** Absent: true. */
  readonly spec?: { readonly attachRequired?: boolean };
}

/** Facts of a node's CSI drivers about it. */
export interface CsiNode extends KubernetesObject {
  readonly spec?: {
    readonly drivers?: readonly {
      readonly name: string;
      /** How many volumes it can attach; absent: it does not say. */
      readonly allocatable?: { readonly count?: number };
    }[];
  };
}

export interface VolumeSnapshot extends KubernetesObject {
  readonly status?: {
    /** When the storage has cut it. */
    readonly creationTime?: string;
    readonly readyToUse?: boolean;
    readonly error?: { readonly message?: string };
  };
}

export interface Service extends KubernetesObject {
  readonly spec?: { readonly clusterIP?: string; readonly type?: string; readonly [field: string]: unknown };
  readonly status?: {
    readonly loadBalancer?: {
      readonly ingress?: readonly { readonly ip?: string; readonly hostname?: string }[];
    };
  };
}

export interface Claim extends KubernetesObject {
  readonly spec?: {
    /** The PersistentVolume that it is bound to. */
    readonly volumeName?: string;
    /** Absent: none was named, and there was no default one. */
    readonly storageClassName?: string;
    readonly accessModes?: readonly string[];
    readonly [field: string]: unknown;
  };
  readonly status?: { readonly phase?: 'Pending' | 'Bound' | 'Lost' };
}

/** A volume is attached to a node, or is to be: the word of the attach/detach controller and the CSI driver. */
export interface VolumeAttachment extends KubernetesObject {
  readonly spec?: {
    readonly nodeName?: string;
    /** The CSI driver. */
    readonly attacher?: string;
    readonly source?: { readonly persistentVolumeName?: string };
  };
  readonly status?: {
    readonly attached?: boolean;
    readonly attachError?: { readonly message?: string };
    readonly detachError?: { readonly message?: string };
  };
}
