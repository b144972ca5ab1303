/**
 * Records that the DNS outside the cluster should have, whatever publishes them: both names of both servers, from the day the pair is
 * created. They lead to the Services, or to the nodes of the servers, neither of which changes when a disk set changes its
 * owner. So nothing in DNS changes at a failover.
 */

import type { Node, Service } from '../model/objects.ts';
import type { DnsRecordType } from '../model/observed.ts';
import { partnerOf, type ServerView, type View } from '../model/view.ts';

export interface DnsRecord {
  readonly dnsName: string;
  /** Seconds. */
  readonly recordTTL: number;
  readonly recordType: DnsRecordType;
  readonly targets: readonly string[];
}

/** Nothing of a Service without an address. */
export const dnsRecords = (view: View): DnsRecord[] =>
  view.servers.flatMap((server) => [
    ...recordsOf(view, server.serviceName, server),
    ...recordsOf(view, server.failoverName, partnerOf(view, server)),
  ]);

/** Records of one Service, whose connections lead to a pod of the server `to`. */
export function recordsOf(view: View, name: string, to: ServerView): DnsRecord[] {
  const { publishedNames } = view.effective;
  const service = view.observed.services.find((one) => one.metadata.name === name);
  if (publishedNames === null || service === undefined) return [];
  const dnsName = `${name}.${publishedNames.domain}`;
  const recordTTL = publishedNames.recordTTLSeconds;
  const targets = leadsToNodes(view) ? nodeTargets(view, to) : serviceTargets(service);
  if (targets.length === 0) return publishedBefore(view, dnsName);
  return targets.map((one) => ({ dnsName, recordTTL, ...one }));
}

/** Whether clients outside the cluster find the servers at the addresses of nodes. */
export const leadsToNodes = ({ effective: { exposure } }: View): boolean =>
  exposure.type === 'NodePort' || exposure.type === 'HostNetwork';

type Targets = Pick<DnsRecord, 'recordType' | 'targets'>;

function serviceTargets(service: Service): Targets[] {
  const ingress = service.status?.loadBalancer?.ingress ?? [];
  const { clusterIP, type } = service.spec ?? {};
  const hosts = ingress.flatMap(({ hostname }) => (hostname === undefined ? [] : [hostname]));
  // A name can be an alias or have addresses, not both.
  if (hosts.length > 0) return [{ recordType: 'CNAME', targets: hosts.slice(0, 1) }];
  const fromLoadBalancer = ingress.flatMap(({ ip }) => (ip === undefined ? [] : [ip]));
  const inCluster = clusterIP !== undefined && clusterIP !== '' && clusterIP !== 'None' ? [clusterIP] : [];
  return byFamily(type === 'LoadBalancer' ? fromLoadBalancer : inCluster);
}

/**
 * Targets on the one node where the server's pod is: others would refuse the connection, or hide the client's address. They change
 * when the pod gets another node, which is after a failover and not in it.
 */
function nodeTargets(view: View, to: ServerView): Targets[] {
  const node = view.observed.nodes[to.current?.pod.spec?.nodeName ?? ''];
  return node === undefined ? [] : byFamily(addressesOf(node));
}

function addressesOf({ status }: Node): string[] {
  const of = (wanted: string) =>
    (status?.addresses ?? []).flatMap(({ type, address }) => (type === wanted ? [address] : []));
  const external = of('ExternalIP');
  return external.length > 0 ? external : of('InternalIP');
}

function byFamily(addresses: readonly string[]): Targets[] {
  const v4 = addresses.filter((address) => !address.includes(':'));
  const v6 = addresses.filter((address) => address.includes(':'));
  return [
    ...(v4.length > 0 ? [{ recordType: 'A' as const, targets: v4 }] : []),
    ...(v6.length > 0 ? [{ recordType: 'AAAA' as const, targets: v6 }] : []),
  ];
}

/** While a pod has no node yet its name stays where it led: a name that vanishes is worse than one that is late. */
function publishedBefore(view: View, dnsName: string): DnsRecord[] {
  if (!leadsToNodes(view)) return [];
  return view.observed.dnsEndpoints.flatMap((one) => {
    const { endpoints = [] } = (one as { spec?: { endpoints?: readonly DnsRecord[] } }).spec ?? {};
    return endpoints
      .filter((record) => record.dnsName === dnsName)
      .map(({ recordTTL, recordType, targets }) => ({ dnsName, recordTTL, recordType, targets }));
  });
}
