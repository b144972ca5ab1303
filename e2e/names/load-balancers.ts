/**
 * What a cloud's controller or MetalLB does for Services of type LoadBalancer, as small as it can be: it gives each an address
 * of the nodes' network that nobody has, and never takes it back.
 */

import { eventually } from '../../testing/eventually.ts';
import { Kubectl, type Thing } from '../harness/kubectl.ts';
import type { Pair } from '../harness/pair.ts';
import { run } from '../machine/command.ts';

const GIVEN_MS_MAX = 60_000;
/** From the end of the network, where the engine gives addresses last. */
const FIRST_HOST = 200;

interface ServiceThing extends Thing {
  readonly spec: { readonly type: string };
  readonly status: { readonly loadBalancer: { readonly ingress?: readonly object[] } };
}

type Ingress = { readonly ip: string } | { readonly hostname: string };

export interface LoadBalancers {
  readonly addressOf: (service: string) => Promise<string>;
  /** Puts one in place of what the Service has. */
  readonly give: (service: string, ingress: Ingress) => Promise<void>;
  readonly stop: () => void;
}

export function startLoadBalancers(pair: Pair): LoadBalancers {
  const kubectl = new Kubectl(pair.environment, pair.namespace);
  const given = new Map<string, string>();
  const prefix = networkPrefix();
  const give = async (service: string, ingress: Ingress): Promise<void> => {
    const patch = JSON.stringify({ status: { loadBalancer: { ingress: [ingress] } } });
    await kubectl.run(
      'patch',
      'service',
      service,
      '--subresource=status',
      '--type=merge',
      `--patch=${patch}`,
    );
  };
  const watch = kubectl.watch<ServiceThing>('services', ({ type, object: { metadata, spec, status } }) => {
    if (type === 'DELETED' || spec.type !== 'LoadBalancer' || given.has(metadata.name)) return;
    if (status.loadBalancer.ingress !== undefined) return;
    const host = FIRST_HOST + given.size;
    given.set(metadata.name, '');
    void prefix.then(async (network) => {
      await give(metadata.name, { ip: `${network}.${host}` });
      given.set(metadata.name, `${network}.${host}`);
    });
  });
  return {
    give,
    stop: watch.stop,
    addressOf: async (service) => {
      await eventually(`${service} has an address`, GIVEN_MS_MAX, () => (given.get(service) ?? '') !== '');
      return given.get(service)!;
    },
  };
}

/** The first three numbers of the last 256 addresses of the nodes' network. */
async function networkPrefix(): Promise<string> {
  const format = '{{range .IPAM.Config}}{{.Subnet}} {{end}}';
  const subnets = (await run(['docker', 'network', 'inspect', 'kind', '--format', format])).split(' ');
  const [, network = '', bits = ''] =
    subnets.map((one) => /^([0-9.]+)\/(\d+)$/.exec(one)).find(Boolean) ?? [];
  const first = network.split('.').reduce((all, part) => all * 256 + Number(part), 0);
  const last = first + 2 ** (32 - Number(bits)) - 256;
  return [24, 16, 8].map((shift) => Math.floor(last / 2 ** shift) % 256).join('.');
}
