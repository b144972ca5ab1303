/**
 * Two servers, any number of incarnations of each, one witness, one network: and everything that can go wrong with them. The
 * invariants are checked where they could break, at the moment they would.
 */

import { type Incarnation, incarnationOf, type ServerName } from '../pair/incarnation.ts';
import type { LeaseOwnership } from '../pair/lease.ts';
import type { PairMessage } from '../pair/messages.ts';
import { SLEW_MAX, silenceMs } from '../pair/serving-lease.ts';
import type { LeaseReadOutcome, LeaseWriteOutcome, PairTiming, TraceEvent } from '../pair/types.ts';
import { SeededRandom } from '../testing/seeded-random.ts';
import { ApiCalls, CALLS_PER_LEASE_MAX } from './api-calls.ts';
import { type ClientFault, Histories, SimulatedClient } from './client.ts';
import { EventQueue } from './event-queue.ts';
import { SimulatedNetwork } from './network.ts';
import { SimulatedOperator } from './operator.ts';
import { SimulatedProcess, type Surroundings } from './process.ts';
import type { Variant } from './variants/variant.ts';
import { type SimulatedVolume, SimulatedVolumes } from './volume.ts';
import { SimulatedWitness } from './witness.ts';
import { WriterRules } from './writer-rules.ts';

//  - one writer: when a write reaches the disks, the Lease names its writer and its epoch;
//  - one owner an epoch: no two claims ever got the same epoch;
//  - epochs never go back;
//  - what clients are told is one story: linearizable, so that nothing acknowledged is lost, nothing executed twice;
//  - once all faults are healed, every disk set is served again in bounded time.

export const SERVERS = ['filer-a', 'filer-b'] as const;
const TIMING: PairTiming = { leaseMs: 2000, guardMs: 500, heartbeatMs: 200 };
/** By how much lease and guard may be longer where they are being changed. */
const LEASE_FACTORS = [1, 1.5, 3];

export interface Outcome {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly writes: number;
  /** Those that landed after a newer owner had taken the volume. Only where machines are paused as a whole. */
  readonly landedLate: number;
  /** Calls of clients that were answered; 0 without clients. */
  readonly answered: number;
  readonly claims: number;
  readonly killedBySwitch: number;
  /** Lines for people; empty unless the run was asked to keep them. */
  readonly trace: readonly string[];
}

export class World implements Surroundings {
  readonly queue = new EventQueue();
  readonly random: SeededRandom;
  readonly timing = TIMING;
  /** Somebody changes the lease times: each process that starts may have others than those that run. */
  timesChange = false;
  readonly variant: Variant | null;
  readonly drift: number;
  readonly #wallClocks = new Map<ServerName, number>();
  readonly volumes: SimulatedVolumes;
  readonly severalVolumes: boolean;
  machinesPause = false;
  /** Volumes that were changed; each question clears them. Only where there are several. */
  readonly written = new Set<SimulatedVolume>();
  /** Until when a volume's disk does not answer a server. */
  readonly #hangs = new Map<string, number>();
  #landedLate = 0;
  readonly operator: SimulatedOperator;
  /** A witness that forgets is not survived without loss; then only what the volumes know is checked (R6): see WriterRules. */
  witnessForgets = false;
  readonly network: SimulatedNetwork;
  readonly witness: SimulatedWitness;
  readonly api: ApiCalls;
  readonly #rules = new WriterRules(this);
  readonly processes: SimulatedProcess[] = [];
  /** A process that ends is started again after a while, as a kubelet does it. */
  restarts = true;
  readonly #containers = new Map<ServerName, number>();
  readonly #renewTimes = new Map<ServerName, number>();
  readonly #histories: Histories[] = [];
  readonly #violations: string[] = [];
  readonly #trace: string[] = [];
  readonly #tracing: boolean;
  #runs = 0;
  #answeredAtHeal = 0;
  #writes = 0;
  #killedBySwitch = 0;
  calm = false;
  /** `volumesEach`: of a disk set. More than one have a thread each. */
  constructor(seed: number, variant: Variant | null, tracing: boolean, volumesEach = 1) {
    this.severalVolumes = volumesEach > 1;
    this.volumes = new SimulatedVolumes(SERVERS, volumesEach);
    this.random = new SeededRandom(seed);
    this.variant = variant;
    // Real clocks stay within 0.1 %, unless they are slewed: some seeds go as far as the wait for silence covers.
    this.drift = this.random.chance(0.2) ? SLEW_MAX : 0.001;
    this.#tracing = tracing;
    this.network = new SimulatedNetwork(this.queue, this.random, TIMING.leaseMs);
    this.api = new ApiCalls(
      this.queue,
      this.random,
      TIMING,
      (server) => this.#apiReached(server),
      (who) => this.violate(`${who} asked the witness more than ${CALLS_PER_LEASE_MAX} times in a lease`),
    );
    this.witness = new SimulatedWitness(SERVERS, variant?.fault !== 'noCompareAndSwap');
    const { queue, random, witness } = this;
    this.operator = new SimulatedOperator(
      {
        homes: SERVERS,
        seen: (home) => witness.sighting(home),
        later: (atMostMs, action) => queue.after(random.between(0, atMostMs), action),
        chance: (probability) => random.chance(probability),
        annotate: (home, version, deathProof) => {
          if (witness.sighting(home).version === version) witness.annotate(home, { deathProof });
        },
      },
      variant?.fault === 'operatorGuesses',
    );
  }

