/** The kinds of the group: from each entry its CustomResourceDefinition is made. */

import type { z } from 'zod';
import { filerDiskSet } from './filer-disk-set.ts';
import { filerPairClass } from './filer-pair-class.ts';
import { filerPairOperation } from './filer-pair-operation.ts';
import { filerShare } from './filer-share.ts';
import { filerPair } from './pair/filer-pair.ts';

export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date';
  readonly jsonPath: string;
  /** 1: only with `-o wide`. */
  readonly priority?: 1;
}

export interface Kind {
  readonly kind: string;
  readonly plural: string;
  readonly shortNames: readonly string[];
  readonly scope: 'Namespaced' | 'Cluster';
  readonly description: string;
  readonly schema: z.ZodObject;
  readonly columns: readonly PrinterColumn[];
  /** JSON paths of fields by which lists and watches can select (Kubernetes 1.31, KEP-4358). */
  readonly selectableFields?: readonly string[];
}

const condition = (type: string, field: string): string =>
  `.status.conditions[?(@.type=="${type}")].${field}`;

const age: PrinterColumn = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };

export const kinds: readonly Kind[] = [
  {
    kind: 'FilerPair',
    plural: 'filerpairs',
    shortNames: ['fp'],
    scope: 'Namespaced',
    description: 'Two NFS file servers that cover for each other without moving an IP address.',
    schema: filerPair,
    columns: [
      { name: 'Ready', type: 'string', jsonPath: condition('Ready', 'status') },
      { name: 'Status', type: 'string', jsonPath: condition('Ready', 'reason') },
      { name: 'Owners', type: 'string', jsonPath: '.status.summary' },
      { name: 'Failover', type: 'string', jsonPath: condition('TakeoverPossible', 'reason') },
      { name: 'Degraded', type: 'string', jsonPath: condition('Degraded', 'status') },
      { name: 'Last', type: 'date', jsonPath: '.status.lastTransition.time' },
      age,
      { name: 'Message', type: 'string', jsonPath: condition('Ready', 'message'), priority: 1 },
    ],
  },
  {
    kind: 'FilerShare',
    plural: 'filershares',
    shortNames: ['fshare'],
    scope: 'Namespaced',
    description: 'A directory on a volume of a FilerPair that clients can mount.',
    schema: filerShare,
    // Servers watch the shares of their own pair only.
    selectableFields: ['.spec.pairRef.name'],
    columns: [
      { name: 'Pair', type: 'string', jsonPath: '.spec.pairRef.name' },
      { name: 'Server', type: 'string', jsonPath: '.spec.server' },
      { name: 'Path', type: 'string', jsonPath: '.status.path' },
      { name: 'Ready', type: 'string', jsonPath: condition('Ready', 'status') },
      age,
      { name: 'Message', type: 'string', jsonPath: condition('Ready', 'message'), priority: 1 },
    ],
  },
  {
    kind: 'FilerPairClass',
    plural: 'filerpairclasses',
    shortNames: ['fpclass'],
    scope: 'Cluster',
    description: 'What an administrator provides to FilerPairs, and what they may ask for.',
    schema: filerPairClass,
    columns: [
      {
        name: 'Default',
        type: 'string',
        jsonPath: '.metadata.annotations.filerpair\\.dev/is-default-class',
      },
      { name: 'Namespaces', type: 'string', jsonPath: '.spec.allowedNamespaces.from' },
      age,
    ],
  },
  {
    kind: 'FilerPairOperation',
    plural: 'filerpairoperations',
    shortNames: ['fpop'],
    scope: 'Namespaced',
    description: 'Something to do once with a FilerPair.',
    schema: filerPairOperation,
    columns: [
      { name: 'Pair', type: 'string', jsonPath: '.spec.pairRef.name' },
      { name: 'Type', type: 'string', jsonPath: '.spec.type' },
      { name: 'Complete', type: 'string', jsonPath: condition('Complete', 'status') },
      { name: 'Failed', type: 'string', jsonPath: condition('Failed', 'status') },
      age,
      { name: 'Message', type: 'string', jsonPath: condition('Complete', 'message'), priority: 1 },
    ],
  },
  {
    kind: 'FilerDiskSet',
    plural: 'filerdisksets',
    shortNames: ['fds'],
    scope: 'Namespaced',
    description: 'What must not be forgotten of one disk set. The operator writes it; never edit it.',
    schema: filerDiskSet,
    columns: [
      { name: 'Owner', type: 'string', jsonPath: '.status.owner' },
      { name: 'Epoch', type: 'integer', jsonPath: '.status.epoch' },
      { name: 'Home', type: 'string', jsonPath: condition('AtHome', 'status') },
      age,
    ],
  },
];
