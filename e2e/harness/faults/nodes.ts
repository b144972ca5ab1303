/** What happens to worker nodes: containers here, machines elsewhere. */

import { eventually } from '../../../testing/eventually.ts';
import { run, succeeds } from '../../machine/command.ts';
import type { Pair } from '../pair.ts';

/** The freezer of a busy machine needs more than one try. */
const PAUSED_MS_MAX = 60_000;
const DRAIN_S_MAX = 120;

/** Freezes a worker node with everything in it: what a hung hypervisor looks like. Nobody gets an error message. */
export async function pauseNode(node: string): Promise<void> {
  await eventually(`${node} is paused`, PAUSED_MS_MAX, () => succeeds(['docker', 'pause', node]));
}

export async function unpauseNode(node: string): Promise<void> {
  await run(['docker', 'unpause', node]);
}

/** Power off, without any orderly end. */
export async function killNode(node: string): Promise<void> {
  await run(['docker', 'kill', node]);
}

/** Power on. */
export async function startNode(node: string): Promise<void> {
  await run(['docker', 'start', node]);
}

/** As before working on a node. */
export async function drainNode(pair: Pair, node: string): Promise<void> {
  const namespace = ['--pod-selector', 'app.kubernetes.io/name=filerpair'];
  const what = ['--ignore-daemonsets', '--delete-emptydir-data', `--timeout=${DRAIN_S_MAX}s`];
  await pair.kubectl.run('drain', node, ...namespace, ...what);
}

export async function uncordonNode(pair: Pair, node: string): Promise<void> {
  await pair.kubectl.run('uncordon', node);
}