  timingOfNext(): PairTiming {
    if (!this.timesChange) return TIMING;
    const factor = this.random.pick(LEASE_FACTORS);
    return { ...TIMING, leaseMs: TIMING.leaseMs * factor, guardMs: TIMING.guardMs * factor };
  }

  get recoveryMs(): number {
    const longest = this.timesChange ? Math.max(...LEASE_FACTORS) : 1;
    return silenceMs(TIMING) * longest * RECOVERY_SILENCES;
  }

  outcome(seed: number): Outcome {
    let claims = 0;
    for (const home of SERVERS) {
      const owners = this.witness.owners.get(home)!;
      claims += owners.length;
      owners.forEach(({ epoch, holder }, index) => {
        if (epoch !== index + 1 && !this.witnessForgets)
          this.violate(`${home}: ${holder} claimed epoch ${epoch} as claim ${index + 1}`);
      });
    }
    for (const illegal of this.witness.illegal) this.violate(illegal);
    return {
      seed,
      violations: this.#violations,
      writes: this.#writes,
      landedLate: this.#landedLate,
      answered: this.answered,
      claims,
      killedBySwitch: this.#killedBySwitch,
      trace: this.#trace,
    };
  }

  violate(message: string): void {
    this.note(`VIOLATION ${message}`);
    if (this.#violations.length < 10) this.#violations.push(`${this.queue.now.toFixed(1)} ms: ${message}`);
  }

  note(line: string): void {
    if (this.#tracing) this.#trace.push(`${this.queue.now.toFixed(1).padStart(9)}  ${line}`);
  }

  // ------------------------------------------------------------------------------------------ processes

  partnerOf(server: ServerName): ServerName {
    return server === SERVERS[0] ? SERVERS[1] : SERVERS[0];
  }

  /** Starts a run of a server: in the container of its last run, or (pod replaced) in a new one. */
  start(server: ServerName, where: 'same container' | 'new container'): SimulatedProcess {
    const another = where === 'new container' && this.variant?.fault !== 'oneContainerForAll';
    const container = (this.#containers.get(server) ?? 0) + (another ? 1 : 0);
    this.#containers.set(server, container);
    const me = incarnationOf(server, `${server}-pod${container}`, `run${++this.#runs}`);
    const process = new SimulatedProcess(this, me, server, this.partnerOf(server));
    this.note(`${me} starts`);
    this.processes.push(process);
    this.operator.started(me);
    this.witness.watch((home, sighting) => {
      if (!process.alive || this.api.isCutOff(process)) return;
      const lag = this.random.delay(3, 2 * TIMING.leaseMs);
      this.queue.after(lag, () => process.input({ kind: 'leaseSeen', home, sighting }));
    });
    for (const other of this.alive(this.partnerOf(server))) this.connect(process, other);
    return process;
  }

  alive(server: ServerName): SimulatedProcess[] {
    return this.processes.filter((process) => process.alive && process.state.identity.server === server);
  }

  /** Its watches begin with the Leases as they are now. */
  #apiReached(server: ServerName): void {
    for (const process of this.alive(server)) {
      for (const home of SERVERS) {
        this.queue.after(this.random.between(1, 1000), () => {
          const sighting = this.witness.sighting(home);
          if (!this.api.without.has(server)) process.input({ kind: 'leaseSeen', home, sighting });
        });
      }
    }
  }

  othersGoOn(server: ServerName): void {
    for (const process of this.alive(this.partnerOf(server)))
      if (process.paused) this.queue.after(this.random.between(0, 20), () => process.resume());
  }

  connect(a: SimulatedProcess, b: SimulatedProcess): void {
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const incarnation = other.me;
      this.queue.after(this.random.between(1, 60), () =>
        one.input({ kind: 'partnerConnected', incarnation }),
      );
    }
  }

  exited(process: SimulatedProcess, how: string): void {
    const { me } = process;
    const { server } = process.state.identity;
    this.note(`${me} ${how}`);
    if (how.includes('dead man')) this.#killedBySwitch++;
    const holdings = process.registered;
    for (const other of this.alive(this.partnerOf(server))) {
      const incarnation = me;
      this.queue.after(this.random.between(0, 50), () =>
        other.input({ kind: 'partnerDisconnected', incarnation }),
      );
      if (this.random.chance(0.7)) this.network.carryDeath(server, other, { incarnation, holdings });
    }
    this.operator.ended(me);
    if (!this.restarts) return;
    if (this.calm) this.#replaceSoon(server);
    else this.#restartLater(process);
  }

  presumedDead(process: SimulatedProcess): void {
    const { me, registered: holdings } = process;
    const { server } = process.state.identity;
    for (const other of this.alive(this.partnerOf(server))) {
      this.network.carryDeath(server, other, { incarnation: me, holdings });
    }
  }

  wallClockSet(server: ServerName): number {
    return this.#wallClocks.get(server) ?? 0;
  }

  setWallClock(server: ServerName, byMs: number): void {
    this.#wallClocks.set(server, this.wallClockSet(server) + byMs);
  }

  renewTime(home: ServerName): number {
    return this.#renewTimes.get(home) ?? 0;
  }

  /** When no more faults strike, a server that ended (it had been told to stop) is simply there again. */
  #replaceSoon(server: ServerName): void {
    this.queue.after(500, () => {
      if (this.alive(server).length === 0) this.start(server, 'new container');
    });
  }

