/**
 * When are two worlds the same? When everything that can still happen in one can happen in the other. So times count
 * from now (and no further back than any rule looks), sequence numbers from the newest, versions and epochs from the
 * Lease's. What is left is finite, and the explorer comes to an end without a limit on time.
 */
import { hash } from 'node:crypto';
import type { ServerName } from '../../pair/incarnation.ts';
import type { ServerState } from '../../pair/server/state.ts';
import { silenceMs } from '../../pair/serving-lease.ts';
import { HOME, homesIn, nowOf, type Process, QUANTUM, TIMING, type World } from './world.ts';

/** No rule looks further back than lease + guard. */
const AGE_MAX = silenceMs(TIMING) + QUANTUM;

const TIMES = new Set([
  'unchangedSince',
  'acknowledgedAt',
  'readSince',
  'confirmedAt',
  'writtenAt',
  'quiescedAt',
  'droppedAt',
  'sentAt',
  'steadySince',
  'heardAt',
  'at',
  'since',
  'takeovers',
  'leaseEnd',
  'switchAt',
]);
/** Times before which nothing happens: all that are past are alike. */
const NOT_BEFORE = new Set(['notBefore', 'cannotServeUntil', 'nextHeartbeatAt']);
/** Constant, told twice, for people, or about the gate, to which nothing here is attached. */
const LEFT_OUT = new Set(['identity', 'evidence', 'reason', 'version', 'announced']);
/** Heartbeats that far back were sent more than a lease ago: their acknowledgements give nothing, whichever they are. */
const SEQ_AGE_MAX = Math.ceil(TIMING.leaseMs / TIMING.heartbeatMs) + 2;

/** A short name of the world: equal for worlds that are the same. */
export function keyOf(world: World): string {
  const scale = new Scale(world);
  const text = [
    world.processes.map((process) => scale.process(process)).join('|'),
    ...homesIn(world).map((home) => scale.of(home, 'lease', world.leases[home])),
    ...homesIn(world).map((home) => scale.of(home, 'epoch', world.records[home])),
    world.queue.map((event) => scale.value('event', event)).join(';'),
    // The order in which things were held up does not matter: any of them may arrive next.
    world.held
      .map((event) => scale.value('event', event))
      .sort()
      .join(';'),
    world.cut.join(),
    world.apart.join(),
    world.withoutApi.join(),
    Object.values(world.left).join(),
  ].join('#');
  return hash('sha1', ranked(text), 'base64').slice(0, 20);
}

/** Only the order of one Lease's renewals matters: which came first, and which are the same. */
function ranked(text: string): string {
  const found = new Map<string, Set<number>>();
  for (const [, home, digits] of text.matchAll(/r(\w):(\d+)!/g))
    found.set(home!, (found.get(home!) ?? new Set()).add(Number(digits)));
  const orders = new Map([...found].map(([home, all]) => [home, [...all].sort((a, b) => a - b)]));
  return text.replace(/r(\w):(\d+)!/g, (_, home, digits) => `r${orders.get(home)!.indexOf(Number(digits))}`);
}

class Scale {
  /** On the clock that is meant. */
  #now: number;
  readonly #world: World;
  /** Whose epochs and renewals are meant. */
  #home: ServerName = HOME;
  readonly #states = new Map<string, ServerState>();
  /** Whose sequence numbers and tokens are meant. */
  #by: ServerState | null = null;

  constructor(world: World) {
    this.#now = world.now;
    this.#world = world;
    for (const { me, state } of world.processes) this.#states.set(me, state);
  }

  /** Text of a value that does not name its disk set itself. */
  of(home: ServerName, name: string, value: unknown): string {
    this.#home = home;
    return this.value(name, value);
  }

  process(process: Process): string {
    const { state, me } = process;
    if (!process.alive) return `${me} dead`;
    this.#now = nowOf(this.#world, process);
    this.#by = state;
    const homes = homesIn(this.#world);
    const sets = [state.local, state.partner].filter(({ home }) => homes.includes(home));
    const recent = state.sentAt.filter(({ at }) => at > this.#now - TIMING.leaseMs);
    const text = [
      me,
      ...sets.map((set) => this.of(set.home, 'set', set)),
      this.value('partners', state.partners),
      this.value('deaths', state.deaths),
      this.value('sentAt', recent),
      this.value('nextHeartbeatAt', state.nextHeartbeatAt),
      this.value('rest', [state.stopping, state.stopped, state.holdings]),
      this.value('outside', [process.paused, process.clockStands, process.registered]),
      ...homes.map((home) => this.of(home, 'path', process.paths[home])),
    ].join(' ');
    this.#now = this.#world.now;
    return `${text} ${process.waiting.map((event) => this.value('event', event)).join()}`;
  }

  value(name: string, value: unknown): string {
    if (typeof value === 'number') return this.#number(name, value);
    if (value === null || typeof value !== 'object') return String(value);
    if (Array.isArray(value)) {
      let text = '[';
      for (const one of value) text += `${this.value(name, one)},`;
      return `${text}]`;
    }
    const from = this.#senderOf(value as Record<string, unknown>);
    const before = this.#home;
    if ('home' in value && this.#world.leases[value.home as ServerName] !== undefined)
      this.#home = value.home as ServerName;
    let text = '{';
    for (const key in value) {
      if (LEFT_OUT.has(key)) continue;
      const inner = (value as Record<string, unknown>)[key];
      if (inner === undefined) continue;
      if (key === 'message' && typeof inner === 'string') continue;
      text += `${key}:${this.value(key, inner)},`;
    }
    if (from !== undefined) this.#by = from;
    this.#home = before;
    return `${text}}`;
  }

  /** Numbers in a message count from those of the process that chose them; returns whom to go back to. */
  #senderOf(value: Record<string, unknown>): ServerState | null | undefined {
    const before = this.#by;
    if (value['kind'] === 'input') {
      const input = value['input'] as { kind: string; from?: string; message?: { kind: string } };
      const owner =
        input.kind === 'message' && input.message?.kind === 'heartbeat' ? input.from : value['to'];
      this.#by = this.#states.get(owner as string) ?? null;
      return before;
    }
    if (value['kind'] === 'call') {
      this.#by = this.#states.get(value['from'] as string) ?? null;
      return before;
    }
    return undefined;
  }

  #number(name: string, value: number): string {
    if (TIMES.has(name)) return String(Math.max(-AGE_MAX, Math.round(value - this.#now)));
    if (NOT_BEFORE.has(name)) return String(Math.max(0, Math.round(value - this.#now)));
    switch (name) {
      case 'epoch':
      case 'inHand':
        return value === 0 ? '0' : `e${value - (this.#world.leases[this.#home]?.epoch ?? 0)}`;
      case 'renewal':
        return `r${this.#home.at(-1)}:${value}!`;
      case 'seq':
        return `s${Math.max(-SEQ_AGE_MAX, value - (this.#by?.seq ?? 0))}`;
      case 'token':
      case 'nextToken':
        // Only the newest can be waited for.
        return `t${Math.max(-2, value - (this.#by?.nextToken ?? 0))}`;
      default:
        return String(value);
    }
  }
}
