/** Cuts in the network: packets are dropped in the nodes that they pass, nobody is told. */
import { run, succeeds } from '../../machine/command.ts';
import type { Pair } from '../pair.ts';

// Pods of different nodes reach each other through the FORWARD chain of both nodes, and the API server likewise;
// packets to a Service have their real destination by then. Rules stand in a chain of their own, first in FORWARD, so
// that connections that are already open are cut as well, and healing is one command.

const CHAIN = 'E2E-CUT';

export interface Direction {
  readonly from: string;
  readonly to: string;
}

/** Both directions between two addresses. */
export const between = (a: string, b: string): Direction[] => [
  { from: a, to: b },
  { from: b, to: a },
];

/** Drops every packet of these directions, in all workers. */
export async function cut(pair: Pair, directions: readonly Direction[]): Promise<void> {
  const rules = directions.map(({ from, to }) => `iptables -w -A ${CHAIN} -s ${from} -d ${to} -j DROP`);
  const script = [
    `iptables -w -N ${CHAIN} 2>/dev/null || iptables -w -F ${CHAIN}`,
    ...rules,
    `iptables -w -C FORWARD -j ${CHAIN} 2>/dev/null || iptables -w -I FORWARD 1 -j ${CHAIN}`,
  ].join(' && ');
  for (const node of pair.environment.cluster.workers)
    await run(['docker', 'exec', node, 'sh', '-c', script]);
}

export async function heal(pair: Pair): Promise<void> {
  for (const node of pair.environment.cluster.workers)
    await succeeds(['docker', 'exec', node, 'iptables', '-w', '-F', CHAIN]);
}

/** Nothing leaves a node and nothing reaches it, neither its pods nor its kubelet; everything in it goes on. */
export async function isolateNode(node: string): Promise<void> {
  await run(['docker', 'exec', node, 'sh', '-c', isolation('-I').join(' && ')]);
}

export async function rejoinNode(node: string): Promise<void> {
  await succeeds(['docker', 'exec', node, 'sh', '-c', isolation('-D').join('; ')]);
}

const isolation = (command: '-I' | '-D'): string[] =>
  ['INPUT -i', 'OUTPUT -o', 'FORWARD -i', 'FORWARD -o'].map(
    (where) => `iptables -w ${command} ${where} eth0 -j DROP`,
  );

/** Address of the API server's node, behind the Service `kubernetes`. */
export async function apiAddress(pair: Pair): Promise<string> {
  const { controlPlane } = pair.environment.cluster;
  const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}';
  return (await run(['docker', 'inspect', '--format', format, controlPlane])).trim();
}
