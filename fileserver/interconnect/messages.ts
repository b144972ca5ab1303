/**
 * What may be said over an authenticated connection, and the check that it was that. A peer that knows the secret is trusted to
 * be the partner, not to be free of bugs or of the same version: what cannot be understood is ignored.
 */
import { z } from 'zod';
import { type Incarnation, parseIncarnation } from '../../pair/incarnation.ts';
import type { DiedMessage, PairMessage } from '../../pair/types.ts';

/** Of the connection itself: keeps it from looking dead. */
export interface PingMessage {
  readonly kind: 'ping';
}

/** From a server to a sentinel: its message has arrived and need not be repeated. */
export interface DeathNotedMessage {
  readonly kind: 'deathNoted';
  readonly incarnation: Incarnation;
}

/** What a server says to the other one. */
export type ServerMessage = PairMessage;

export type InterconnectMessage = ServerMessage | DiedMessage | PingMessage | DeathNotedMessage;

const name = z.string().min(1).max(253);
const count = z.int().min(0);
const incarnation = z.string().transform((text, context): Incarnation => {
  const parsed = parseIncarnation(text);
  if (parsed !== null) return parsed;
  context.addIssue({ code: 'custom', message: 'not an incarnation' });
  return z.NEVER;
});
/** A server holds two disk sets at most. */
const holdings = z.array(z.object({ home: name, epoch: count })).max(2);

const message = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('heartbeat'),
    seq: count,
    holdings,
    cannotServe: z.array(name).max(2).exactOptional(),
    stopping: z.boolean().exactOptional(),
    witnessSilent: z.boolean().exactOptional(),
  }),
  z.object({ kind: z.literal('acknowledgement'), seq: count, holdings }),
  z.object({ kind: z.literal('leaseChanged'), home: name }),
  z.object({ kind: z.literal('handingOver'), home: name, epoch: count }),
  z.object({ kind: z.literal('died'), incarnation, holdings, evidence: z.string().max(1000) }),
  z.object({ kind: z.literal('ping') }),
  z.object({ kind: z.literal('deathNoted'), incarnation }),
]);

/** Null: not a message of this version. */
export function parseMessage(value: unknown): InterconnectMessage | null {
  const parsed = message.safeParse(value);
  return parsed.success ? parsed.data : null;
}
