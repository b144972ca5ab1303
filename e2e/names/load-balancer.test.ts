/**
 * Load balancers: a small controller of the tests gives the Services addresses of the nodes' network. A router (routes of the
 * client) sends them to the node of the pod, as MetalLB has it. Then one that is known by name alone.
 */
import { expect } from 'vitest';
import type { Thing } from '../harness/kubectl.ts';
import { partnerOf, SERVERS, SUFFIX, serviceOf } from '../harness/pair.ts';
import { SERVER } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { addressInEngine } from './install.ts';
import { type LoadBalancers, startLoadBalancers } from './load-balancers.ts';
import { outsideScenario } from './outside-scenario.ts';

let loadBalancers: LoadBalancers | undefined;
const HOST = 'balancer-7.cloud.example';

outsideScenario({
  name: 'outside-load-balancer',
  way: 'load balancers',
  label: 'load-balancer',
  spec: { exposure: { type: 'LoadBalancer' } },
  follow: (pair) => {
    loadBalancers = startLoadBalancers(pair);
  },
  leadIn: async (pair, client) => {
    for (const server of SERVERS) {
      const nodes = {
        [serviceOf(server)]: (await pair.pod(server)).spec.nodeName,
        [`${serviceOf(server)}${SUFFIX}`]: (await pair.pod(partnerOf(server))).spec.nodeName,
      };
      for (const [name, node] of Object.entries(nodes)) {
        const address = await loadBalancers!.addressOf(name);
        expect(
          (await pair.addressesOf(name)).map((one) => one.address),
          name,
        ).toEqual([address]);
        await client.route(address, await addressInEngine(node));
      }
    }
  },
  afterwards: async (pair) => {
    const name = `${serviceOf(SERVER)}${SUFFIX}`;
    const service = await pair.kubectl.get<Thing>('service', name);
    await step('a load balancer says its name in place of its address', () =>
      loadBalancers!.give(service.metadata.name, { hostname: HOST }),
    );
    const sentence = await step('the status says that the alias answers', () =>
      pair.namesAre('Answered', `${pair.fullName(name)} CNAME ${HOST}`),
    );
    expect(sentence).toContain(`${pair.fullName(name)} CNAME ${HOST}`);
    expect(await pair.aliasOf(name)).toEqual([HOST]);
    const address = await loadBalancers!.addressOf(name);
    await step('it says its address again', () =>
      loadBalancers!.give(service.metadata.name, { ip: address }),
    );
    expect(await step('the DNS answers with it', () => pair.published())).toMatchObject({ [name]: address });
  },
  cleanUp: async () => loadBalancers?.stop(),
});
