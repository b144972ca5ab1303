/** The FilerPairOperation resource: something to do once. It never changes after its creation, and never acts twice. */

import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { conditions, pending } from './condition.ts';
import { dnsLabel, keyed, objectName, reference, text, time } from './fields.ts';
import { apiVersion } from './group.ts';
import { serverName } from './pair/servers.ts';
import { withRules } from './rule.ts';

export const operationTypes = ['Takeover', 'Giveback', 'Snapshot', 'RecreateClaim'] as const;

const member = (type: string): string => `${type.charAt(0).toLowerCase()}${type.slice(1)}`;

const epoch = z.int().min(0).optional().meta({
  description:
    'Epoch of the disk set for which the operation is meant: it fails when the epoch is another one. Absent: the FilerDiskSet remembers that it was carried out. Either way an object that is created again, by Git or from a backup, does nothing.',
  format: 'int64',
});

const force = z
  .object({
    deadIncarnation: text(
      'The incarnation of the owner that you declare dead, as the FilerDiskSet or the Lease names it; absent: nobody owns the disk set. If it is alive, two servers write: switch its machine off first.',
      512,
    ).optional(),
  })
  .meta({
    description:
      'Moves the disk set without proof that its owner is dead. Needs the permission for the verb `force` on filerpairs, and ifEpoch.',
  });

const move = (description: string) =>
  withRules(
    z.object({
      server: serverName('Name of the server whose disk set moves.'),
      ifEpoch: epoch,
      force: force.optional(),
    }),
    [
      {
        cel: '!has(self.force) || has(self.ifEpoch)',
        message: 'force needs ifEpoch: what is declared about one ownership must not act on the next',
        field: ['ifEpoch'],
        holds: (self) => self.force === undefined || self.ifEpoch !== undefined,
      },
    ],
  ).meta({ description });

const spec = withRules(
  z.object({
    pairRef: reference('FilerPair of the same namespace.'),
    type: z.enum(operationTypes).meta({
      description:
        'Takeover: the partner takes over a disk set. Giveback: it goes back to its own server. Snapshot: all volumes of the pair at one moment, as VolumeSnapshots. RecreateClaim: an empty claim in the place of one that is lost.',
    }),
    reason: text('Why, for people: events, history and logs show it.', 1024).optional(),
    takeover: move('With type Takeover.').optional(),
    giveback: move('With type Giveback.').optional(),
    snapshot: z
      .object({
        volumeSnapshotClassName: objectName(
          'VolumeSnapshotClass; absent: the default one of each driver.',
        ).optional(),
      })
      .optional()
      .meta({ description: 'With type Snapshot; may be absent.' }),
    recreateClaim: z
      .object({
        server: serverName('Name of the server whose disk set lost the claim.'),
        volume: dnsLabel('Name of the volume.', 30),
        lostClaimUID: text('UID of the claim that is lost, as the FilerDiskSet has it.', 64),
      })
      .optional()
      .meta({ description: 'With type RecreateClaim. The data of the lost claim are given up.' }),
    ttlSecondsAfterFinished: z.int().min(0).optional().meta({
      description: 'Seconds after its end until it is deleted; absent: 604800, a week.',
    }),
  }),
  operationTypes.map((type) => ({
    cel:
      type === 'Snapshot'
        ? "self.type == 'Snapshot' || !has(self.snapshot)"
        : `(self.type == '${type}') == has(self.${member(type)})`,
    message:
      type === 'Snapshot'
        ? 'snapshot belongs to the type Snapshot'
        : `${member(type)} belongs to the type ${type}, which needs it`,
    field: [member(type)],
    holds: (self: Record<string, unknown>) =>
      type === 'Snapshot'
        ? self['type'] === type || self['snapshot'] === undefined
        : (self['type'] === type) === (self[member(type)] !== undefined),
  })),
  [
    {
      cel: 'self == oldSelf',
      message: 'spec cannot be changed: create another FilerPairOperation',
      holds: (self, before) => isDeepStrictEqual(self, before),
    },
  ],
);

export const filerPairOperationSpec = spec;

/** Reasons of these conditions, and what each means; docs/api.md has them. */
export const operationReasons = {
  waiting: {
    Pending: 'The operator has not seen it yet.',
    PairNotFound: 'There is no FilerPair of that name in the namespace.',
    Queued: 'An older operation comes first.',
    Requested: 'The servers have been asked.',
    Quiescing: 'The servers let running calls end, for a snapshot.',
    Recreating: 'An empty claim is being made.',
    NoRecord:
      'There is no FilerDiskSet of the disk set yet, in which the operation is written down before it acts.',
  },
  complete: {
    TakenOver: 'The partner owns the disk set.',
    GivenBack: 'The disk set’s own server owns it.',
    NothingToDo: 'It was so already.',
    SnapshotTaken: 'The snapshots are ready to be used.',
    Recreated: 'An empty claim is there.',
  },
  failed: {
    PairDeleted: 'The FilerPair is being deleted.',
    ServerNotFound: 'The pair has no such server.',
    VolumeNotFound: 'The server has no such volume.',
    NotStarted: 'The disk set has no Lease yet.',
    EpochMismatch: 'The disk set has changed its owner since: it has another epoch than ifEpoch.',
    AlreadyCarriedOut:
      'An operation of this name and spec was carried out before, and does nothing a second time. Another name, or ifEpoch, makes it another one.',
    TooManyOperations:
      'The FilerDiskSet remembers as many operations as it can, and all of them are there: delete some, or give ifEpoch.',
    ServerDrained: 'The server that is to serve the disk set is drained.',
    DisksHeld: 'The disks of the disk set stay where they are; the sentence says why.',
    NotTheOwner: 'The incarnation that force declares dead does not own the disk set.',
    Refused: 'A server has refused it, in its own words.',
    UndoneSince: 'It was done, and the disk set has moved again since.',
    SnapshotRefused: 'The pair is not in a state in which a snapshot can be taken.',
    SnapshotFailed: 'The storage could not take a snapshot.',
    NotTheClaim: 'The record of the disk set names another claim.',
    NotLost: 'The claim exists.',
  },
} as const;

export const filerPairOperationStatus = z
  .object({
    conditions: conditions('Complete or Failed; one of them becomes True.', [pending('Complete')]),
    startTime: time('When the operator accepted it.').optional(),
    completionTime: time('When it ended.').optional(),
    epoch: z.int().optional().meta({ description: 'Epoch of the disk set afterwards.', format: 'int64' }),
    snapshots: keyed(
      z.object({
        name: z.string().meta({ description: 'Name of a VolumeSnapshot.' }),
        server: z.string(),
        volume: z.string(),
      }),
      'name',
      0,
      64,
      'Of a Snapshot: what was made.',
    ).optional(),
  })
  .prefault({});

export const filerPairOperation = z.object({
  apiVersion: z.literal(apiVersion),
  kind: z.literal('FilerPairOperation'),
  metadata: z.looseObject({ name: z.string() }),
  spec: filerPairOperationSpec,
  status: filerPairOperationStatus.optional(),
});

export type FilerPairOperationSpec = z.output<typeof filerPairOperationSpec>;
export type FilerPairOperationStatus = z.output<typeof filerPairOperationStatus>;
