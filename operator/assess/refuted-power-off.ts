/**
 * The word that a node is switched off (filerpair.dev/powered-off) names a boot. A node that is still ready in that very boot
 * some minutes later has refuted it: the power command had no effect, say. Kept, the word would mark the node at once when it
 * is merely cut off, months later, with the disks still mounted.
 */

import { nodeAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import type { Node } from '../model/objects.ts';
import type { Assessment } from './assessment.ts';
import { isNodeReady } from './disk-move-steps.ts';

/** A node that is off is said to be ready until Kubernetes misses it: 50 s by default, and longer where people have set it so. ms */
const BELIEVED_MS = 5 * 60_000;

/** Nodes whose word is to be taken off. */
export const refutedPowerOffs = (view: Assessment): Node[] =>
  doubtedPowerOffs(view).flatMap(({ node, until }) => (until <= view.now ? [node] : []));

/** When time alone refutes the next word, ms since the epoch; null: never. */
export function refutedPowerOffsDueAt(view: Assessment): number | null {
  const due = doubtedPowerOffs(view).flatMap(({ until }) => (until > view.now ? [until] : []));
  return due.length === 0 ? null : Math.min(...due);
}

/** Only where the word counts for anything. */
function doubtedPowerOffs(view: Assessment): { readonly node: Node; readonly until: number }[] {
  const { storageType, lostNodes } = view.effective;
  if (storageType !== 'Reattach' || lostNodes.policy !== 'Confirmed') return [];
  return Object.entries(view.observed.nodes).flatMap(([name, node]) => {
    const word = node.metadata.annotations?.[nodeAnnotations.poweredOff];
    if (word === undefined || word !== node.status?.nodeInfo?.bootID || !isNodeReady(view, name)) return [];
    const said = Date.parse(node.poweredOffSaidAt ?? '');
    return [{ node, until: Number.isNaN(said) ? view.now : said + BELIEVED_MS }];
  });
}
