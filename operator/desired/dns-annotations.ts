/**
 * Names outside the cluster, told to ExternalDNS by annotations of the Services (its source "service"), for installations
 * without its resource.
 */

import type { ServerView, View } from '../model/view.ts';
import { leadsToNodes, recordsOf } from './dns-records.ts';

const PREFIX = 'external-dns.alpha.kubernetes.io';

/** Annotations of one client's Service, whose connections lead to a pod of the server `to`. */
export function dnsAnnotations(view: View, name: string, to: ServerView): Record<string, string> {
  const { publishedNames } = view.effective;
  if (publishedNames?.publisher !== 'ServiceAnnotations') return {};
  const records = recordsOf(view, name, to);
  // ExternalDNS knows a load balancer by itself; it would not take ClusterIPs and the right node of a node port.
  const explicit = view.effective.exposure.type !== 'LoadBalancer';
  const targets = explicit ? records.flatMap((record) => record.targets) : [];
  const kept = explicit && leadsToNodes(view) ? targetsBefore(view, name) : null;
  const target = targets.length > 0 ? targets.join(',') : kept;
  // Without a target it would publish what it finds itself, which is something else.
  if (explicit && target === null) return {};
  return {
    [`${PREFIX}/hostname`]: `${name}.${publishedNames.domain}`,
    [`${PREFIX}/ttl`]: String(publishedNames.recordTTLSeconds),
    ...(target === null ? {} : { [`${PREFIX}/target`]: target }),
  };
}

/** As recordsOf(): while a pod has no node its name stays where it led. */
function targetsBefore(view: View, name: string): string | null {
  const service = view.observed.services.find((one) => one.metadata.name === name);
  return service?.metadata.annotations?.[`${PREFIX}/target`] ?? null;
}
