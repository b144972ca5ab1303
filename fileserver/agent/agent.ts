/**
 * The agent: gives the driver of pair/ the ports that it drives, feeds it with what happens, and answers status, probes and
 * requests. It never waits for a disk: the data thread makes all file system calls.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type DriverPorts, PairDriver } from '../../pair/driver.ts';
import type { Incarnation, ServerName } from '../../pair/incarnation.ts';
import { initialServer } from '../../pair/server/state.ts';
import type { TakeoverCheck } from '../../pair/takeover-check.ts';
import type { Input, TraceEvent } from '../../pair/types.ts';
import type { Config } from '../config/config.ts';
import { GroupLookup } from '../groups/group-lookup.ts';
import type { CredentialSource } from '../interconnect/credentials.ts';
import type { Log } from '../logging/log.ts';
import type { SentinelLink } from '../sentinel/sentinel-link.ts';
import type { LeaseTable } from '../serving-lease/lease-table.ts';
import type { PairShares, ShareTarget } from '../shares/pair-shares.ts';
import { bootMs } from '../system/boottime.ts';
import { DeadMansSwitch } from '../system/dead-man-switch.ts';
import { endWithin } from '../system/end-process.ts';
import { inBackground, nextTurn } from '../system/turns.ts';
import type { RequestResult, Witness } from '../witness/witness.ts';
import { type AgentMetrics, agentMetrics } from './agent-metrics.ts';
import { dataPathMetrics } from './data-path-metrics.ts';
import { DataThread } from './data-thread.ts';
import { DiskSetPort } from './disk-set-port.ts';
import type { FailoverGate } from './failover-gate.ts';
import { LiveExports } from './live-exports.ts';
import { PartnerPort } from './partner-port.ts';
import { whyNotHealthy, whyNotReady } from './readiness.ts';
import { Requests } from './requests.ts';
import { type Status, statusOf } from './status.ts';
import { TakeoverDryRun } from './takeover-dry-run.ts';
import { traceLine } from './trace-lines.ts';
import { Transitions } from './transitions.ts';
import { witnessPort } from './witness-port.ts';

/** Ms that last messages get to leave at the end. */
const DRAIN_MS = 200;
/** The Leases get this long to have what was said of maintenance. */
const MAINTENANCE_MS = 5000;
/** Beyond `stopMs`, if this thread cannot end the process any more. */
const KILLED_AFTER_MS = 500;
/** How long a start waits for the list of FilerShares. */
const SHARES_LISTED_MS = 3000;
/** The state machine may wait for inputs only; one tick a second costs nothing. */
const TICK_MS_MAX = 1000;

export interface RequestWords {
  readonly reason: string;
  readonly force: boolean;
  readonly override: readonly string[];
}

export interface AgentOptions {
  readonly config: Config;
  readonly me: Incarnation;
  readonly credentials: CredentialSource;
  readonly leases: LeaseTable;
  readonly witness: Witness;
  readonly sentinel: SentinelLink;
  readonly gate: FailoverGate;
  /** null: exports are those of the configuration. */
  readonly shares: PairShares | null;
  readonly log: Log;
  /** The process must end now, with this exit code; the reason has been logged. */
  readonly end: (code: number) => void;
}

