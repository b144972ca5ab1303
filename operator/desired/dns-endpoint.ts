/** Names outside the cluster, told to ExternalDNS in its own resource (its source "crd"). */

import type { View } from '../model/view.ts';
import { dnsRecords } from './dns-records.ts';
import { type Desired, desired } from './owned.ts';

/** null: nothing to publish in this way (yet). */
export function dnsEndpoint(view: View): Desired | null {
  if (!publishesByEndpoint(view)) return null;
  const endpoints = dnsRecords(view);
  if (endpoints.length === 0) return null;
  return desired(view, 'dnsEndpoints', view.observed.name, { body: { spec: { endpoints } } });
}

export const publishesByEndpoint = ({ effective: { publishedNames } }: View): boolean =>
  publishedNames?.publisher === 'DNSEndpoint';
