/**
 * Messages of the servers of a pair and their sentinels over the interconnect: each message once, as the schema that
 * checks what arrives and from which its type follows. The sender's incarnation is in its hello, not in its messages.
 */
import { z } from 'zod';
import { type Incarnation, parseIncarnation, type ServerName } from './incarnation.ts';

const name: z.ZodType<ServerName> = z.string().min(1).max(253);
const count = z.int().min(0);
const incarnation = z.string().transform((text, context): Incarnation => {
  const parsed = parseIncarnation(text);
  if (parsed !== null) return parsed;
  context.addIssue({ code: 'custom', message: 'not an incarnation' });
  return z.NEVER;
});
/** Which disk sets (by home) the sender holds, and at which epoch: two at most. */
const holdings = z
  .array(z.object({ home: name, epoch: count }).readonly())
  .max(2)
  .readonly();

/** Every heartbeatMs. `seq` grows by one; the sender remembers when it sent which. Fields that are absent: also of an older version. */
const heartbeat = z.object({
  kind: z.literal('heartbeat'),
  seq: count,
  holdings,
  /** Disk sets that the sender could not serve now, by home: it tried. Absent: none. */
  cannotServe: z.array(name).max(2).readonly().exactOptional(),
  /** The sender has been told to stop: it claims nothing any more. Absent: it stays. */
  stopping: z.boolean().exactOptional(),
  /** The witness has not answered the sender lately, so it could claim nothing. Absent: it has. */
  witnessSilent: z.boolean().exactOptional(),
});

/** Answer to a heartbeat: the holdings that the receiver acknowledges (rule R1), perhaps none. */
const acknowledgement = z.object({ kind: z.literal('acknowledgement'), seq: count, holdings });

/** The sender changed the Lease of this disk set: read it now. A hint, never a proof. */
const leaseChanged = z.object({ kind: z.literal('leaseChanged'), home: name });

/**
 * The sender holds this disk set at this epoch and is about to release it to the receiver: the receiver may open its
 * failover gate. A hint that gives no lease.
 */
const handingOver = z.object({ kind: z.literal('handingOver'), home: name, epoch: count });

/** Sent by a sentinel, never by a server: this process has exited (rule R5). `holdings`: what it held. */
const died = z.object({ kind: z.literal('died'), incarnation, holdings, evidence: z.string().max(1000) });

/** Keeps the connection itself from looking dead. */
const ping = z.object({ kind: z.literal('ping') });

/** From a server to a sentinel: its message has arrived and need not be repeated. */
const deathNoted = z.object({ kind: z.literal('deathNoted'), incarnation });

const pairMessages = [heartbeat, acknowledgement, leaseChanged, handingOver] as const;
const message = z.discriminatedUnion('kind', [...pairMessages, died, ping, deathNoted]);

/** Message of a server to the other one. */
export type PairMessage = Readonly<z.infer<(typeof pairMessages)[number]>>;
export type Holding = z.infer<typeof holdings>[number];
export type DiedMessage = Readonly<z.infer<typeof died>>;
export type InterconnectMessage = Readonly<z.infer<typeof message>>;

/**
 * Null: not a message of this version. A peer that has proven itself is trusted to be the partner, not to be free of bugs or of
 * the same version: what cannot be understood is ignored.
 */
export function parseMessage(value: unknown): InterconnectMessage | null {
  const parsed = message.safeParse(value);
  return parsed.success ? parsed.data : null;
}
