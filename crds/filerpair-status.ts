// The status of a FilerPair: what the operator tells of it.

import { z } from 'zod';

const time = (description: string) =>
  z.string().meta({ description: `${description} RFC 3339.`, format: 'date-time' });

const condition = z.object({
  type: z.string().max(316).meta({
    description: 'Ready, TakeoverPossible, Degraded, Progressing, NamesPublished or ClientAddressesKept.',
  }),
  status: z.enum(['True', 'False', 'Unknown']),
  reason: z.string().max(1024).meta({ description: 'One word for programs; docs/operator.md lists them.' }),
  message: z.string().max(32768).meta({ description: 'A sentence for people: what, why, and what to do.' }),
  lastTransitionTime: time('When status changed last.'),
  observedGeneration: z.int().optional().meta({ format: 'int64' }),
});

const transition = z.object({
  home: z.string().meta({ description: 'The disk set that changed its owner.' }),
  kind: z.string().meta({ description: 'Takeover, Giveback or Start.' }),
  cause: z.string().meta({
    description: 'PartnerSaidSo, Silent, OperatorProof, Restarted, Requested or Unowned.',
  }),
  reason: z.string().optional().meta({
    description: 'In words: what was found; of a forced takeover also what the administrator said.',
  }),
  to: z.string().meta({ description: 'The server that owns the disk set since then.' }),
  epoch: z.int().meta({ description: 'The epoch that began.', format: 'int64' }),
  at: time('When, by the owner’s clock.'),
  took: z.string().meta({ description: 'From the first phase to the end of the last, such as 143ms.' }),
  phases: z
    .array(
      z.object({
        name: z.string(),
        at: z.string().meta({ description: 'Since the first phase began, such as 12ms.' }),
        took: z.string().meta({ description: 'Length of the phase, such as 12ms.' }),
      }),
    )
    .meta({ description: 'In order.', 'x-kubernetes-list-type': 'atomic' }),
});

export const filerPairStatus = z.object({
  observedGeneration: z
    .int()
    .optional()
    .meta({ description: 'metadata.generation that this status is about.', format: 'int64' }),
  conditions: z
    .array(condition)
    .optional()
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] }),
  owners: z.string().optional().meta({
    description:
      'Who serves what, in one line for kubectl: `filer-a>filer-b` is a disk set of filer-a that filer-b serves.',
  }),
  servers: z
    .array(
      z.object({
        name: z.string(),
        pod: z.string().optional(),
        node: z.string().optional(),
        incarnation: z
          .string()
          .optional()
          .meta({ description: 'The run of the server process, as far as a Lease names it.' }),
        state: z.string().meta({
          description: 'Missing, Pending, Starting, Running, Restarting, Terminating, NodeLost or Ended.',
        }),
        since: time('Since when.'),
      }),
    )
    .optional()
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] }),
  diskSets: z
    .array(
      z.object({
        home: z.string(),
        owner: z.string().optional().meta({ description: 'The server that owns it; absent: none.' }),
        holder: z.string().optional().meta({ description: 'The incarnation that owns it.' }),
        epoch: z.int().meta({ format: 'int64' }),
        phase: z.string().meta({
          description: 'NeverOwned, Released, Opening, Serving, OwnerDead, OwnerLost or Unknown.',
        }),
        claims: z.array(z.string()).optional().meta({
          description: 'Claims that were bound once: they are not made anew, empty, when they vanish.',
          'x-kubernetes-list-type': 'atomic',
        }),
        since: time('Since when.'),
      }),
    )
    .optional()
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['home'] }),
  lastTransition: transition.optional().meta({ description: 'The latest change of an owner.' }),
  history: z
    .array(transition)
    .max(10)
    .optional()
    .meta({ description: 'The last ten of these, the latest first.', 'x-kubernetes-list-type': 'atomic' }),
  lastRequest: z
    .object({
      id: z.string(),
      kind: z.string(),
      home: z.string(),
      result: z.string().meta({ description: 'Pending, Done or Refused.' }),
      message: z.string(),
      at: time('When the operator saw it.'),
    })
    .optional()
    .meta({ description: 'What an administrator asked for last, and the answer.' }),
  lastSnapshot: z
    .object({
      name: z.string(),
      result: z.string().meta({ description: 'Pending, Done, Failed or Refused.' }),
      message: z.string(),
      at: time('When the operator saw it.'),
    })
    .optional()
    .meta({ description: 'The snapshot that an administrator asked for last, and the answer.' }),
  maintenance: z.string().optional().meta({
    description:
      'Why nothing moves by itself now: the annotation filerpair.dev/maintenance, as the servers know it.',
  }),
  rollout: z
    .object({
      state: z.string().meta({
        description:
          'Queued, TryingImage, TakingOver, Replacing, GivingBack, Retrying, Waiting, Paused or Blocked.',
      }),
      server: z.string().optional().meta({ description: 'The server that it is about.' }),
      message: z.string(),
      begun: z
        .boolean()
        .optional()
        .meta({ description: 'Whether its turn has come: an image is tried, or a server has been touched.' }),
      since: time('Since when it is in this state.'),
    })
    .optional()
    .meta({ description: 'How far a change of the spec has come; absent: both servers run as it wants.' }),
});

export type FilerPairStatus = z.output<typeof filerPairStatus>;
export type FilerPairCondition = z.output<typeof condition>;
export type FilerPairTransition = z.output<typeof transition>;
