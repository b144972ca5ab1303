/**
 * The FilerPairClass resource: what an administrator provides to FilerPairs, and what they may ask for that reaches beyond
 * their own namespace.
 */

import { z } from 'zod';
import { conditions } from './condition.ts';
import { duration, keyed, set, text } from './fields.ts';
import { apiVersion } from './group.ts';
import { exposureTypes } from './pair/exposure.ts';
import { podTemplate } from './pair/pod-template.ts';
import { lostNodesPolicies, storageType } from './pair/storage.ts';
import { durationMs } from './quantities.ts';
import { withRules } from './rule.ts';

const patterns = (what: string) =>
  set(
    z.string().min(1).max(317),
    0,
    64,
    `${what} \`*\`: all; what ends in \`/\`: all that begin with it. Absent: none.`,
  ).optional();

const allowedNamespaces = withRules(
  z.object({
    from: z.enum(['All', 'Names', 'Labels']).meta({
      description:
        'All: every namespace. Names: those of `names`. Labels: those that have all of `matchLabels`.',
    }),
    names: set(text('Name of a namespace.', 63), 0, 256, 'With Names.').optional(),
    matchLabels: z
      .record(z.string(), z.string().max(63))
      .optional()
      .meta({ description: 'With Labels.', maxProperties: 16 }),
  }),
  [
    {
      cel: "(self.from == 'Names') == has(self.names) && (self.from == 'Labels') == has(self.matchLabels)",
      message: 'names belongs to Names, matchLabels to Labels; each needs its own',
      field: ['from'],
      holds: (self) =>
        (self.from === 'Names') === (self.names !== undefined) &&
        (self.from === 'Labels') === (self.matchLabels !== undefined),
    },
  ],
).meta({ description: 'In which namespaces FilerPairs may name this class.' });

const storageRule = z.object({
  storageClassName: text('StorageClass of the claims. `*`: those that no other entry names.', 253),
  type: storageType,
});

const lostNodes = withRules(
  z.object({
    policies: set(
      z.enum(lostNodesPolicies),
      1,
      3,
      'Policies that a FilerPair may choose. Wait is always allowed.',
    ),
    minTimeout: duration('With AfterTimeout: the shortest timeout; absent: 60s.').optional(),
  }),
  [
    {
      cel: "!has(self.minTimeout) || duration(self.minTimeout) >= duration('10s')",
      message: 'minTimeout must be at least 10s',
      field: ['minTimeout'],
      holds: (self) => self.minTimeout === undefined || durationMs(self.minTimeout) >= 10_000,
    },
  ],
).meta({
  description:
    'storage.reattach.lostNodes. A node that is marked as out of service loses the disks of every tenant. Absent: Wait only.',
});

const limits = z
  .object({
    storageTypes: set(
      storageType,
      0,
      4,
      'Values of storage.type that a FilerPair may write itself. Reattach needs privileged pods; the Shared types are promises that this class makes instead (spec.storage).',
    ).optional(),
    exposureTypes: set(z.enum(exposureTypes), 0, 4, 'Values of exposure.type besides ClusterIP.').optional(),
    serviceAnnotations: patterns('Keys of annotations of Services, such as service.beta.kubernetes.io/.'),
    domains: set(
      text('A DNS domain; what is below it too. `*`: all.', 180),
      0,
      64,
      'Domains under which names are published. Absent: none.',
    ).optional(),
    nodeSelectors: patterns('Keys of labels in nodeSelector and nodeAffinity.'),
    tolerations: patterns('Keys of taints; a toleration without a key needs `*`.'),
    priorityClasses: patterns('PriorityClasses.'),
    runtimeClasses: patterns('RuntimeClasses.'),
    schedulers: patterns('Schedulers.'),
    lostNodes: lostNodes.optional(),
  })
  .meta({
    description:
      'What FilerPairs of this class may ask for that reaches beyond their namespace: only what stands here. They apply at once, to new and changed specs; a pair that has become forbidden is told so and runs on as it is.',
  });

export const filerPairClassSpec = z.object({
  allowedNamespaces,
  images: z
    .object({
      server: text(
        'Image of the file server and its sentinel; absent: the one that belongs to the operator’s version.',
        1024,
      ).optional(),
      pullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']).optional(),
    })
    .optional()
    .meta({
      description:
        'It runs as root, with the capabilities of a server. A change reaches the pairs one after the other.',
    }),
  storage: keyed(
    storageRule,
    'storageClassName',
    0,
    64,
    'What holds for the volumes of each StorageClass: the administrator’s promise, which a FilerPair without spec.storage relies on. It is fixed for a FilerPair when its first claim is made.',
  ).optional(),
  podTemplate: podTemplate
    .optional()
    .meta({ description: 'Defaults for the pods of servers, under those of the FilerPair.' }),
  limits: limits.prefault({}),
});

export const filerPairClass = z.object({
  apiVersion: z.literal(apiVersion),
  kind: z.literal('FilerPairClass'),
  metadata: z.looseObject({ name: z.string() }),
  spec: filerPairClassSpec,
  status: z.object({ conditions: conditions('Accepted.') }).optional(),
});

/** On a FilerPairClass, 'true': FilerPairs without className have this one. */
export const DEFAULT_CLASS_ANNOTATION = 'filerpair.dev/is-default-class';

export type FilerPairClassSpec = z.output<typeof filerPairClassSpec>;
