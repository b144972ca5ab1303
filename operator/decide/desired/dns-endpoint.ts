// Names outside the cluster, for ExternalDNS: both names of both servers, from the day the pair is created. They lead
// to the Services, which never change, so nothing in DNS changes at a failover.

import { durationMs } from '../../../crds/quantities.ts';
import type { Service } from '../../observe/objects.ts';
import type { DnsRecordType } from '../../observe/observed.ts';
import type { View } from '../view.ts';
import { type Desired, desired } from './owned.ts';

export interface DnsRecord {
  readonly dnsName: string;
  /** Seconds. */
  readonly recordTTL: number;
  readonly recordType: DnsRecordType;
  readonly targets: readonly string[];
}

/** null: nothing to publish (yet). */
export function dnsEndpoint(view: View): Desired | null {
  if (view.spec.dns?.publish !== true) return null;
  const endpoints = dnsRecords(view);
  if (endpoints.length === 0) return null;
  return desired(view, 'dnsEndpoints', view.observed.name, { body: { spec: { endpoints } } });
}

/** What the DNS should say, whoever publishes it. Nothing of a Service without an address. */
export function dnsRecords(view: View): DnsRecord[] {
  const { dns } = view.spec;
  if (dns === undefined) return [];
  const recordTTL = Math.max(1, Math.round(durationMs(dns.ttl) / 1000));
  return view.servers
    .flatMap((server) => [server.name, server.failoverName])
    .flatMap((name) => {
      const service = view.observed.services.find((one) => one.metadata.name === name);
      return service === undefined
        ? []
        : recordsOf(service).map((record) => ({ dnsName: `${name}.${dns.domain}`, recordTTL, ...record }));
    });
}

function recordsOf(service: Service): Pick<DnsRecord, 'recordType' | 'targets'>[] {
  const ingress = service.status?.loadBalancer?.ingress ?? [];
  const { clusterIP, type } = service.spec ?? {};
  const hosts = ingress.flatMap(({ hostname }) => (hostname === undefined ? [] : [hostname]));
  // A name can be an alias or have addresses, not both.
  if (hosts.length > 0) return [{ recordType: 'CNAME', targets: hosts.slice(0, 1) }];
  const fromLoadBalancer = ingress.flatMap(({ ip }) => (ip === undefined ? [] : [ip]));
  const inCluster = clusterIP !== undefined && clusterIP !== '' && clusterIP !== 'None' ? [clusterIP] : [];
  const addresses = type === 'LoadBalancer' ? fromLoadBalancer : inCluster;
  const v4 = addresses.filter((address) => !address.includes(':'));
  const v6 = addresses.filter((address) => address.includes(':'));
  return [
    ...(v4.length > 0 ? [{ recordType: 'A' as const, targets: v4 }] : []),
    ...(v6.length > 0 ? [{ recordType: 'AAAA' as const, targets: v6 }] : []),
  ];
}
