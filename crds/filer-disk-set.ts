/**
 * The FilerDiskSet resource: what must not be forgotten of one disk set. The operator writes it, nobody else; its `spec` is a
 * record, not a wish, so that a restored or reapplied FilerPair without its status finds it all the same.
 */

import { z } from 'zod';
import { conditions } from './condition.ts';
import { keyed, reference, text, time } from './fields.ts';
import { operationTypes } from './filer-pair-operation.ts';
import { apiVersion } from './group.ts';
import { serverName } from './pair/servers.ts';
import { storageType } from './pair/storage.ts';
import { withRules } from './rule.ts';

/** Git creates a manifest again after the TTL of its object. No repository is expected to hold so many for one disk set. */
export const OPERATIONS_REMEMBERED_MAX = 256;

const rememberedOperation = z.object({
  digest: text('Of its name and spec.', 64),
  name: text('Name of the FilerPairOperation.', 253),
  uid: text('UID of the object that was carried out.', 64),
  type: z.enum(operationTypes),
  epoch: z.int().min(0).optional().meta({
    description: 'Of a move: epoch of the disk set when it was accepted. It acts on no other.',
    format: 'int64',
  }),
  startTime: time('When it was accepted.'),
  completionTime: time('When it ended; absent: not known.').optional(),
  reason: text('How it ended, as its conditions said; absent: not known.', 64).optional(),
  lastSeenTime: time('When an object of this name and spec was created last, or this one ended.'),
});

const transition = z.object({
  epoch: z.int().meta({ description: 'The epoch that began.', format: 'int64' }),
  kind: z.string().meta({ description: 'Takeover, Giveback or Start.' }),
  cause: z.string().meta({
    description: 'PartnerSaidSo, Released, Silent, OperatorProof, Restarted, Requested or Unowned.',
  }),
  reason: z.string().optional().meta({
    description: 'What was found; of a forced takeover also what the administrator said.',
  }),
  to: z.string().meta({ description: 'The server that owns the disk set since then.' }),
  time: time('When, by the owner’s clock.'),
  durationMilliseconds: z.int().meta({
    description:
      'From the begin of the first phase until the port listens and the disk set is open. The phase firstReply, which needs a client, is not in it.',
    format: 'int64',
  }),
  phases: z
    .array(
      z.object({
        name: z.string(),
        offsetMilliseconds: z.int().meta({ description: 'Since the first phase began.', format: 'int64' }),
        durationMilliseconds: z.int().meta({ format: 'int64' }),
      }),
    )
    .max(32)
    .meta({ description: 'In order.', 'x-kubernetes-list-type': 'atomic' }),
});

export const filerDiskSetSpec = withRules(
  z.object({
    pairRef: reference('FilerPair to which it belongs.'),
    server: serverName('Its server.'),
    storageType: storageType.optional(),
    epochFloor: z.int().min(0).default(0).meta({
      description:
        'No Lease of this disk set ever begins below this epoch. It only grows: the volumes know epochs, and refuse older ones.',
      format: 'int64',
    }),
    claims: keyed(
      z.object({
        volume: text('Name of the volume.', 63),
        name: text('Name of the PersistentVolumeClaim.', 253),
        uid: text('UID of the claim that was bound first, or that an operation put in its place.', 64),
      }),
      'volume',
      0,
      16,
      'Claims that were bound once: they are not made anew, empty, when they vanish.',
    ).optional(),
    operations: keyed(
      rememberedOperation,
      'digest',
      0,
      OPERATIONS_REMEMBERED_MAX,
      'FilerPairOperations without ifEpoch that were carried out: one that is created again, by Git or from a backup, does nothing. The one that was seen last the longest ago is forgotten first. Snapshots are in the record of the server whose name comes first.',
    ).optional(),
  }),
  [],
  [
    {
      cel: 'self.pairRef.name == oldSelf.pairRef.name && self.server == oldSelf.server',
      message: 'pairRef and server cannot be changed',
      holds: (self, before) => self.pairRef.name === before.pairRef.name && self.server === before.server,
    },
    {
      cel: 'self.epochFloor >= oldSelf.epochFloor',
      message: 'epochFloor cannot go back: the volumes know later epochs',
      holds: (self, before) => self.epochFloor >= before.epochFloor,
    },
    {
      cel: '!has(oldSelf.storageType) || (has(self.storageType) && self.storageType == oldSelf.storageType)',
      message: 'storageType cannot be changed',
      holds: (self, before) => before.storageType === undefined || self.storageType === before.storageType,
    },
  ],
);

const filerDiskSetStatus = z.object({
  conditions: conditions('Served, AtHome.'),
  owner: z.string().optional().meta({ description: 'The server that owns it; absent: none.' }),
  holder: z.string().optional().meta({ description: 'The incarnation that owns it.' }),
  epoch: z.int().optional().meta({ format: 'int64' }),
  history: z
    .array(transition)
    .max(10)
    .optional()
    .meta({ description: 'Changes of the owner, the latest first.', 'x-kubernetes-list-type': 'atomic' }),
});

export const filerDiskSet = z.object({
  apiVersion: z.literal(apiVersion),
  kind: z.literal('FilerDiskSet'),
  metadata: z.looseObject({ name: z.string() }),
  spec: filerDiskSetSpec,
  status: filerDiskSetStatus.optional(),
});

/** Name of the FilerDiskSet, and of the Lease, of a server. With a dot, which no pair's name has: no two pairs share one. */
export const diskSetName = (pair: string, server: string): string => `${pair}.${server}`;

export type FilerDiskSetSpec = z.output<typeof filerDiskSetSpec>;
export type FilerDiskSetStatus = z.output<typeof filerDiskSetStatus>;
export type RememberedOperation = z.output<typeof rememberedOperation>;
export type DiskSetTransition = z.output<typeof transition>;
