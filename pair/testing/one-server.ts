/** filer-a, alone with its decisions: a test says what comes in and when, and looks at what comes out. */
import { type Incarnation, incarnationOf } from '../incarnation.ts';
import { emptyLease, type LeaseRecord, type LeaseSighting } from '../lease.ts';
import type { PairMessage } from '../messages.ts';
import { initialServer, type ServerState } from '../server/state.ts';
import { servingLeaseOf, step } from '../server.ts';
import { silenceMs } from '../serving-lease.ts';
import type { Effect, Input, LeaseWriteOutcome, PairPolicy, PairTiming, TraceEvent } from '../types.ts';

export const timing: PairTiming = { leaseMs: 2000, guardMs: 500, heartbeatMs: 200 };
export const silence = silenceMs(timing);
export const me = incarnationOf('filer-a', 'podA', 'run1');
export const partner = incarnationOf('filer-b', 'podB', 'run1');
/** Another run of the partner's server, in another pod. */
export const stranger = incarnationOf('filer-b', 'podX', 'run1');

export type Home = 'filer-a' | 'filer-b';

export class OneServer {
  state: ServerState;
  now = 0;
  /** Effects of the last input. */
  effects: readonly Effect[] = [];

  constructor(policy?: PairPolicy) {
    const identity = { me, server: 'filer-a', partner: 'filer-b', timing };
    this.state = initialServer(policy === undefined ? identity : { ...identity, policy }, 0);
  }

  at(now: number): this {
    this.now = now;
    return this;
  }

  give(input: Input): this {
    const { state, effects } = step(this.state, input, this.now);
    this.state = state;
    this.effects = effects;
    return this;
  }

  tick(now: number): this {
    return this.at(now).give({ kind: 'tick' });
  }

  /** The watch brings it. */
  sees(home: Home, record: Partial<LeaseRecord>, version = `${record.renewal ?? 0}`): this {
    return this.give({ kind: 'leaseSeen', home, sighting: sighting(record, version) });
  }

  /** The answer to a read. */
  reads(home: Home, record: Partial<LeaseRecord>, version = `${record.renewal ?? 0}`): this {
    return this.give({
      kind: 'leaseRead',
      home,
      outcome: { kind: 'found', sighting: sighting(record, version) },
    });
  }

  /** The answer to a read: the Lease as this server has seen it last. */
  readsTheSame(home: Home): this {
    return this.give({ kind: 'leaseRead', home, outcome: { kind: 'found', sighting: this.set(home).seen! } });
  }

  written(token: number, outcome: LeaseWriteOutcome, home: Home = 'filer-a'): this {
    return this.give({ kind: 'leaseWritten', home, token, outcome });
  }

  /** The write of the last step is applied; `change`: what others have put beside it. */
  applied(now: number, change: Partial<LeaseRecord> = {}): this {
    const { home, token, version, ownership } = this.write!;
    const record = { ...emptyLease, ...ownership, ...change };
    const outcome = { kind: 'applied', sighting: { version: `${version}+`, record } } as const;
    return this.at(now).written(token, outcome, home as Home);
  }

  connects(incarnation: Incarnation = partner): this {
    return this.give({ kind: 'partnerConnected', incarnation });
  }

  disconnects(incarnation: Incarnation = partner): this {
    return this.give({ kind: 'partnerDisconnected', incarnation });
  }

  hears(message: PairMessage, from: Incarnation = partner): this {
    return this.give({ kind: 'message', from, message });
  }

  /** A heartbeat of the partner, which holds nothing. */
  beat(now: number, from: Incarnation = partner): this {
    return this.at(now).hears({ kind: 'heartbeat', seq: now, holdings: [] }, from);
  }

  /** The partner acknowledges this server's last heartbeat for its own disk set. */
  acknowledged(seq = this.state.seq, epoch = 1, from: Incarnation = partner): this {
    return this.hears({ kind: 'acknowledgement', seq, holdings: [{ home: 'filer-a', epoch }] }, from);
  }

  opened(home: Home, epoch: number): this {
    return this.give({ kind: 'diskSetOpened', home, epoch });
  }

  closed(home: Home): this {
    return this.give({ kind: 'diskSetClosed', home });
  }

  died(incarnation: Incarnation, home: Home, epoch: number): this {
    const holdings = [{ home, epoch }];
    return this.give({ kind: 'died', died: { kind: 'died', incarnation, holdings, evidence: 'exited' } });
  }

  set(home: Home) {
    return home === 'filer-a' ? this.state.local : this.state.partner;
  }

  servingLease(home: Home): number | null {
    return servingLeaseOf(this.state, home);
  }

  of<K extends Effect['kind']>(kind: K): Extract<Effect, { kind: K }>[] {
    return this.effects.filter((effect): effect is Extract<Effect, { kind: K }> => effect.kind === kind);
  }

  /** The write of the last step. */
  get write() {
    return this.of('writeLease')[0];
  }

  traces(): TraceEvent[] {
    return this.of('trace').map(({ event }) => event);
  }

  sent<K extends PairMessage['kind']>(kind: K): Extract<PairMessage, { kind: K }>[] {
    return this.of('send')
      .map(({ message }) => message)
      .filter((message): message is Extract<PairMessage, { kind: K }> => message.kind === kind);
  }
}

export function sighting(record: Partial<LeaseRecord>, version: string): LeaseSighting {
  return { version, record: { ...emptyLease, ...record } };
}

/** Owns its disk set at epoch 1, solo, port open; the claim was sent at 0 and answered at 10. */
export function soloHolder(policy?: PairPolicy): OneServer {
  return new OneServer(policy).sees('filer-a', {}).applied(10).opened('filer-a', 1);
}

/** ... and paired with the partner: the write that named it was sent at 700 and answered at 720. */
export function pairedHolder(policy?: PairPolicy): OneServer {
  const server = soloHolder(policy).at(20).connects();
  for (const now of [100, 300, 500, 700]) server.beat(now);
  return server.applied(720);
}
