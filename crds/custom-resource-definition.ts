// The CustomResourceDefinition of FilerPair, made from the zod schema.

import { filerPairSpec, PAIR_NAME_RULE } from './filerpair.ts';
import { filerPairStatus } from './filerpair-status.ts';
import { structuralSchema } from './structural-schema.ts';

const condition = (type: string, field: string): string =>
  `.status.conditions[?(@.type=="${type}")].${field}`;

/** What `kubectl get filerpairs` shows: who serves what, would a takeover work, what happened last. */
const columns = [
  { name: 'Owners', type: 'string', jsonPath: '.status.owners' },
  { name: 'Ready', type: 'string', jsonPath: condition('Ready', 'status') },
  { name: 'Takeover possible', type: 'string', jsonPath: condition('TakeoverPossible', 'status') },
  { name: 'Last', type: 'string', jsonPath: '.status.lastTransition.kind' },
  { name: 'Cause', type: 'string', jsonPath: '.status.lastTransition.cause', priority: 1 },
  { name: 'Took', type: 'string', jsonPath: '.status.lastTransition.took' },
  { name: 'When', type: 'date', jsonPath: '.status.lastTransition.at' },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  { name: 'Why', type: 'string', jsonPath: condition('Ready', 'message'), priority: 1 },
];

export function customResourceDefinition() {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: 'filerpairs.filerpair.dev',
      // The chart upgrades the definition but never removes it: with it would go every FilerPair.
      annotations: { 'helm.sh/resource-policy': 'keep' },
    },
    spec: {
      group: 'filerpair.dev',
      names: {
        kind: 'FilerPair',
        listKind: 'FilerPairList',
        plural: 'filerpairs',
        singular: 'filerpair',
        shortNames: ['fp'],
        categories: ['all'],
      },
      scope: 'Namespaced',
      versions: [
        {
          name: 'v1alpha1',
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: columns,
          schema: {
            openAPIV3Schema: {
              type: 'object',
              description: 'Two NFS file servers that cover for each other without moving an IP address.',
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string' },
                kind: { type: 'string' },
                metadata: { type: 'object' },
                spec: structuralSchema(filerPairSpec),
                status: {
                  ...structuralSchema(filerPairStatus),
                  description: 'Written by the operator; never edit it.',
                },
              },
              'x-kubernetes-validations': [
                {
                  rule: "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 63",
                  message: PAIR_NAME_RULE,
                },
              ],
            },
          },
        },
      ],
    },
  };
}
