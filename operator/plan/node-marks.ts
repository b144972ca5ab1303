/**
 * Marks of nodes as out of service, set and taken off: compare-and-swap on the Node, since others have taints there too. They
 * are set for a pair, and taken off for the cluster: the pair may be gone by then.
 */

import { nodeAnnotations } from '../../kubernetes/labels-and-annotations.ts';
import type { Assessment } from '../assess/assessment.ts';
import { nodesToMark, nodesToUnmark } from '../assess/lost-nodes.ts';
import { refutedPowerOffs } from '../assess/refuted-power-off.ts';
import { type Action, annotated, inSequence, patchOf } from '../model/action.ts';
import { outOfServiceTaint } from '../model/node-silence.ts';
import type { Node } from '../model/objects.ts';
import type { Observed } from '../model/observed.ts';
import { claimsKept } from './disk-moves.ts';

export const nodesMarked = (view: Assessment): Action[] => [
  ...nodesToMark(view).flatMap(({ node, why, homes }) =>
    inSequence(`mark of ${node.metadata.name}`, [
      // The mark takes the pods there away.
      ...homes.flatMap((home) => claimsKept(view, home)),
      marked(node, true, why, {
        key: `${node.metadata.uid}/${node.status?.nodeInfo?.bootID ?? ''}`,
        type: 'Warning',
        reason: 'NodeOutOfService',
        note: `Node ${node.metadata.name} is marked as out of service: ${why}.`,
      }),
    ]),
  ),
  ...refutedPowerOffs(view).map(powerOffTakenOff),
];

export const nodesUnmarked = (nodes: Observed['nodes']): Action[] =>
  nodesToUnmark(nodes).map((node) => marked(node, false, 'the node is ready again'));

function powerOffTakenOff(node: Node): Action {
  const { name, uid, resourceVersion } = node.metadata;
  const why = `node ${name} is said to be switched off, and is ready in the same boot`;
  const event = {
    key: `${uid}/${resourceVersion}`,
    type: 'Warning',
    reason: 'NodeIsNotOff',
    note: `The annotation ${nodeAnnotations.poweredOff} is taken off: ${why}.`,
  } as const;
  return { ...annotated('nodes', node, { [nodeAnnotations.poweredOff]: null }, why), event };
}

function marked(node: Node, out: boolean, why: string, event?: Action['event']): Action {
  const { resourceVersion } = node.metadata;
  const others = (node.spec?.taints ?? []).filter(({ key }) => key !== outOfServiceTaint.key);
  const patch = {
    // Somebody's word that the node is off is used up when the node is back.
    metadata: {
      resourceVersion,
      annotations: {
        [nodeAnnotations.outOfService]: out ? why : null,
        ...(out ? {} : { [nodeAnnotations.poweredOff]: null }),
      },
    },
    spec: { taints: out ? [...others, outOfServiceTaint] : others },
  };
  return { ...patchOf('nodes', node, patch, why), ...(event && { event }) };
}
