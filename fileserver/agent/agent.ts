/**
 * The agent: the ports of the driver of pair/ (interconnect, witness, data threads, kernel timers, sentinel), the events fed
 * into it, and what log and status say. It decides no ownership, and never waits for a disk.
 */

import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { DiskSetState } from '../../pair/disk-set/state.ts';
import { type DriverPorts, PairDriver } from '../../pair/driver.ts';
import type { Incarnation, ServerName } from '../../pair/incarnation.ts';
import type { LeaseOwnership, WrittenVolumes } from '../../pair/lease.ts';
import { initialServer, type ServerState } from '../../pair/server/state.ts';
import { type TakeoverCheck, takeoverCheck } from '../../pair/takeover-check.ts';
import type { DiskSetSide, PairMessage, TraceEvent } from '../../pair/types.ts';
import type { Config } from '../config/config.ts';
import { GroupLookup } from '../groups/group-lookup.ts';
import { connectionTiming } from '../interconnect/connection.ts';
import type { CredentialSource } from '../interconnect/credentials.ts';
import { Interconnect } from '../interconnect/interconnect.ts';
import type { Log } from '../logging/log.ts';
import type { SentinelLink } from '../sentinel/sentinel-link.ts';
import type { LeaseTable } from '../serving-lease/lease-table.ts';
import type { ExportSpec } from '../settings/export-spec.ts';
import type { VolumeErrorCount } from '../storage/failures/volume-errors.ts';
import { bootMs } from '../system/boottime.ts';
import { clockSlew } from '../system/clock-rate.ts';
import { DeadMansSwitch } from '../system/dead-man-switch.ts';
import { endWithin } from '../system/end-process.ts';
import { inBackground, nextTurn, repeat } from '../system/turns.ts';
import type { AbsentExport, FromDataThread } from '../threads/messages.ts';
import type { FreezeAnswer, RequestResult, Witness } from '../witness/witness.ts';
import { AbsentExports } from './absent-exports.ts';
import { type AgentMetrics, agentMetrics } from './agent-metrics.ts';
import { dataPathMetrics } from './data-path-metrics.ts';
import { DataThread } from './data-thread.ts';
import type { FailoverGate } from './failover-gate.ts';
import { LiveExports } from './live-exports.ts';
import { Requests } from './requests.ts';
import { SharedAnswer } from './shared-answer.ts';
import { type OpenFailureStatus, type Status, statusOf } from './status.ts';
import { StuckVolumes } from './stuck-volumes.ts';
import { Transitions } from './transitions.ts';
import { VolumeErrorLog } from './volume-error-log.ts';
import { VolumeLooks } from './volume-look.ts';

/** Ms that last messages get to leave at the end. */
const DRAIN_MS = 200;
/** A thread that is alive shows it several times a second; on a machine without a moment to spare, later. ms */
const UNHEALTHY_AFTER_MS = 15_000;
/** Between two looks at whether a change is still under way, after a cut. */
const CHANGES_LOOK_MS = 2;
/** A transition whose first request has not come within this time is written down without it. */
const ANNOTATE_AFTER_MS = 250;
/** Between two dry runs of a takeover. */
const CHECK_MS = 30_000;
/** A dry run within this time gets the last one's answer. */
const CHECK_GOOD_FOR_MS = 500;
/** The Leases get this long to have what was said of maintenance. */
const MAINTENANCE_MS = 5000;
/** Beyond `stopMs`, if this thread cannot end the process any more. */
const KILLED_AFTER_MS = 500;
/** Between two words to the operator about a volume's errors, while there are some. */
const TROUBLE_AGAIN_MS = 60_000;
/** How long the operator tells that the witness has gone back: it is over within seconds. */
const WENT_BACK_TOLD_MS = 3_600_000;

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
  readonly log: Log;
  /** The process must end now, with this exit code; `reason` has been logged. */
  readonly end: (code: number) => void;
}

