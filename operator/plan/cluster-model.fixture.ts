/**
 * A small cluster that lives: servers that hand over, claim, pair and die, and a kubelet that starts and ends them. An operator
 * looks at a cache and carries out its plan one action at a time, while the rest of the world moves on. Who moves next is
 * chosen by a seed. It knows of the pair's protocol only what the operator can see.
 */

import {
  labels,
  leaseAnnotations,
  parseAnnotation,
  type RequestAnnotation,
} from '../../kubernetes/labels-and-annotations.ts';
import type { Lease } from '../../kubernetes/objects.ts';
import { SeededRandom } from '../../testing/seeded-random.ts';
import type { Action, Plan } from '../model/action.ts';
import type { Pod } from '../model/objects.ts';
import type { Observed } from '../model/observed.ts';
import { decide } from './decide.ts';
import { statusLies } from './status-laws.fixture.ts';
import { settings, World } from './world.fixture.ts';

export const servers = ['a', 'b'] as const;
export type Name = (typeof servers)[number];
export const partnerOf = (server: string): Name => (server === 'a' ? 'b' : 'a');

interface Move {
  readonly name: string;
  readonly run: () => void;
}

export class ClusterModel {
  readonly world: World;
  /** What happened, in order: the first thing to read when a test fails. */
  readonly trace: string[] = [];
  /** Called right before the operator does something. */
  onAction: (action: Action) => void = () => undefined;
  readonly #random: SeededRandom;
  /** The operator's cache. */
  #seen: Observed;
  #plan: Action[] = [];
  /** What is left of the last decision on what it has seen. */
  #decided: Plan | undefined;
  #runs = 1;

  constructor(seed: number, world = World.running()) {
    this.world = world;
    this.#random = new SeededRandom(seed);
    this.#seen = { ...world.observed };
  }

  pick<T>(from: readonly T[]): T {
    return this.#random.pick(from);
  }

  chance(probability: number): boolean {
    return this.#random.chance(probability);
  }

  /** One move of somebody; false: nobody has anything to do any more. */
  step(): boolean {
    const moves = this.#moves();
    if (moves.length === 0) return false;
    const move = this.pick(moves);
    this.trace.push(move.name);
    this.world.now += 500;
    move.run();
    return true;
  }

  pods(server: string): readonly Pod[] {
    return this.world.observed.pods.filter(
      ({ metadata }) => metadata.labels?.['filerpair.dev/server'] === server,
    );
  }

  /** The pod in which a process of the server runs and is not told to end. */
  alive(server: string): Pod | undefined {
    return this.pods(server).find((pod) => isRunning(pod) && pod.metadata.deletionTimestamp === undefined);
  }

  holder(home: string): string | null {
    return this.world.lease(home).spec?.holderIdentity || null;
  }

