/** The driver's port to the partner: the interconnect, with a measure of the heartbeats' round-trip time. */
import type { InterconnectPort } from '../../pair/driver.ts';
import type { Incarnation } from '../../pair/incarnation.ts';
import type { PairMessage } from '../../pair/messages.ts';
import type { Input } from '../../pair/types.ts';
import type { Config } from '../config/config.ts';
import { connectionTiming } from '../interconnect/connection.ts';
import type { CredentialSource } from '../interconnect/credentials.ts';
import { Interconnect } from '../interconnect/interconnect.ts';
import type { Log } from '../logging/log.ts';
import { bootMs } from '../system/boottime.ts';
import type { AgentMetrics } from './agent-metrics.ts';

/** Heartbeats whose acknowledgement is waited for; of older ones no round-trip time is measured. */
const HEARTBEATS_MEASURED = 64;

export interface PartnerParts {
  readonly config: Config;
  readonly me: Incarnation;
  readonly credentials: CredentialSource;
  readonly measured: AgentMetrics;
  readonly log: Log;
  readonly feed: (input: Input) => void;
}

export class PartnerPort implements InterconnectPort {
  /** Ms on CLOCK_BOOTTIME; null: never. */
  heardAt: number | null = null;
  readonly #measured: AgentMetrics;
  readonly #interconnect: Interconnect;
  /** Heartbeats under way: when they were sent. */
  readonly #sentAt = new Map<number, number>();

  constructor({ config, me, credentials, measured, log, feed }: PartnerParts) {
    const { pair, partner, timing, listen, partnerAddress } = config;
    this.#measured = measured;
    this.#interconnect = new Interconnect({
      pair,
      me,
      partner,
      credentials,
      listen: { host: listen.host, port: listen.interconnect },
      partnerAddress: { host: partnerAddress.host, port: partnerAddress.interconnect },
      timing: connectionTiming(timing),
      log,
      connected: (incarnation) => feed({ kind: 'partnerConnected', incarnation }),
      disconnected: (incarnation) => feed({ kind: 'partnerDisconnected', incarnation }),
      message: (from, message) => {
        this.#heard(message);
        feed({ kind: 'message', from, message });
      },
      died: (died) => {
        measured.deaths.inc({});
        log.warn(`${died.incarnation} is dead: ${died.evidence}.`);
        feed({ kind: 'died', died });
      },
    });
  }

  /** Resolves with the port. */
  start(): Promise<number> {
    return this.#interconnect.start();
  }

  /** Last messages get `ms` to leave. */
  stop(ms: number): Promise<void> {
    return this.#interconnect.stop(ms);
  }

  send(to: Incarnation, message: PairMessage): void {
    if (message.kind === 'heartbeat') {
      this.#measured.heartbeats.inc({});
      this.#sentAt.set(message.seq, bootMs());
      this.#sentAt.delete(message.seq - HEARTBEATS_MEASURED);
    }
    this.#interconnect.send(to, message);
  }

  #heard(message: PairMessage): void {
    this.heardAt = bootMs();
    if (message.kind !== 'acknowledgement') return;
    const sentAt = this.#sentAt.get(message.seq);
    if (sentAt !== undefined) this.#measured.heartbeatRtt.observe((this.heardAt - sentAt) / 1000);
    this.#sentAt.delete(message.seq);
  }
}