export class Agent {
  readonly #options: AgentOptions;
  readonly #log: Log;
  readonly #interconnect: Interconnect;
  readonly #dataThread: DataThread;
  readonly #exports: LiveExports;
  readonly #driver: PairDriver;
  readonly #transitions: Transitions;
  readonly #requests = new Requests();
  readonly #measured: AgentMetrics;
  readonly #openPorts = new Map<ServerName, number>();
  /** Epochs at which the data thread was last told to open, by home. */
  readonly #openEpochs = new Map<ServerName, number>();
  /** Of disk sets that this server could not open the last time that it tried, by home. */
  readonly #openFailures = new Map<ServerName, OpenFailureStatus>();
  /** Heartbeats under way, for the round-trip time. */
  readonly #heartbeatsSent = new Map<number, number>();
  #timer: NodeJS.Timeout | null = null;
  #partnerHeardAt: number | null = null;
  #interconnectPort = 0;
  #metricsPort = 0;
  #over = false;
  #checking: NodeJS.Timeout | null = null;
  #lastCheck = '';
  readonly #volumeLooks = new VolumeLooks();
  readonly #checks: ReadonlyMap<ServerName, SharedAnswer<TakeoverCheck>>;
  readonly #stuckVolumes = new StuckVolumes();
  readonly #absentExports = new AbsentExports();
  /** Exports with which the data thread was last told to open, by home. */
  readonly #openExports = new Map<ServerName, readonly ExportSpec[]>();
  readonly #volumeErrors = new VolumeErrorLog();
  /** Of each home whose Lease says that a volume is troubled: when it is to be looked at again. */
  readonly #troubled = new Map<ServerName, NodeJS.Timeout>();

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#log = options.log;
    const { config, me, credentials, leases, log } = options;
    const { server, partner, timing, policy } = config;
    const checkOf = (home: ServerName) =>
      [home, new SharedAnswer(() => this.#checkNow(home), CHECK_GOOD_FOR_MS)] as const;
    this.#checks = new Map([server, partner].map(checkOf));
    this.#transitions = new Transitions(server, () => new Date().toISOString());
    this.#measured = agentMetrics(() => this.status());
    this.#dataThread = new DataThread({
      config,
      me,
      leases: leases.buffer,
      groupChannel: config.groups === 'Server' ? new GroupLookup(log).channelName : null,
      received: (message) => this.#fromDataThread(message),
      ended: (reason) => this.#fatal(`The data thread has ended: ${reason}`),
    });
    this.#exports = new LiveExports({
      config,
      apply: (home, exports) => this.#dataThread.replaceExports(this.#sideOf(home), exports),
      changed: (outcome) => this.#measured.configurationChanges.inc({ outcome }),
      log,
    });
    const exportsOf = (home: ServerName): ExportSpec[] => this.#exports.of(home);
    dataPathMetrics(this.#measured.metrics, config, exportsOf, this.#dataThread.figures);
    this.#interconnect = new Interconnect({
      pair: config.pair,
      me,
      partner,
      credentials,
      listen: { host: config.listen.host, port: config.listen.interconnect },
      partnerAddress: { host: config.partnerAddress.host, port: config.partnerAddress.interconnect },
      timing: connectionTiming(timing),
      log,
      connected: (incarnation) => this.#driver.feed({ kind: 'partnerConnected', incarnation }),
      disconnected: (incarnation) => this.#driver.feed({ kind: 'partnerDisconnected', incarnation }),
      message: (from, message) => this.#fromPartner(from, message),
      died: (died) => {
        this.#measured.deaths.inc({});
        log.warn(`${died.incarnation} is dead: ${died.evidence}.`);
        this.#driver.feed({ kind: 'died', died });
      },
    });
    const identity = { me, server, partner, timing, policy };
    this.#driver = new PairDriver(initialServer(identity, bootMs()), this.#ports());
  }

  get #state(): ServerState {
    return this.#driver.state;
  }

  async start(): Promise<void> {
    const { config, witness, sentinel, gate } = this.#options;
    sentinel.start();
    await this.#dataThread.started();
    this.#interconnectPort = await this.#interconnect.start();
    gate.closeIfMine();
    for (const home of [config.server, config.partner]) {
      witness.watch(home, (sighting) => this.#driver.feed({ kind: 'leaseSeen', home, sighting }));
    }
    this.#driver.feed({ kind: 'tick' });
    this.#checking = repeat(() => this.#keepChecking(), CHECK_MS);
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

  /** Dry run: would a takeover of `home` by this server work now? Asks the witness and looks at the volumes. */
  check(home: ServerName): Promise<TakeoverCheck> {
    return this.#checks.get(home)!.get();
  }

  async #checkNow(home: ServerName): Promise<TakeoverCheck> {
    const { config, witness } = this.#options;
    const [read, whyNotReadable] = await Promise.all([
      witness.read(home),
      this.#volumeLooks.whyNotReadable(
        home,
        // Those that move come to this node with the ownership, and not before.
        config.diskSets[home]!.volumes.filter(({ reattached }) => reattached !== true),
        this.#diskSetOf(home).seen?.record.written,
      ),
    ]);
    this.#driver.feed(
      read.kind === 'found'
        ? { kind: 'leaseSeen', home, sighting: read.sighting }
        : { kind: 'witnessSilent' },
    );
    const facts = {
      witness: read.kind === 'found' ? ('answers' as const) : ('silent' as const),
      whyNotReadable,
      clockSlew: clockSlew(),
    };
    return takeoverCheck(this.#state, home, facts, bootMs());
  }

  /**
   * Begins or ends maintenance of both disk sets, for both servers. Null: both Leases have it. Otherwise why not, in a
   * sentence: until then the partner knows nothing of it. It goes on being written.
   */
  async setMaintenance(reason: string | null): Promise<string | null> {
    const { config, witness, log } = this.#options;
    log.info(reason === null ? 'Maintenance ends.' : `Maintenance: ${reason}. Nothing moves by itself.`);
    const homes = [config.server, config.partner];
    for (const home of homes) witness.annotate(home, { maintenance: reason });
    const late = delay(MAINTENANCE_MS, false, { ref: false });
    const noted = await Promise.all(homes.map((home) => Promise.race([witness.noted(home), late])));
    const missing = homes.filter((_, index) => !noted[index]);
    if (missing.length === 0) return null;
    return `Not in force yet: it could not be written on the Lease of ${missing.join(' and of ')}. The witness does not answer; ask again.`;
  }

  /** The answer of the dry run beside the Lease, whenever it is another one than before. */
  async #keepChecking(): Promise<void> {
    const { partner } = this.#options.config;
    const { server, possible, missing } = await this.check(partner);
    const text = JSON.stringify([possible, missing.map(({ name }) => name)]);
    const owns = missing.some(({ name }) => name === 'OwnedHere');
    if (text !== this.#lastCheck && !owns && !this.#over) {
      this.#options.witness.annotate(partner, { takeoverCheck: { server, possible, missing } });
      this.#log.info(
        `Takeover of ${partner}: ${possible ? 'possible' : missing.map(({ message }) => message).join('; ')}.`,
      );
    }
    this.#lastCheck = text;
  }

  status(): Status {
    return statusOf({
      pair: this.#options.config.pair,
      state: this.#state,
      now: bootMs(),
      deadlineOf: (home) => this.#options.leases.deadline(this.#sideOf(home)),
      openPorts: this.#openPorts,
      partnerHeardAt: this.#partnerHeardAt,
      sentinelWatching: this.#options.sentinel.watching,
      transitions: this.#transitions,
      ports: { interconnect: this.#interconnectPort, metrics: this.#metricsPort },
      configuration: this.#exports.status,
      stuckVolumes: this.#stuckVolumes,
      volumeErrors: this.#volumeErrors,
      openFailures: this.#openFailures,
      absentExports: this.#absentExports,
    });
  }

  metricsText(): Promise<string> {
    return this.#measured.metrics.format();
  }

  setMetricsPort(port: number): void {
    this.#metricsPort = port;
  }

  /**
   * Null if the process works at all. A disk that does not answer is no reason to be restarted: a new process would wait
   * for it too. So only threads count that never wait for a disk, or should not.
   */
  whyNotHealthy(): string | null {
    const { silentMs } = this.#dataThread;
    if (silentMs < UNHEALTHY_AFTER_MS) return null;
    return `a thread of the data path has not turned for ${Math.round(silentMs / 1000)} s`;
  }

  /**
   * Null if this server can do its part; otherwise why not, in a sentence. A disk that does not answer is such a reason:
   * nobody should be sent away from the partner meanwhile, and no rollout go on.
   */
  whyNotReady(): string | null {
    const { local, partner } = this.#state;
    for (const { home, seen, wentBack, ahead } of [local, partner]) {
      if (seen === null) return `the Lease of ${home} has not been seen yet`;
      if (wentBack !== null) return `the witness has lost what it knew of ${home}`;
      if (ahead !== null) return `${home} is not claimed again by itself: ${ahead.message}`;
    }
    if (local.role.name === 'holder' && local.role.port === 'opening') return `${local.home} is being opened`;
    return this.#stuckVolumes.worst(bootMs());
  }

  // ----------------------------------------------------------------------------------------------- the driver

  #ports(): DriverPorts {
    const { sentinel, gate } = this.#options;
    const { server, partner } = this.#options.config;
    const switches = new Map([server, partner].map((home) => [home, new DeadMansSwitch()]));
    return {
      clock: { now: bootMs, wakeAt: (at) => this.#wakeAt(at) },
      witness: {
        read: (home) => inBackground(this.#readLease(home)),
        compareAndSwap: (...write) => inBackground(this.#writeLease(...write)),
        answer: (home, id, result, message) => this.#answer(home, { id, result, message }),
      },
      interconnect: { send: (to, message) => this.#send(to, message) },
      dataPath: {
        grant: (home, until) => this.#grant(home, until),
        prepare: (home, epoch) => this.#dataThread.prepare(this.#sideOf(home), epoch),
        open: (home, epoch, written) => this.#open(home, epoch, written),
        close: (home, mode) => this.#close(home, mode),
        freeze: (home, id, msMax) => this.#freeze(home, id, msMax),
        thaw: (home, id) => this.#dataThread.thaw(this.#sideOf(home), id),
        disksAt: (home, ...where) => this.#dataThread.disksAt(this.#sideOf(home), ...where),
      },
      watchdog: {
        arm: (home, at) => switches.get(home)!.arm(at),
        disarm: (home) => switches.get(home)!.disarm(),
      },
      sentinel,
      gate,
      observer: { traced: (home, event, now) => this.#trace(home, event, now) },
      stopped: () => inBackground(this.#drain()),
      failed: (error) => this.#fatal(`Unexpected: ${error instanceof Error ? error.stack : String(error)}.`),
    };
  }

  #grant(home: ServerName, until: number | null): void {
    this.#options.leases.set(this.#sideOf(home), until ?? 0);
    if (until === null) this.#awaitChanges(home);
  }

  /** Threads that get no processor say late that they have closed; this thread sees at once that they change nothing. */
  #awaitChanges(home: ServerName): void {
    const { leases } = this.#options;
    if (this.#diskSetOf(home).role.name !== 'fencing') return;
    if (leases.isChanging(this.#sideOf(home))) setTimeout(() => this.#awaitChanges(home), CHANGES_LOOK_MS);
    else this.#driver.feed({ kind: 'changesEnded', home });
  }

  /** Timers may be late, never the cause of a lease that lasts too long. */
  #wakeAt(at: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    // The machine may wait for inputs only; one tick a second costs nothing.
    const ms = Math.min(1000, Math.max(1, Math.ceil(at - bootMs())));
    // If this thread was held up, acknowledgements may wait unread: timers come before them, immediates after.
    this.#timer = setTimeout(() => nextTurn(() => this.#driver.feed({ kind: 'tick' })), ms);
  }

  // -------------------------------------------------------------------------------------- partner, witness

  #send(to: Incarnation, message: PairMessage): void {
    if (message.kind === 'heartbeat') {
      this.#measured.heartbeats.inc({});
      this.#heartbeatsSent.set(message.seq, bootMs());
      this.#heartbeatsSent.delete(message.seq - 64);
    }
    this.#interconnect.send(to, message);
  }

  #fromPartner(from: Incarnation, message: PairMessage): void {
    const now = bootMs();
    this.#partnerHeardAt = now;
    if (message.kind === 'acknowledgement') {
      const sentAt = this.#heartbeatsSent.get(message.seq);
      if (sentAt !== undefined) this.#measured.heartbeatRtt.observe((now - sentAt) / 1000);
      this.#heartbeatsSent.delete(message.seq);
    }
    this.#driver.feed({ kind: 'message', from, message });
  }

  async #readLease(home: ServerName): Promise<void> {
    const outcome = await this.#options.witness.read(home);
    this.#measured.leaseReads.inc({ disk_set: home, outcome: outcome.kind });
    this.#driver.feed({ kind: 'leaseRead', home, outcome });
  }

  async #writeLease(
    home: ServerName,
    token: number,
    version: string,
    ownership: LeaseOwnership,
  ): Promise<void> {
    const outcome = await this.#options.witness.compareAndSwap(home, version, ownership);
    this.#measured.leaseWrites.inc({ disk_set: home, outcome: outcome.kind });
    if (outcome.kind === 'unknown') {
      this.#log.warn(
        `Whether the Lease of ${home} was written is unknown; looking it up before anything else.`,
      );
    }
    this.#driver.feed({ kind: 'leaseWritten', home, token, outcome });
  }

  #answer(home: ServerName, result: RequestResult): void {
    this.#log.info(`Request ${result.id} for ${home}: ${result.result}, ${result.message}.`);
    if (!this.#requests.answer(result)) this.#options.witness.annotate(home, { requestResult: result });
  }

  // ------------------------------------------------------------------------------------------ the data path

  #sideOf(home: ServerName): DiskSetSide {
    return home === this.#options.config.server ? 'local' : 'partner';
  }

  #diskSetOf(home: ServerName): DiskSetState {
    return this.#sideOf(home) === 'local' ? this.#state.local : this.#state.partner;
  }

  #homeOf(side: DiskSetSide): ServerName {
    const { server, partner } = this.#options.config;
    return side === 'local' ? server : partner;
  }

  #open(home: ServerName, epoch: number, written: WrittenVolumes | undefined): void {
    this.#openEpochs.set(home, epoch);
    const exports = this.#exports.of(home);
    this.#openExports.set(home, exports);
    this.#dataThread.open(this.#sideOf(home), epoch, exports, written);
  }

  #close(home: ServerName, mode: 'quiesce' | 'fence'): void {
    const side = this.#sideOf(home);
    this.#dataThread.close(side, mode);
    if (side === 'partner') this.#options.witness.annotate(home, { secondaryPortOpen: null });
  }

  #freeze(home: ServerName, id: string, msMax: number): void {
    this.#log.info(`${home} stands still for a snapshot (${id}), for ${msMax} ms at most.`);
    this.#dataThread.freeze(this.#sideOf(home), id, msMax);
  }

  #fromDataThread(message: FromDataThread): void {
    const home = this.#homeOf(message.diskSet);
    const epoch = this.#openEpochs.get(home) ?? 0;
    switch (message.kind) {
      case 'opened':
        this.#openPorts.set(home, message.port);
        this.#stuckVolumes.forget(home);
        this.#volumeErrors.forget(home);
        this.#exports.taken(home, this.#openExports.get(home) ?? []);
        this.#transitions.opened(home, message.phases);
        this.#driver.feed({ kind: 'diskSetOpened', home, epoch });
        this.#noteOpened(home, epoch, message.volumes);
        return;
      case 'openFailed':
        this.#log.error(`${home} could not be opened (${message.reason}): ${message.message}`);
        if (message.reason === 'InvalidExport')
          this.#exports.refused(home, this.#openExports.get(home) ?? [], message.message);
        this.#noteOpenFailure(home, { epoch, reason: message.reason, message: message.message });
        this.#driver.feed({
          kind: 'diskSetOpenFailed',
          home,
          epoch,
          reason: message.reason,
          message: `${message.reason}: ${message.message}`,
          ...(message.epochFound === undefined ? {} : { epochFound: message.epochFound }),
        });
        return;
      case 'closed':
        this.#openPorts.delete(home);
        this.#stuckVolumes.forget(home);
        this.#absentExports.forget(home);
        this.#volumeErrors.forget(home);
        this.#notTroubled(home);
        this.#transitions.closed(home, bootMs());
        this.#driver.feed({ kind: 'diskSetClosed', home });
        return;
      case 'fault':
        this.#log.error(
          `${home}, volume ${message.volume}, cannot be served on (${message.reason}): ${message.message}`,
        );
        this.#driver.feed({ kind: 'diskSetFault', home, reason: message.reason, message: message.message });
        return;
      case 'halted':
        this.#driver.feed({
          kind: 'diskSetFault',
          home,
          reason: 'RightLost',
          message: 'the data path found the right to serve over and has stopped',
        });
        return;
      case 'volumeWaits':
        this.#stuckVolumes.waits(home, message.volume, message.sinceBootMs);
        return;
      case 'volumeErrors':
        this.#volumeFailed(home, epoch, message.volume, message.errors);
        return;
      case 'stalled': {
        const { volume, waitedMs } = message;
        this.#driver.feed({ kind: 'volumeStalled', home, volume, waitedMs });
        return;
      }
      case 'held':
        this.#freezeAnswered(home, { id: message.id, state: 'Standing', message: '' });
        return;
      case 'resumed': {
        const { id, whole } = message;
        this.#freezeAnswered(home, { id, state: whole ? 'Whole' : 'Broken', message: message.message });
        return;
      }
      case 'exportsReplaced':
        this.#openExports.set(home, message.exports);
        this.#exports.taken(home, message.exports);
        return;
      case 'exportsRefused':
        this.#exports.refused(home, message.exports, message.message);
        return;
      case 'absentExports':
        this.#absentExports.set(home, message.exports);
        this.#noteAbsentExports(home, epoch, message.exports);
        return;
      case 'firstReply':
        this.#transitions.firstReply(home, message.atBootMs);
        return;
      case 'log':
        this.#log.log(message.level, `${home}: ${message.message}`);
        return;
      default:
        assertNever(message);
    }
  }

  /** Clients were told of these errors; the volume is served on. The Lease says it to the operator, anew each minute at most. */
  #volumeFailed(home: ServerName, epoch: number, volume: string, errors: readonly VolumeErrorCount[]): void {
    for (const { call, errno, count } of errors)
      this.#measured.volumeErrors.inc({ disk_set: home, volume, call, errno }, count);
    for (const line of this.#volumeErrors.add(home, volume, errors, bootMs()))
      this.#log.warn(`${home}: ${line}`);
    if (!this.#troubled.has(home)) this.#tellTrouble(home, epoch);
  }

  #tellTrouble(home: ServerName, epoch: number): void {
    const message = this.#volumeErrors.sentence(home, bootMs());
    const { server } = this.#options.config;
    this.#options.witness.annotate(home, {
      volumeErrors: message === null ? null : { server, epoch, message },
    });
    if (message === null) this.#troubled.delete(home);
    else this.#troubled.set(home, setTimeout(() => this.#tellTrouble(home, epoch), TROUBLE_AGAIN_MS).unref());
  }

  #noteAbsentExports(home: ServerName, epoch: number, absent: readonly AbsentExport[]): void {
    const { server } = this.#options.config;
    const message = absent.map(({ reason }) => reason).join('; ');
    const note = absent.length === 0 ? null : { server, epoch, message };
    this.#options.witness.annotate(home, { absentExports: note });
  }

  #noteWentBack(home: ServerName, epoch: number, message: string): void {
    const { config, witness } = this.#options;
    witness.annotate(home, { witnessWentBack: { server: config.server, epoch, message } });
    setTimeout(() => {
      if (!this.#over) witness.annotate(home, { witnessWentBack: null });
    }, WENT_BACK_TOLD_MS).unref();
  }

  #notTroubled(home: ServerName): void {
    clearTimeout(this.#troubled.get(home));
    this.#troubled.delete(home);
  }

  #freezeAnswered(home: ServerName, answer: FreezeAnswer): void {
    const why = answer.message === '' ? '' : `: ${answer.message}`;
    this.#log.info(`Freeze ${answer.id} of ${home}: ${answer.state}${why}.`);
    this.#options.witness.annotate(home, { freezeAnswer: answer });
  }

  /** For people and the operator, once the first request has been answered or a moment has passed. */
  #noteOpened(home: ServerName, epoch: number, volumes: Readonly<Record<string, string>>): void {
    const { witness } = this.#options;
    this.#openFailures.delete(home);
    witness.annotate(home, { written: { epoch, volumes }, openFailure: null });
    if (this.#sideOf(home) === 'partner') witness.annotate(home, { secondaryPortOpen: epoch });
    setTimeout(() => {
      const transition = this.#transitions.of(home);
      if (transition === null || transition.epoch !== epoch || this.#over) return;
      const { home: _, startedBootMs: __, ...lastTransition } = transition;
      witness.annotate(home, { lastTransition });
    }, ANNOTATE_AFTER_MS);
  }

  #noteOpenFailure(home: ServerName, failure: OpenFailureStatus): void {
    this.#openFailures.set(home, failure);
    const { server } = this.#options.config;
    this.#options.witness.annotate(home, { openFailure: { server, ...failure } });
  }

  // --------------------------------------------------------------------------------------------------- news

  #trace(home: ServerName, event: TraceEvent, now: number): void {
    this.#transitions.traced(home, event, now);
    const { level, message } = describe(home, event);
    this.#log.log(level, message, { diskSet: home, event: event.name });
    if (event.name === 'fenced') this.#measured.fences.inc({ disk_set: home });
    if (event.name === 'wentBack') this.#noteWentBack(home, event.epoch, event.message);
    if (event.name !== 'owned') return;
    const { kind, cause } = this.#transitions.of(home)!;
    this.#measured.transitions.inc({ disk_set: home, kind, cause });
  }

  #fatal(reason: string): void {
    if (this.#over) return;
    this.#log.error(`${reason} The process ends; its partner takes over what it served.`);
    this.#options.end(1);
  }

  async #drain(): Promise<void> {
    this.#over = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#checking !== null) clearInterval(this.#checking);
    this.#log.info('Everything is released. Ending.');
    await Promise.all([this.#interconnect.stop(DRAIN_MS), this.#options.witness.close(DRAIN_MS)]);
    this.#options.end(0);
  }
}

