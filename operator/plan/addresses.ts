/**
 * Where clients find the disk sets: the Services of each server, by the names outside the cluster where there are any. None of
 * it changes at a failover.
 */

import type { FilerPairStatus } from '../../crds/pair/status.ts';
import type { Assessment } from '../assess/assessment.ts';
import { leadsToNodes } from '../desired/dns-records.ts';
import type { PortUse } from '../desired/ports.ts';
import type { Service } from '../model/objects.ts';

type Address = NonNullable<FilerPairStatus['addresses']>[number];

const LISTENER = 'nfs';

export const addresses = (view: Assessment): Address[] =>
  view.servers.flatMap(({ name, serviceName, failoverName }) => [
    addressOf(view, `${name}/${LISTENER}`, serviceName, 'primary'),
    addressOf(view, `${name}${view.effective.failoverSuffix}/${LISTENER}`, failoverName, 'secondary'),
  ]);

function addressOf(view: Assessment, name: string, serviceName: string, use: PortUse): Address {
  const { ports, publishedNames } = view.effective;
  const service = view.observed.services.find(({ metadata }) => metadata.name === serviceName);
  const outside = publishedNames !== null;
  const ip = outside && leadsToNodes(view) ? undefined : addressIn(service);
  const nodePort =
    outside && view.effective.exposure.type === 'NodePort' ? nodePortOf(service, ports[use]) : undefined;
  return {
    name,
    hostname: outside
      ? `${serviceName}.${publishedNames.domain}`
      : `${serviceName}.${view.observed.namespace}.svc`,
    ...(ip === undefined ? {} : { ip }),
    port: nodePort ?? ports[use],
  };
}

function addressIn(service: Service | undefined): string | undefined {
  const { clusterIP, type } = service?.spec ?? {};
  if (type === 'LoadBalancer')
    return service?.status?.loadBalancer?.ingress?.find(({ ip }) => ip !== undefined)?.ip;
  return clusterIP === 'None' || clusterIP === '' ? undefined : clusterIP;
}

function nodePortOf(service: Service | undefined, port: number): number | undefined {
  const ports = service?.spec?.['ports'] as
    | readonly { readonly port: number; readonly nodePort?: number }[]
    | undefined;
  return ports?.find((one) => one.port === port)?.nodePort;
}
