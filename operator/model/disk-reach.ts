/**
 * On which nodes a disk set's volumes can be attached at all (storage type Reattach): storage of one zone, or of one cabinet,
 * says so on its PersistentVolumes. A pair whose servers run where one of them cannot have the other's disks looks whole until
 * the day of the failure. So it is said at once, and new pods are put where both disk sets can be had.
 */

import type { Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm } from './objects.ts';
import type { ServerView, View } from './view.ts';

/** Terms of alternatives that a pod can be given; storage with more of them says nothing that a scheduler should search. */
const TERMS_MAX = 32;

interface Reach {
  /** Name of the PersistentVolume. */
  readonly volume: string;
  readonly nodes: NodeSelector;
}

/** The volumes of a disk set that not every node can have, as far as they are bound and known. */
export function limitedReach(view: View, home: ServerView): Reach[] {
  if (view.effective.storageType !== 'Reattach') return [];
  return home.claims.flatMap(({ bound: volume }) => {
    const nodes = volume === undefined ? undefined : view.observed.volumeReach[volume];
    return volume === undefined || nodes === undefined || nodes === 'unknown' || nodes === 'every node'
      ? []
      : [{ volume, nodes }];
  });
}

/** A volume of this disk set that cannot be attached to the node; null: all can, as far as is known. */
export function outOfReach(view: View, home: ServerView, node: string): Reach | null {
  const found = view.observed.nodes[node];
  if (found === undefined) return null;
  return limitedReach(view, home).find(({ nodes }) => !selects(nodes, found)) ?? null;
}

/** Where a new pod of the pair has to go so that both disk sets can follow it; null: anywhere, or nowhere is such a place. */
export function nodesWithinReach(view: View): NodeSelector | null {
  const all = view.servers.flatMap((home) => limitedReach(view, home)).map(({ nodes }) => nodes);
  if (all.length === 0) return null;
  // Each pod has one selector, whose terms are alternatives: all of theirs in all combinations.
  let terms: readonly NodeSelectorTerm[] = [{}];
  for (const { nodeSelectorTerms } of distinct(all)) {
    terms = terms.flatMap((one) => nodeSelectorTerms.map((other) => both(one, other)));
    if (terms.length > TERMS_MAX) return null;
  }
  const selector = { nodeSelectorTerms: terms };
  return Object.values(view.observed.nodes).some((node) => selects(selector, node)) ? selector : null;
}

/** The selector of the nodes that both select. */
export const intersection = (a: NodeSelector, b: NodeSelector): NodeSelector => ({
  nodeSelectorTerms: a.nodeSelectorTerms.flatMap((one) =>
    b.nodeSelectorTerms.map((other) => both(one, other)),
  ),
});

const distinct = (selectors: readonly NodeSelector[]): NodeSelector[] => [
  ...new Map(selectors.map((one) => [JSON.stringify(one), one])).values(),
];

const both = (a: NodeSelectorTerm, b: NodeSelectorTerm): NodeSelectorTerm => ({
  ...merged('matchExpressions', a, b),
  ...merged('matchFields', a, b),
});

function merged(part: keyof NodeSelectorTerm, a: NodeSelectorTerm, b: NodeSelectorTerm): NodeSelectorTerm {
  const all = [...(a[part] ?? []), ...(b[part] ?? [])];
  return all.length === 0 ? {} : { [part]: all };
}

/** As the scheduler reads it: any term, and of that everything. A term that asks for nothing selects nothing. */
export function selects({ nodeSelectorTerms }: NodeSelector, node: Node): boolean {
  return nodeSelectorTerms.some(({ matchExpressions = [], matchFields = [] }) => {
    if (matchExpressions.length + matchFields.length === 0) return false;
    const label = ({ key }: NodeSelectorRequirement) => node.metadata.labels?.[key];
    const name = () => node.metadata.name;
    return (
      matchExpressions.every((one) => holds(one, label(one))) &&
      matchFields.every((one) => holds(one, name()))
    );
  });
}

function holds({ operator, values = [] }: NodeSelectorRequirement, value: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
      return value !== undefined && Number(value) > Number(values[0]);
    case 'Lt':
      return value !== undefined && Number(value) < Number(values[0]);
  }
}