  /** The kubelet restarts a container only when its process has ended; a deleted pod is replaced. */
  #restartLater(process: SimulatedProcess): void {
    const { server } = process.state.identity;
    this.queue.after(this.random.between(300, 6000), () => {
      if (this.calm) return;
      const latest = `${server}/${server}-pod${this.#containers.get(server)}/`;
      const alive = this.alive(server);
      if (alive.some((other) => other.me.startsWith(latest))) return;
      const same = process.me.startsWith(latest) && this.random.chance(0.7);
      if (same || alive.length === 0) this.start(server, same ? 'same container' : 'new container');
    });
  }

  // -------------------------------------------------------------------------------- what processes ask for

  sendMessage(from: SimulatedProcess, to: Incarnation, message: PairMessage): void {
    const target = this.processes.find((process) => process.me === to);
    if (target?.alive) this.network.deliver(from, target, message);
  }

  readLease(from: SimulatedProcess, home: ServerName): void {
    this.api.call<LeaseReadOutcome>(
      from,
      () => this.witness.read(home),
      (outcome) => from.input({ kind: 'leaseRead', home, outcome }),
      { kind: 'unknown' },
    );
  }

  writeLease(
    from: SimulatedProcess,
    home: ServerName,
    token: number,
    version: string,
    ownership: LeaseOwnership,
  ): void {
    this.api.call<LeaseWriteOutcome>(
      from,
      () => {
        const outcome = this.witness.write(home, version, ownership);
        if (outcome.kind === 'applied') this.#renewTimes.set(home, from.wallClock());
        if (outcome.kind === 'applied' && ownership.holder === null) this.#rules.released(from.me, home);
        this.note(`${from.me} writes ${home} ${JSON.stringify(ownership)}: ${outcome.kind}`);
        return outcome;
      },
      (outcome) => from.input({ kind: 'leaseWritten', home, token, outcome }),
      { kind: 'refused', message: 'connection refused' },
    );
  }

  wrote(by: SimulatedProcess, home: ServerName, epoch: number, volume?: SimulatedVolume): void {
    this.#writes++;
    if (volume !== undefined) this.written.add(volume);
    this.#rules.wrote(by.me, home, epoch);
  }

  foundAhead({ me }: SimulatedProcess, home: ServerName): void {
    this.#rules.foundAhead(me, home);
  }

  /** The disk of that volume does not answer that server, for so long; to others it may. */
  hang(server: ServerName, volume: SimulatedVolume, forMs: number): void {
    this.note(`volume ${volume.name} of ${volume.home} does not answer ${server} for ${forMs.toFixed(0)} ms`);
    this.#hangs.set(`${server} ${volume.home} ${volume.name}`, this.queue.now + forMs);
    for (const process of this.alive(server)) process.volumeHangs(volume);
  }

  hangsMs(server: ServerName, { home, name }: SimulatedVolume): number {
    return Math.max(0, (this.#hangs.get(`${server} ${home} ${name}`) ?? 0) - this.queue.now);
  }

  runningClocks(): ReadonlyMap<Incarnation, number> {
    return new Map(this.processes.filter(({ alive }) => alive).map((one) => [one.me, one.runningClock()]));
  }

  landedLate(): void {
    this.#landedLate++;
  }

  trace(process: SimulatedProcess, home: ServerName, event: TraceEvent): void {
    if (this.#tracing) this.note(`${process.me} ${home}: ${JSON.stringify(event)}`);
  }

  // ------------------------------------------------------------------------------------------------ clients

  /**
   * Two for each disk set. They have a chance of their own, so that a seed means the same for the servers with and
   * without them.
   */
  startClients(seed: number, fault: ClientFault | null): void {
    const random = new SeededRandom(seed ^ 0x5bd1e995);
    SERVERS.forEach((home, index) => {
      const histories = new Histories();
      this.#histories.push(histories);
      for (const id of [2 * index + 1, 2 * index + 2])
        new SimulatedClient(this, random, id, home, histories, fault);
    });
  }

  /** Now and then the kernel cannot write out what clients have not committed. */
  failWriteBacks(seed: number): void {
    const random = new SeededRandom(seed ^ 0x2545f491);
    for (const home of SERVERS) {
      for (let left = random.below(5); left > 0; left--) {
        this.queue.after(random.between(1000, 20_000), () => {
          if (!this.calm) this.volumes.mountedFor(home).failWriteBack();
        });
      }
    }
  }

  /** The one that listens: the server of that role, any of its runs, whether it may serve or not. */
  listening(home: ServerName, role: 'primary' | 'secondary'): SimulatedProcess | null {
    const server = role === 'primary' ? home : this.partnerOf(home);
    const open = this.alive(server).filter((process) => process.open.get(home)?.phase === 'open');
    return open.at(-1) ?? null;
  }

  /** Calls that were answered. */
  get answered(): number {
    return this.#histories.reduce((sum, { answered }) => sum + answered, 0);
  }

  // ------------------------------------------------------------------------------------------------ the end

  /** All faults end; of each server the youngest run goes on. */
  heal(): void {
    this.calm = true;
    this.#answeredAtHeal = this.answered;
    this.note('--- healed');
    this.network.lossRate = 0;
    this.network.slownessMs = 0;
    this.#hangs.clear();
    this.api.heal();
    for (const server of SERVERS) this.api.reach(server);
    this.operator.crashRate = 0;
    if (this.volumes.swapped) this.volumes.swap(SERVERS[0], SERVERS[1]);
    for (const server of SERVERS) {
      this.network.mend(server);
      const alive = this.alive(server);
      for (const old of alive.slice(0, -1)) old.kill('removed at the end');
      for (const process of alive) process.resume();
      if (this.alive(server).length === 0) this.start(server, 'new container');
    }
    for (const a of this.alive(SERVERS[0])) for (const b of this.alive(SERVERS[1])) this.connect(a, b);
    this.#keepProvingDeaths();
  }

  /**
   * When the holder and the one acknowledger have both died unseen, only evidence from outside helps. The operator is
   * level-triggered: a dead process's last request may still be applied long after its death.
   */
  #keepProvingDeaths(): void {
    this.operator.reconcile();
    this.queue.after(3000, () => this.#keepProvingDeaths());
  }

  /** After `heal`: every fault-free ending serves. */
  demandService(): void {
    for (const home of SERVERS) {
      const serving = this.serving(home) !== null;
      if (serving && this.#histories.length > 0 && this.#answeredAtHeal === this.answered)
        this.violate('no client was answered after everything was healed');
      if (!serving && !this.witnessForgets) this.violate(`${home} is not served after everything was healed`);
    }
  }

  /** Who serves the disk set now; null: nobody. */
  serving(home: ServerName): SimulatedProcess | null {
    const serves = (process: SimulatedProcess): boolean => {
      const leaseEnd = process.leaseEnds.get(home);
      const diskSet = process.open.get(home);
      const open = diskSet?.phase === 'open' && diskSet.halted !== true;
      return process.alive && open && leaseEnd !== undefined && process.clock() < leaseEnd;
    };
    return this.processes.find(serves) ?? null;
  }
}

/** How long after `heal` service is demanded: a refused volume is tried again after four silences. */
const RECOVERY_SILENCES = 7;