function describe(
  home: ServerName,
  event: TraceEvent,
): { level: 'info' | 'warn' | 'error'; message: string } {
  switch (event.name) {
    case 'detected':
      return { level: 'warn', message: `Reason to claim ${home}: ${event.message} (${event.cause}).` };
    case 'deferred':
      return { level: 'warn', message: `Not claiming ${home}: ${event.message} (${event.cause}).` };
    case 'claiming':
      return { level: 'info', message: `Claiming ${home} at epoch ${event.epoch} (${event.cause}).` };
    case 'owned':
      return { level: 'info', message: `${home} is owned by this server at epoch ${event.epoch}.` };
    case 'serving':
      return { level: 'info', message: `${home} is served at epoch ${event.epoch}.` };
    case 'claimLost':
      return { level: 'info', message: `The claim of ${home} was not successful: ${event.message}.` };
    case 'paired':
      return {
        level: 'info',
        message: `${home} is confirmed by ${event.acknowledger} from now on (paired).`,
      };
    case 'solo':
      return {
        level: 'warn',
        message: `${home} is confirmed by renewals of the Lease (solo): ${event.message}.`,
      };
    case 'stalled':
      return { level: 'warn', message: `${home}: ${event.message}; no partner is connected that could try.` };
    case 'wentBack':
      return {
        level: 'error',
        message: `The Lease of ${home} has gone back: ${event.message}. Was the witness restored from a backup?`,
      };
    case 'fenced':
      return { level: 'error', message: `Stopped serving ${home} at once: ${event.message}.` };
    case 'quiescing':
      return {
        level: 'info',
        message: `Finishing what runs on ${home}, to hand it to ${event.to ?? 'whoever claims it'}: ${event.message || 'asked by an administrator'}.`,
      };
    case 'released':
      return { level: 'info', message: `${home} is released${event.to === null ? '' : ` to ${event.to}`}.` };
    case 'openFailed':
      return { level: 'error', message: `${home} cannot be served here: ${event.message}.` };
    default:
      return assertNever(event);
  }
}

function assertNever(value: never): never {
  throw new Error(`unexpected: ${JSON.stringify(value)}`);
}
