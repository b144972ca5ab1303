/**
 * One plain input for decide(): everything known about one FilerPair at one moment. Absent is null or a missing entry; what
 * could not be found out is 'unknown' and never looks like absent.
 */

import type { Reason } from '../../crds/pair/reasons.ts';
import type { CertificateFacts } from './certificate-upkeep.ts';
import type {
  Claim,
  FilerPairClassObject,
  FilerPairObject,
  Node,
  NodeSelector,
  VolumeAttachment,
} from './objects.ts';
import type { OwnObjects } from './watched-kinds.ts';

/** An action of the last plan that the API server refused, for a reason that stays. */
export interface Problem {
  /** Reason of a condition. */
  readonly reason: Reason;
  readonly message: string;
  /** Only the rollout of a change is held up, or others change back what is written; the servers serve. */
  readonly concerns?: 'rollout' | 'contested';
}

export type DnsRecordType = 'A' | 'AAAA' | 'CNAME';

export interface DnsLookup {
  readonly name: string;
  readonly type: DnsRecordType;
}

export const answerKey = (name: string, type: DnsRecordType): string => `${name}/${type}`;

/** Content of the Secrets, without any key. */
export interface ObservedCredentials extends CertificateFacts {
  /** By name of a Secret that the spec names: whether it is there, and offered to the pair. */
  readonly offered: Readonly<Record<string, 'offered' | 'not offered' | 'absent' | 'unknown'>>;
  /** The keys that sign file handles. */
  readonly handleKeys: 'there' | 'absent' | 'unknown';
}

/** A pair's knowledge of the others: a new image comes to those that want it as a wave. `imagesStarted` and `arrivedAt` are of all. */
export interface OtherPairs {
  readonly count: number;
  /** How many of them have begun to roll something out and have not come to the end. */
  readonly rollingOut: number;
  /** Images of file servers of which a server is ready, or a trial has succeeded. */
  readonly imagesStarted: readonly string[];
  /** Images that both servers of some pair run, with nothing left to be rolled out there. */
  readonly arrivedAt: readonly string[];
  /** A pair whose rollout has stood still for too long, and what it says; null: none. */
  readonly stuck: string | null;
}

export const noOtherPairs: OtherPairs = {
  count: 0,
  rollingOut: 0,
  imagesStarted: [],
  arrivedAt: [],
  stuck: null,
};

/** `OwnObjects`: all that carry the pair's label, by kind. */
export interface Observed extends OwnObjects {
  readonly namespace: string;
  readonly name: string;
  /** null: surely not there. */
  readonly pair: FilerPairObject | null;
  /** The class of the pair: the one that it names, or the default one. null: it names none, and there is no default one. */
  readonly pairClass: FilerPairClassObject | 'absent' | null;
  readonly namespaceLabels: Readonly<Record<string, string>>;
  /** Claims with the pair's label, and those that the spec adopts, by name. */
  readonly claims: Readonly<Record<string, Claim | 'absent' | 'unknown'>>;
  /** By name of a claim: the other FilerPairs of the namespace whose spec names it too, and when they were made, RFC 3339. */
  readonly claimUsers: Readonly<Record<string, readonly { readonly name: string; readonly since: string }[]>>;
  /** Attachments of the PersistentVolumes that the pair's claims are bound to. */
  readonly volumeAttachments: readonly VolumeAttachment[];
  /** By name of the PersistentVolume that a claim of a pair with storage type Reattach is bound to: where it can be attached. */
  readonly volumeReach: Readonly<Record<string, NodeSelector | 'every node' | 'unknown'>>;
  /** By name of a node with pods of the pair, and of a CSI driver that sets a limit: how many more volumes it can attach there. */
  readonly volumeSlots: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** By name of a node with servers of a pair with storage type Reattach: what it could still give to pods. Missing: not known (yet). */
  readonly nodeRoom: Readonly<Record<string, Room>>;
  /** Fences of the same PersistentVolumes: they keep each from two nodes at once. 'unknown' or missing: not seen (yet). */
  readonly volumeFences: Readonly<Record<string, VolumeFence | 'unknown'>>;
  /** The Secrets of the interconnect. The operator may look for them by name, not list Secrets. */
  readonly credentials: ObservedCredentials;
  /** Whether the cluster has cert-manager's Certificates. */
  readonly certificatesServed: boolean;
  /** Whether the cluster has VolumeSnapshots. */
  readonly snapshotsServed: boolean;
  /** Whether the cluster has the DNSEndpoint resource of ExternalDNS. */
  readonly dnsEndpointsServed: boolean;
  /** Answers of the DNS, by answerKey(). Empty: there is no such record. Nothing under a key: not known. */
  readonly dnsAnswers: Readonly<Record<string, readonly string[] | 'unknown'>>;
  readonly nodes: Readonly<Record<string, Node>>;
  /**
   * By name of a node: when this process first saw its condition Ready as it is now, by the clock of `now`. Nothing under a
   * name: just now.
   */
  readonly readinessSince: Readonly<Record<string, number>>;
  /** Nodes that pods of the pair name and that the API says do not exist: when it first said so, by the clock of `now`. */
  readonly nodesGone: Readonly<Record<string, number>>;
  readonly others: OtherPairs;
  /** In the order of the plan. */
  readonly problems: readonly Problem[];
}

/** Room that is left on a node, or that a pod requests. */
export interface Room {
  /** Processors. */
  readonly cpu: number;
  /** Bytes. */
  readonly memory: number;
  readonly pods: number;
}

/** Facts that the attach/detach controller goes by when two nodes want one volume. */
export interface VolumeFence {
  /** Access modes of the PersistentVolume. */
  readonly accessModes: readonly string[];
  /** CSI driver, also where a plug-in of old is carried out by one; null: none. */
  readonly driver: string | null;
  /** CSIDriver.spec.attachRequired; without a CSIDriver Kubernetes attaches. */
  readonly attachRequired: boolean;
  /** Its name in Node.status.volumesInUse; absent: not known, since a plug-in of old made it. */
  readonly inUseAs?: string;
}

/** Settings that the operator got when it was started. */
export interface OperatorSettings {
  /** Image of file server and sentinel, unless the FilerPairClass says otherwise. */
  readonly fileserverImage: string;
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  /** Namespaces from which pods may read the metrics of servers; null: no NetworkPolicies are made. */
  readonly metricsFrom: readonly string[] | null;
}
