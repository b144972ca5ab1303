/** status of a FilerPair: what can be observed again. What must not be forgotten is in its FilerDiskSets. */

import { z } from 'zod';
import { conditions, pending } from '../condition.ts';
import { keyed, time } from '../fields.ts';

const listOf = <S extends z.ZodType>(item: S, key: string, description: string) =>
  keyed(item, key, 0, 16, description).optional();

const address = z.object({
  name: z.string().meta({
    description:
      'Which, such as `a/nfs` or `a-failover/nfs`: server, with the suffix its failover name, and listener.',
  }),
  hostname: z.string().optional().meta({ description: 'DNS name: in the cluster, or the published one.' }),
  ip: z.string().optional().meta({ description: 'Address, where it is known and does not change.' }),
  port: z.int().meta({ description: 'TCP port.' }),
});

const server = z.object({
  name: z.string(),
  pod: z.string().optional(),
  node: z.string().optional(),
  image: z.string().optional().meta({
    description:
      'Image of the server in its pod, and so its version. It differs from effective.image until a rollout has come here.',
  }),
  incarnation: z
    .string()
    .optional()
    .meta({ description: 'The run of the server process, as far as a Lease names it.' }),
  conditions: conditions('Running, UpToDate.'),
});

const diskSet = z.object({
  name: z.string().meta({ description: 'The server to which it belongs.' }),
  owner: z.string().optional().meta({ description: 'The server that owns it; absent: none.' }),
  epoch: z.int().meta({ format: 'int64' }),
  conditions: conditions('Served, AtHome.'),
});

const rollout = z.object({
  server: z.string().optional().meta({ description: 'The server that it is about.' }),
  step: z.string().meta({
    description:
      'Queued, TryingImage, TakingOver, Replacing, GivingBack, Retrying, Waiting, Paused or Blocked.',
  }),
  message: z.string(),
  sinceTime: time('Since when.'),
});

const effective = z
  .object({
    className: z.string().optional(),
    storageType: z.string().optional(),
    image: z.string().optional(),
    leaseDuration: z.string().optional(),
    guardDuration: z.string().optional(),
    heartbeatPeriod: z.string().optional(),
  })
  .meta({ description: 'Values in force, from the spec, the class and the defaults.' });

export const pairConditions = [
  'Ready',
  'TakeoverPossible',
  'AtHome',
  'Degraded',
  'Progressing',
  'Maintenance',
  'Accepted',
  'Reconciling',
  'Stalled',
  'NamesPublished',
  'ClientAddressesKept',
] as const;

export const filerPairStatus = z
  .object({
    observedGeneration: z
      .int()
      .optional()
      .meta({ description: 'metadata.generation that this status is about.', format: 'int64' }),
    conditions: conditions(`${pairConditions.join(', ')}.`, [pending('Ready')]),
    summary: z.string().optional().meta({
      description: 'Which server serves what, in one line: `a>b` is the disk set of a, served by b.',
    }),
    addresses: listOf(address, 'name', 'Where clients find the disk sets. They do not change at a failover.'),
    servers: listOf(server, 'name', 'The two servers.'),
    diskSets: listOf(diskSet, 'name', 'The two disk sets.'),
    lastTransition: z
      .object({
        diskSet: z.string(),
        kind: z.string().meta({ description: 'Takeover, Giveback or Start.' }),
        cause: z.string(),
        time: time('When, by the owner’s clock.'),
        durationMilliseconds: z.int().meta({ format: 'int64' }),
      })
      .optional()
      .meta({ description: 'The latest change of an owner. FilerDiskSets keep the last ten.' }),
    rollout: rollout
      .optional()
      .meta({ description: 'How far a change of the spec has come; absent: both servers run as it wants.' }),
    effective: effective.optional(),
  })
  .prefault({});

export type FilerPairStatus = z.output<typeof filerPairStatus>;