  /** By its own words to the operator: a run has ended, and left its name. */
  crash(server: string): void {
    const pod = this.alive(server);
    if (pod === undefined) return;
    this.trace.push(`${server} crashes`);
    this.#container(pod, {
      ready: false,
      state: { waiting: { reason: 'CrashLoopBackOff' } },
      lastState: {
        terminated: {
          exitCode: 137,
          message: `${incarnationOf(server, pod)}\n`,
          containerID: 'containerd://1',
        },
      },
    });
  }

  /** The operator starts anew: its plan is gone, its cache is fresh. */
  operatorRestarts(): void {
    this.trace.push('the operator is killed');
    this.#plan = [];
    this.#look();
  }

  #moves(): Move[] {
    return [
      ...this.#operatorMoves(),
      ...this.world.observed.pods.flatMap((pod) => this.#podMoves(pod)),
      ...servers.flatMap((home) => this.#leaseMoves(home)),
    ];
  }

  #operatorMoves(): Move[] {
    const [action, ...rest] = this.#plan;
    if (action !== undefined) {
      const name = 'object' in action ? action.object.metadata.name : action.name;
      return [
        {
          name: `operator: ${action.kind} ${action.resource} ${name}: ${action.why}`,
          run: () => {
            this.onAction(action);
            const done = this.world.carryOut(action);
            const { part } = action;
            // What needs it is left out. A lost compare-and-swap is tried again, from what there is then.
            this.#plan = done || part === undefined ? rest : withoutWhatNeeds(part, rest);
            if (!done) this.#decided = undefined;
          },
        },
      ];
    }
    const moves: Move[] = [];
    if (differs(this.#seen, this.world.observed))
      moves.push({ name: 'operator: sees', run: () => this.#look() });
    const decided = (this.#decided ??= this.#decide());
    const { actions, status, wakeAt } = decided;
    if (actions.length > 0)
      moves.push({
        name: 'operator: decides',
        run: () => {
          this.#plan = [...actions];
          this.#decided = { ...decided, actions: [] };
        },
      });
    if (status !== null)
      moves.push({
        name: 'operator: tells',
        run: () => {
          this.world.writeStatus(status);
          this.#decided = { ...decided, status: null };
        },
      });
    if (wakeAt !== null && moves.length === 0) {
      const run = () => {
        this.world.now = Math.max(this.world.now, wakeAt);
        this.#look();
      };
      moves.push({ name: 'time passes', run });
    }
    return moves;
  }

  #decide(): Plan {
    const plan = decide(this.#seen, settings, this.world.now);
    const lies = statusLies(this.#seen, plan);
    if (lies.length > 0) throw new Error(lies.join('; '));
    return plan;
  }

  #look(): void {
    this.#seen = { ...this.world.observed };
    this.#decided = undefined;
  }

  #podMoves(pod: Pod): Move[] {
    if (pod.metadata.labels?.[labels.imageTrial] !== undefined) return this.#trialMoves(pod);
    const server = pod.metadata.labels?.['filerpair.dev/server'] ?? '';
    if (pod.metadata.deletionTimestamp !== undefined)
      return [{ name: `${server}: ${pod.metadata.name} ends`, run: () => this.#end(server, pod) }];
    if (isRunning(pod)) return [];
    return [{ name: `${server}: ${pod.metadata.name} starts`, run: () => this.#start(server, pod) }];
  }

  #trialMoves(pod: Pod): Move[] {
    const { name = '', deletionTimestamp } = pod.metadata;
    if (deletionTimestamp !== undefined)
      return [{ name: `${name} ends`, run: () => this.world.remove('pods', name) }];
    if (pod.status?.phase === 'Succeeded') return [];
    const run = () => this.world.changePod(pod, { status: { phase: 'Succeeded' } });
    return [{ name: `${name} succeeds`, run }];
  }

  #start(server: string, pod: Pod): void {
    this.#runs += 1;
    this.world.changePod(pod, {
      metadata: { ...pod.metadata, annotations: { ...pod.metadata.annotations, run: `run-${this.#runs}` } },
      spec: { ...pod.spec, nodeName: server === 'a' ? 'node-1' : 'node-2' },
      status: { ...pod.status, phase: 'Running', podIP: `10.0.1.${this.#runs}` },
    });
    const started = this.world.observed.pods.find(({ metadata }) => metadata.uid === pod.metadata.uid)!;
    const last = pod.status?.containerStatuses?.[0]?.lastState ?? {};
    this.#container(started, { ready: true, state: { running: {} }, lastState: last });
  }

  /** SIGTERM: releases what it holds, to its partner if that is there. */
  #end(server: string, pod: Pod): void {
    for (const home of servers)
      if (isRunning(pod) && this.holder(home) === incarnationOf(server, pod))
        this.#release(home, this.alive(partnerOf(server)) === undefined ? null : partnerOf(server));
    this.world.remove('pods', pod.metadata.name ?? '');
  }

  #leaseMoves(home: Name): Move[] {
    const lease = this.world.lease(home);
    const holder = this.holder(home);
    if (holder === null) return this.#claimMoves(home, lease);
    const [server = '', uid] = holder.split('/');
    const pod = this.pods(server).find(({ metadata }) => metadata.uid === uid);
    const lives = pod !== undefined && isRunning(pod) && incarnationOf(server, pod) === holder;
    if (!lives)
      return servers
        .filter((one) => this.alive(one) !== undefined)
        .map((one) => ({
          name: `${one} claims ${home} of the dead ${holder}`,
          run: () => this.#claim(home, one),
        }));
    if (pod.metadata.deletionTimestamp !== undefined) return [];
    return [...this.#pairMoves(home, lease, server), ...this.#requestMoves(home, lease, server)];
  }

  #claimMoves(home: Name, lease: Lease): Move[] {
    const to = lease.metadata.annotations?.[leaseAnnotations.releasedTo];
    const first =
      to && this.alive(to) !== undefined ? [to] : servers.filter((one) => this.alive(one) !== undefined);
    return first.map((one) => ({ name: `${one} claims ${home}`, run: () => this.#claim(home, one) }));
  }

  #pairMoves(home: Name, lease: Lease, server: string): Move[] {
    const pod = this.alive(partnerOf(server));
    const wanted = pod === undefined ? null : incarnationOf(partnerOf(server), pod);
    const named = lease.metadata.annotations?.[leaseAnnotations.acknowledger] ?? null;
    if (named === wanted) return [];
    const run = () => this.world.changeLease(home, {}, { [leaseAnnotations.acknowledger]: wanted });
    return [{ name: `${server} is ${wanted === null ? 'solo' : 'paired'} for ${home}`, run }];
  }

  #requestMoves(home: Name, lease: Lease, server: string): Move[] {
    const request = parseAnnotation<RequestAnnotation>(
      lease.metadata.annotations?.[leaseAnnotations.request],
    );
    const result = parseAnnotation<{ id: string }>(
      lease.metadata.annotations?.[leaseAnnotations.requestResult],
    );
    if (request === null || result?.id === request.id) return [];
    const to = request.kind === 'giveback' ? home : partnerOf(home);
    if (to === server)
      return [{ name: `${server} has ${home}`, run: () => this.#answer(home, request.id, 'done') }];
    if (this.alive(to) === undefined || this.chance(0.2))
      return [{ name: `${server} refuses`, run: () => this.#answer(home, request.id, 'refused') }];
    return [{ name: `${server} releases ${home}`, run: () => this.#release(home, to) }];
  }

  #release(home: Name, to: string | null): void {
    this.world.changeLease(
      home,
      { holderIdentity: '' },
      { [leaseAnnotations.releasedTo]: to, [leaseAnnotations.acknowledger]: null },
    );
  }

  #claim(home: Name, server: string): void {
    const epoch = (this.world.lease(home).spec?.leaseTransitions ?? 0) + 1;
    const holder = incarnationOf(server, this.alive(server)!);
    const transition = {
      kind: server === home ? 'Giveback' : 'Takeover',
      cause: 'Requested',
      epoch,
      to: server,
      at: new Date(this.world.now).toISOString(),
      phases: [],
    };
    this.world.changeLease(
      home,
      { holderIdentity: holder, leaseTransitions: epoch },
      {
        [leaseAnnotations.releasedTo]: null,
        [leaseAnnotations.acknowledger]: null,
        [leaseAnnotations.lastTransition]: JSON.stringify(transition),
        [leaseAnnotations.secondaryPortOpen]: server === home ? null : String(epoch),
      },
    );
  }

  #answer(home: Name, id: string, result: 'done' | 'refused'): void {
    const answer = { id, result, message: `${result}.` };
    this.world.changeLease(home, {}, { [leaseAnnotations.requestResult]: JSON.stringify(answer) });
  }

  #container(pod: Pod, change: object): void {
    const status = { name: 'server', restartCount: 0, ...change };
    const old = this.world.observed.pods.find(({ metadata }) => metadata.uid === pod.metadata.uid)!;
    this.world.changePod(old, { status: { ...old.status, containerStatuses: [status] } });
  }
}

/** What is left of a plan when a piece of work has failed. */
function withoutWhatNeeds(part: string, actions: readonly Action[]): Action[] {
  const failed = new Set([part]);
  return actions.filter((action) => {
    const leftOut = action.needs?.some((one) => failed.has(one)) === true;
    if (leftOut && action.part !== undefined) failed.add(action.part);
    return !leftOut;
  });
}

/** The world replaces what it changes. */
const differs = (a: Observed, b: Observed): boolean =>
  (Object.keys(b) as (keyof Observed)[]).some((key) => a[key] !== b[key]);

const isRunning = (pod: Pod): boolean => pod.status?.containerStatuses?.[0]?.state?.running !== undefined;

/** World.running() claims as run-1; later runs have a name of their own. */
const incarnationOf = (server: string, pod: Pod): string =>
  `${server}/${pod.metadata.uid}/${pod.metadata.annotations?.['run'] ?? 'run-1'}`;
