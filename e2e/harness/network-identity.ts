/**
 * What clients know a pair by, and what must therefore not change when a disk set changes its owner. These are the Services
 * with their cluster IPs, ports and selectors, the addresses behind the failover names, and the DNS records.
 */
import type { Thing } from './kubectl.ts';
import { type Pair, partnerOf, type Server, SUFFIX, serviceOf } from './pair.ts';

// A pod that is replaced has another pod IP: that is a change of the pod, and its own addresses move with it, during
// a failover or not. So the addresses of a replaced server are left out of the comparison by name, and nothing else.

interface ServiceThing extends Thing {
  readonly spec: {
    readonly type: string;
    readonly clusterIP: string;
    readonly ports: readonly object[];
    readonly selector?: object;
  };
}

interface EndpointSliceThing extends Thing {
  readonly endpoints?: readonly { readonly addresses: readonly string[] }[] | null;
  readonly ports?: readonly object[] | null;
}

interface DnsEndpointThing extends Thing {
  readonly spec?: object;
}

/** What a name stands for, as comparable text. Keys: "Service nas-a", "addresses behind nas-a-failover". */
export type NetworkIdentity = ReadonlyMap<string, string>;

export async function networkIdentity(pair: Pair): Promise<NetworkIdentity> {
  const found = new Map<string, string>();
  for (const service of await pair.kubectl.list<ServiceThing>('services')) {
    const { type, clusterIP, ports, selector } = service.spec;
    found.set(
      `Service ${service.metadata.name}`,
      JSON.stringify({ uid: service.metadata.uid, type, clusterIP, ports, selector }),
    );
  }
  for (const slice of await pair.kubectl.list<EndpointSliceThing>('endpointslices')) {
    const service = slice.metadata.labels?.['kubernetes.io/service-name'] ?? slice.metadata.name;
    const addresses = (slice.endpoints ?? []).flatMap((endpoint) => endpoint.addresses).sort();
    found.set(`addresses behind ${service}`, JSON.stringify({ addresses, ports: slice.ports ?? [] }));
  }
  for (const record of await dnsEndpoints(pair)) {
    found.set(`DNSEndpoint ${record.metadata.name}`, JSON.stringify(record.spec ?? {}));
  }
  return found;
}

/** None where ExternalDNS's resource is not installed. */
async function dnsEndpoints(pair: Pair): Promise<DnsEndpointThing[]> {
  const { code, stdout } = await pair.kubectl.try('get', 'dnsendpoints.externaldns.k8s.io', '-o', 'json');
  return code === 0 ? (JSON.parse(stdout) as { items: DnsEndpointThing[] }).items : [];
}

/**
 * What is different, in words.
 *
 * @param replaced servers whose pod was replaced in between
 */
export function identityChanges(
  before: NetworkIdentity,
  after: NetworkIdentity,
  replaced: readonly Server[] = [],
): string[] {
  const ofReplaced = new Set(replaced.flatMap((server) => addressesOf(server)));
  return [...new Set([...before.keys(), ...after.keys()])].flatMap((name) => {
    if (ofReplaced.has(name) || before.get(name) === after.get(name)) return [];
    return [`${name} was ${before.get(name) ?? 'absent'} and is ${after.get(name) ?? 'absent'}`];
  });
}

/** Where the pod IP of a server stands: behind its own names, and behind its partner's failover name. */
function addressesOf(server: Server): string[] {
  return [
    serviceOf(server),
    `${serviceOf(server)}-interconnect`,
    `${serviceOf(partnerOf(server))}${SUFFIX}`,
  ].map((name) => `addresses behind ${name}`);
}
