/**
 * The Lease of one disk set as a file of the embedded witness: what is in it, and how it is read. Everything is
 * checked: a file that cannot be understood is "unknown", never "nobody's".
 */
import { z } from 'zod';
import { parseIncarnation } from '../../pair/incarnation.ts';
import {
  emptyLease,
  type LeaseOwnership,
  type LeaseSighting,
  type WrittenVolumes,
} from '../../pair/lease.ts';

const incarnation = z
  .string()
  .transform((text) => parseIncarnation(text))
  .refine((parsed) => parsed !== null);
const count = z.int().min(0);

/** The format's name of a freeze. */
export const FREEZE_KEY = 'standstill';

const schema = z.object({
  version: count,
  holder: incarnation.nullable(),
  epoch: count,
  acknowledger: incarnation.nullable(),
  renewal: count,
  releasedTo: z.string().nullable(),
  claimAfterMs: z.number().min(0).nullable().default(null),
  volumesAhead: z.object({ epoch: count, message: z.string() }).nullable().default(null),
  deathProof: z.object({ incarnation, epoch: count, evidence: z.string() }).nullable().default(null),
  request: z
    .object({
      id: z.string(),
      kind: z.enum(['takeover', 'giveback']),
      reason: z.string().default(''),
      force: z.boolean().exactOptional(),
      about: z
        .object({ holder: incarnation.nullable(), epoch: count, acknowledger: incarnation.nullable() })
        .exactOptional(),
      override: z.array(z.string()).exactOptional(),
    })
    .nullable()
    .default(null),
  maintenance: z.string().nullable().default(null),
  [FREEZE_KEY]: z
    .object({ id: z.string(), epoch: count, msMax: z.int().min(1), over: z.boolean().default(false) })
    .exactOptional(),
});

/** Throws if it is not a Lease of this format. */
export function parseLeaseFile(text: string): LeaseSighting {
  const { version, [FREEZE_KEY]: freeze, ...record } = schema.parse(JSON.parse(text));
  return {
    version: String(version),
    record: { ...record, ...(freeze && { freeze }) } as LeaseSighting['record'],
  };
}

export function formatLeaseFile(sighting: LeaseSighting): string {
  const { freeze, ...record } = sighting.record;
  const lease = { version: Number(sighting.version), ...record, [FREEZE_KEY]: freeze };
  return `${JSON.stringify(lease, null, 2)}\n`;
}

const writtenSchema = z.object({ epoch: count, volumes: z.record(z.string(), z.string()) });

/** null: it cannot be understood. */
export function parseWrittenFile(text: string): WrittenVolumes | null {
  try {
    return writtenSchema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

export const firstSighting: LeaseSighting = { version: '1', record: emptyLease };

/** The Lease after a server's write: whatever others put beside the ownership stays. */
export function withOwnership(before: LeaseSighting, ownership: LeaseOwnership): LeaseSighting {
  return { version: String(Number(before.version) + 1), record: { ...before.record, ...ownership } };
}