export class Agent {
  readonly #options: AgentOptions;
  readonly #log: Log;
  readonly #partner: PartnerPort;
  readonly #dataThread: DataThread;
  readonly #exports: LiveExports;
  readonly #driver: PairDriver;
  readonly #transitions: Transitions;
  readonly #requests = new Requests();
  readonly #measured: AgentMetrics;
  readonly #dryRun: TakeoverDryRun;
  readonly #diskSets: ReadonlyMap<ServerName, DiskSetPort>;
  #timer: NodeJS.Timeout | undefined;
  #interconnectPort = 0;
  #metricsPort = 0;
  #over = false;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#log = options.log;
    const { config, me, credentials, leases, witness, shares, log } = options;
    const { server, partner, timing, policy } = config;
    const feed = (input: Input): void => this.#driver.feed(input);
    this.#transitions = new Transitions(server, () => new Date().toISOString());
    this.#measured = agentMetrics({
      status: () => this.status(),
      homes: [server, partner],
      certificates: () => credentials.current.tls,
    });
    this.#dataThread = new DataThread({
      config,
      me,
      leases: leases.buffer,
      groupChannel: config.groups === 'Server' ? new GroupLookup(log).channelName : null,
      received: (message) =>
        this.#diskSets.get(message.diskSet === 'local' ? server : partner)!.received(message),
      ended: (reason) => this.#fatal(`The data thread has ended: ${reason}`),
    });
    this.#exports = new LiveExports({
      config,
      apply: (home, exports) => this.#dataThread.replaceExports(this.#diskSets.get(home)!.side, exports),
      changed: (outcome) => this.#measured.configurationChanges.inc({ outcome }),
      log,
    });
    dataPathMetrics(
      this.#measured.metrics,
      config,
      (home) => shares?.exportsOf(home) ?? this.#exports.of(home),
      this.#dataThread.figures,
    );
    const parts = { config, witness, measured: this.#measured, log, feed };
    const diskSetParts = {
      ...parts,
      server,
      leases,
      dataThread: this.#dataThread,
      exports: this.#exports,
      shares,
      transitions: this.#transitions,
    };
    this.#diskSets = new Map([server, partner].map((home) => [home, new DiskSetPort(home, diskSetParts)]));
    this.#partner = new PartnerPort({ ...parts, me, credentials });
    this.#dryRun = new TakeoverDryRun({ ...parts, state: () => this.#driver.state });
    const ports = this.#ports(witnessPort({ ...parts, server, requests: this.#requests }));
    this.#driver = new PairDriver(initialServer({ me, server, partner, timing, policy }, bootMs()), ports);
  }

  async start(): Promise<void> {
    const { witness, sentinel, gate, shares } = this.#options;
    sentinel.start();
    // Heartbeats become steady while the shares are listed. Nothing can be claimed before a Lease is seen, which is below.
    const [port] = await Promise.all([
      this.#dataThread.started().then(() => this.#partner.start()),
      shares?.start(this.#shareTarget(), SHARES_LISTED_MS),
    ]);
    this.#interconnectPort = port;
    gate.closeIfMine();
    for (const home of this.#diskSets.keys()) {
      witness.watch(home, (sighting) => this.#driver.feed({ kind: 'leaseSeen', home, sighting }));
    }
    this.#driver.feed({ kind: 'tick' });
    this.#dryRun.start();
  }

  /** Planned stop: release everything, then end. Bounded: the process ends after `stopMs` in any case, whatever hangs. */
  stop(): void {
    const { stopMs } = this.#options.config;
    endWithin(stopMs + KILLED_AFTER_MS);
    setTimeout(() => {
      this.#log.warn(`The planned stop took more than ${stopMs} ms; ending as I am.`);
      this.#options.end(0);
    }, stopMs);
    this.#driver.feed({ kind: 'stop' });
  }

  /** An administrator's request, through the control socket. Resolves with the answer. */
  request(
    kind: 'takeover' | 'giveback',
    home: ServerName,
    { reason, force, override }: RequestWords,
  ): Promise<RequestResult> {
    const id = randomUUID();
    const answer = this.#requests.wait(id);
    this.#log.info(`A ${kind} of ${home} was requested${reason === '' ? '' : `: ${reason}`}.`, {
      request: id,
    });
    this.#driver.feed({ kind: 'request', home, request: { id, kind, reason, force, override } });
    return answer;
  }

  /** The configuration file has new contents. */
  configurationChanged(text: string, source: string): void {
    this.#exports.take(text, source);
  }

  /** Dry run: would a takeover of `home` by this server work now? */
  check(home: ServerName): Promise<TakeoverCheck> {
    return this.#dryRun.check(home);
  }

  /**
   * Begins or ends maintenance of both disk sets, for both servers. Null: both Leases have it. Otherwise why not, in a
   * sentence: until then the partner knows nothing of it. It goes on being written.
   */
  async setMaintenance(reason: string | null): Promise<string | null> {
    const { witness, log } = this.#options;
    log.info(reason === null ? 'Maintenance ends.' : `Maintenance: ${reason}. Nothing moves by itself.`);
    const homes = [...this.#diskSets.keys()];
    for (const home of homes) witness.annotate(home, { maintenance: reason });
    const late = delay(MAINTENANCE_MS, false, { ref: false });
    const noted = await Promise.all(homes.map((home) => Promise.race([witness.noted(home), late])));
    const missing = homes.filter((_, index) => !noted[index]);
    if (missing.length === 0) return null;
    return `Not in force yet: it could not be written on the Lease of ${missing.join(' and of ')}. The witness does not answer; ask again.`;
  }

  status(): Status {
    return statusOf({
      pair: this.#options.config.pair,
      state: this.#driver.state,
      now: bootMs(),
      served: (home) => this.#diskSets.get(home)!.status(bootMs()),
      partnerHeardAt: this.#partner.heardAt,
      sentinelWatching: this.#options.sentinel.watching,
      transitions: this.#transitions,
      ports: { interconnect: this.#interconnectPort, metrics: this.#metricsPort },
      configuration: this.#exports.status,
    });
  }

  metricsText(): Promise<string> {
    return this.#measured.metrics.format();
  }

  setMetricsPort(port: number): void {
    this.#metricsPort = port;
  }

  whyNotHealthy(): string | null {
    return whyNotHealthy(this.#dataThread.silentMs);
  }

  whyNotReady(): string | null {
    const stuck = Array.from(this.#diskSets.values(), ({ home, stuckVolumes }) =>
      stuckVolumes.worst(home, bootMs()),
    );
    return whyNotReady(this.#driver.state, stuck.find((sentence) => sentence !== null) ?? null);
  }

  #ports(witness: DriverPorts['witness']): DriverPorts {
    const { sentinel, gate } = this.#options;
    const switches = new Map(Array.from(this.#diskSets.keys(), (home) => [home, new DeadMansSwitch()]));
    const of = (home: ServerName): DiskSetPort => this.#diskSets.get(home)!;
    return {
      clock: { now: bootMs, wakeAt: (at) => this.#wakeAt(at) },
      witness,
      interconnect: this.#partner,
      dataPath: {
        grant: (home, until) => of(home).grant(until),
        prepare: (home, epoch) => this.#dataThread.prepare(of(home).side, epoch),
        open: (home, epoch, written) => of(home).open(epoch, written),
        close: (home, mode) => of(home).close(mode),
        freeze: (home, id, msMax) => of(home).freeze(id, msMax),
        thaw: (home, id) => this.#dataThread.thaw(of(home).side, id),
        disksAt: (home, ...where) => this.#dataThread.disksAt(of(home).side, ...where),
      },
      watchdog: {
        arm: (home, at) => switches.get(home)!.arm(at),
        disarm: (home) => switches.get(home)!.disarm(),
      },
      sentinel,
      gate,
      observer: { traced: (home, event, now) => this.#traced(home, event, now) },
      stopped: () => inBackground(this.#drain()),
      failed: (error) => this.#fatal(`Unexpected: ${error instanceof Error ? error.stack : String(error)}.`),
    };
  }

  #shareTarget(): ShareTarget {
    const thread = this.#dataThread;
    const sideOf = (home: ServerName) => this.#diskSets.get(home)!.side;
    return {
      replace: (home, exports) => thread.replaceExports(sideOf(home), exports),
      change: (home, changes, number) => thread.changeExports(sideOf(home), changes, number),
      removeDirectory: (home, ...what) => thread.removeDirectory(sideOf(home), ...what),
      forgetRemoval: (home, ...what) => thread.forgetRemoval(sideOf(home), ...what),
    };
  }

  /** Timers may be late, never the cause of a lease that lasts too long. */
  #wakeAt(at: number): void {
    clearTimeout(this.#timer);
    const ms = Math.min(TICK_MS_MAX, Math.max(1, Math.ceil(at - bootMs())));
    // If this thread was held up, acknowledgements may wait unread: timers come before them, immediates after.
    this.#timer = setTimeout(() => nextTurn(() => this.#driver.feed({ kind: 'tick' })), ms);
  }

  #traced(home: ServerName, event: TraceEvent, now: number): void {
    this.#transitions.traced(home, event, now);
    const [level, line] = traceLine(home, event);
    this.#log.log(level, line, {
      diskSet: home,
      event: event.name,
      transition: this.#transitionOf(home, event),
    });
    if (event.name === 'fenced') this.#measured.fences.inc({ disk_set: home });
    if (event.name !== 'owned') return;
    const { kind, cause } = this.#transitions.of(home)!;
    this.#measured.transitions.inc({ disk_set: home, kind, cause });
  }

  /** Disk set and epoch: what the logs of both servers and of the operator have in common about one change of owner. */
  #transitionOf(home: ServerName, event: TraceEvent): string {
    if ('epoch' in event) return `${home}/${event.epoch}`;
    const { local, partner } = this.#driver.state;
    const { seen } = home === local.home ? local : partner;
    // The epoch of a claim, before it is made.
    return `${home}/${(seen?.record.epoch ?? 0) + 1}`;
  }

  #fatal(reason: string): void {
    if (this.#over) return;
    this.#log.error(`${reason} The process ends; its partner takes over what it served.`);
    this.#options.end(1);
  }

  async #drain(): Promise<void> {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#dryRun.stop();
    this.#log.info('Everything is released. Ending.');
    inBackground(this.#options.shares?.stop());
    await Promise.all([this.#partner.stop(DRAIN_MS), this.#options.witness.close(DRAIN_MS)]);
    this.#options.end(0);
  }
}
