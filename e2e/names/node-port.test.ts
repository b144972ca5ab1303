/**
 * Ports of the nodes, with names that annotations of the Services publish. And what it comes to when every node accepts
 * connections: the server sees a node in place of the client, and the status warns of it.
 */
import { expect } from 'vitest';
import { eventually } from '../../testing/eventually.ts';
import { PAIR, type Server } from '../harness/pair.ts';
import { SERVER } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { REQUEST_ANSWERED_MS_MAX } from '../harness/timeouts.ts';
import type { NamesPair } from './names-pair.ts';
import type { OutsideClient } from './outside-client.ts';
import { outsideScenario } from './outside-scenario.ts';

const PORTS: Readonly<Record<Server, { port: number; failoverPort: number }>> = {
  a: { port: 32049, failoverPort: 32050 },
  b: { port: 32051, failoverPort: 32052 },
};

outsideScenario({
  name: 'outside-node-port',
  way: 'ports of the nodes',
  label: 'node-port',
  names: { publisher: 'ServiceAnnotations' },
  spec: { exposure: { type: 'NodePort' } },
  server: (name) => ({ nodePorts: [{ listener: 'nfs', ...PORTS[name] }] }),
  ports: (name) => `:${PORTS[name].port}:${PORTS[name].failoverPort}`,
  afterwards: async (pair, client) => {
    expect(await listed(pair, client), 'exit code of ls').toBe(0);
    await step('every node is to accept connections', () => policy(pair, 'Cluster'));
    const sentence = await step('the status warns', () =>
      pair.conditionSays('ClientAddressesKept', 'Rewritten', REQUEST_ANSWERED_MS_MAX),
    );
    expect(sentence).toContain(`/home of ${SERVER} (${client.address}/32)`);
    await step('and rightly: the client is refused', () =>
      eventually('ls is refused', REQUEST_ANSWERED_MS_MAX, async () => (await listed(pair, client)) !== 0),
    );
    await step('only the node of the pod is to accept connections', () => policy(pair, 'Local'));
    await step('the client is served', () =>
      eventually('ls succeeds', REQUEST_ANSWERED_MS_MAX, async () => (await listed(pair, client)) === 0),
    );
  },
});

/** A new connection and a mount; the writer's own stays as it was made. */
async function listed(pair: NamesPair, client: OutsideClient): Promise<number | null> {
  return (await client.try('filerpair', 'ls', '--timeout', '5', pair.urlOf(SERVER))).code;
}

async function policy(pair: NamesPair, externalTrafficPolicy: 'Local' | 'Cluster'): Promise<void> {
  const patch = JSON.stringify({ spec: { exposure: { externalTrafficPolicy } } });
  await pair.kubectl.run('patch', 'filerpair', PAIR, '--type=merge', `--patch=${patch}`);
}
