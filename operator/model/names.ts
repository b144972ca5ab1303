/** Names of everything that the operator makes for a pair. */

import { diskSetName } from '../../crds/filer-disk-set.ts';
import { fingerprint } from './fingerprint.ts';

export const FIELD_MANAGER = 'filerpair-operator';
/** Keeps a Lease until no pod of the pair is left: its epoch must never start again below what the disks know. */
export const LEASE_FINALIZER = 'filerpair.dev/in-use';
/** Keeps a FilerPair until its servers have ended and its claims know the last epoch. */
export const PAIR_FINALIZER = 'filerpair.dev/clean-up';
/** On every applied object: fingerprint of what was applied, so that a changed wish is seen without asking. */
export const APPLIED_ANNOTATION = 'filerpair.dev/applied';
/** On pods: fingerprint of what the pod was made from. */
export const TEMPLATE_ANNOTATION = 'filerpair.dev/template';
/** On pods of servers: fingerprint of how the operator that made it makes pods (desired/rendering.ts). */
export const RENDERING_ANNOTATION = 'filerpair.dev/rendering';
/** On pods: 'true' on the one pod of a server that its Services lead to. */
export const CURRENT_LABEL = 'filerpair.dev/current';

/** On Secrets with a server's certificate: when the certificate, and whom it trusts, were written last. RFC 3339. */
export const ISSUED_AT_ANNOTATION = 'filerpair.dev/issued-at';
export const TRUSTED_AT_ANNOTATION = 'filerpair.dev/trusted-at';

/** The dot, which no pair's name has, keeps two pairs from sharing one. */
export const leaseName = diskSetName;
/** ServiceAccount, Role, RoleBinding and ConfigMap of one server. */
export const serverObjectName = (pair: string, server: string): string => `${pair}-${server}`;
/** Secret with the authority that issues the servers' certificates; no pod sees it. */
export const authorityName = (pair: string): string => `${pair}-interconnect-ca`;
/** Secret with the certificate of one server that the operator issues. */
export const certificateName = (pair: string, server: string): string => `${pair}-${server}-tls`;
/** Certificate of cert-manager, and the Secret that it puts it into. */
export const requestedCertificateName = (pair: string, server: string): string =>
  `${pair}.${server}.interconnect`;
export const interconnectServiceName = (service: string): string => `${service}-interconnect`;
/** Under which a server's certificate is known to its partner. */
export const certificateDnsName = (service: string, namespace: string): string =>
  `${interconnectServiceName(service)}.${namespace}.svc`;
/** On attachment pods: the node that they were made for; a pod that waits for its scheduler has no other mark of it. */
export const ATTACHMENT_NODE_ANNOTATION = 'filerpair.dev/node';
/** On attachment pods: UID of that Node, since another machine may come under its name. */
export const ATTACHMENT_NODE_UID_ANNOTATION = 'filerpair.dev/node-uid';
/** On an attachment pod: how often its kubelet was reminded of it. */
export const REMINDERS_ANNOTATION = 'filerpair.dev/reminders';
export const attachmentPodName = (pair: string, home: string, node: string): string =>
  `${pair}-${home}-disks-${fingerprint(node).slice(-5)}`;
/**
 * Directory of every node in which the volumes of a pair's disk sets appear that are mounted there, one directory for each disk set.
 * With the UID: nothing that a pair of the same name has left is ever taken for this one's.
 */
export const attachmentDirectory = (pairUid: string): string => `/var/lib/filerpair/${pairUid}`;
export const VOLUMES_DIRECTORY = '/volumes';
export const volumePath = (home: string, volume: string): string => `${VOLUMES_DIRECTORY}/${home}/${volume}`;
