/**
 * Moves of disks under everything that goes on at once, chosen by a seed. Owners change at any moment. The operator looks at a
 * cache that lags behind, carries out its plan action by action, and is killed in between. Kubelets and the attach/detach
 * controller take their time.
 */

import { expect, test } from 'vitest';
import { SeededRandom } from '../../testing/seeded-random.ts';
import type { Action } from '../model/action.ts';
import type { Pod } from '../model/objects.ts';
import type { Observed } from '../model/observed.ts';
import { decide } from '../plan/decide.ts';
import { attached, mounted, podsOf, running } from '../plan/reattach-world.fixture.ts';
import { settings } from '../plan/world.fixture.ts';

// Whatever happens, no pod of the disks is taken from the node of the owner that the Lease names, and never do two of them want
// the same disk. When owners stay the disks end up with them.

const HOME = 'a';
const SEEDS = 25;
const MOVES_WILD = 60;
const MOVES_MAX = 400;

class Moves {
  readonly world = running();
  readonly trace: string[] = [];
  readonly #random: SeededRandom;
  #seen = { ...this.world.observed };
  #plan: Action[] = [];
  #epoch = 1;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  #chance(probability: number): boolean {
    return this.#random.chance(probability);
  }

  /** One move of somebody; false: nobody has anything to do. */
  step(wild: boolean): boolean {
    if (wild && this.#chance(0.15)) return this.#ownerChanges();
    if (wild && this.#chance(0.1)) return this.#operatorDies();
    const moves = [...this.#operator(), ...this.#kubelets(), ...this.#detaching()];
    const move = moves[this.#random.below(moves.length)];
    if (move === undefined) return false;
    this.trace.push(move.name);
    move.run();
    return true;
  }

  get ownersNode(): string {
    const holder = this.world.lease(HOME).spec!.holderIdentity!;
    return holder.startsWith('a/') ? 'node-1' : 'node-2';
  }

  #ownerChanges(): boolean {
    this.#epoch += 1;
    this.#excused ||= this.#looked;
    const to = this.#chance(0.5) ? 'a' : 'b';
    this.trace.push(`${to} owns it at epoch ${this.#epoch}`);
    this.world.claims(to, HOME, this.#epoch);
    return true;
  }

  #operatorDies(): boolean {
    this.trace.push('the operator is killed');
    this.#plan = [];
    this.#seen = { ...this.world.observed };
    return true;
  }

  #operator(): { name: string; run: () => void }[] {
    const [action, ...rest] = this.#plan;
    if (action !== undefined)
      return [
        {
          name: `operator: ${action.kind} ${action.resource}: ${action.why}`,
          run: () => {
            this.#judge(action);
            // A lost compare-and-swap, or a Lease that says otherwise by now, ends the plan.
            this.#plan = this.world.carryOut(action) ? rest : [];
            if (action.resource === 'leases') this.#looked = this.#plan.length > 0;
          },
        },
      ];
    const keys = Object.keys(this.#seen) as (keyof Observed)[];
    const stale = keys.some((key) => this.#seen[key] !== this.world.observed[key]);
    const { actions, status } = decide(this.#seen, settings, this.world.now);
    return [
      ...(stale
        ? [{ name: 'operator: sees', run: () => void (this.#seen = { ...this.world.observed }) }]
        : []),
      ...(actions.length > 0 ? [{ name: 'operator: decides', run: () => this.#begin(actions) }] : []),
      ...(status !== null ? [{ name: 'operator: tells', run: () => this.world.writeStatus(status) }] : []),
    ];
  }

  #begin(actions: readonly Action[]): void {
    this.#plan = [...actions];
    this.#looked = false;
    this.#excused = false;
  }

  /** What must never be done, at the moment when it is done. */
  #judge(action: Action): void {
    if (action.resource !== 'pods') return;
    if (action.kind === 'delete' && !this.#excused) {
      const pod = podsOf(this.world, HOME).find(({ metadata }) => metadata.uid === action.uid);
      if (pod !== undefined) expect(nodeOf(pod), this.trace.join('\n')).not.toBe(this.ownersNode);
    }
    if (action.kind === 'create' && action.object.metadata.labels?.['filerpair.dev/attachment'] === HOME)
      this.made += 1;
  }

  made = 0;
  /** In this plan the operator has looked at the Lease itself; an owner that changes after that is safe, and seldom. */
  #looked = false;
  #excused = false;

  #kubelets(): { name: string; run: () => void }[] {
    return podsOf(this.world, HOME).flatMap((pod) => {
      const node = nodeOf(pod);
      if (pod.metadata.deletionTimestamp !== undefined)
        return [
          {
            name: `kubelet of ${node}: unmounted`,
            run: () => this.world.remove('pods', pod.metadata.name ?? ''),
          },
        ];
      const free = this.#attachments().every(({ spec }) => spec?.nodeName === node);
      const ready = pod.status?.conditions?.some(({ type }) => type === 'Ready') === true;
      if (ready || !free) return [];
      return [
        {
          name: `kubelet of ${node}: attached and mounted`,
          run: () => {
            this.#setAttachments([node]);
            mounted(this.world, HOME);
          },
        },
      ];
    });
  }

  /** The attach/detach controller: what no pod uses any more. */
  #detaching(): { name: string; run: () => void }[] {
    const used = new Set(podsOf(this.world, HOME).map(nodeOf));
    const unused = this.#attachments().filter(({ spec }) => !used.has(spec?.nodeName ?? ''));
    return unused.map(({ spec }) => ({
      name: `detached from ${spec?.nodeName}`,
      run: () =>
        this.#setAttachments(
          this.#attachments()
            .map((one) => one.spec?.nodeName ?? '')
            .filter((name) => name !== spec?.nodeName),
        ),
    }));
  }

  #attachments() {
    return this.world.observed.volumeAttachments.filter(
      ({ spec }) => spec?.source?.persistentVolumeName === `pv-${HOME}`,
    );
  }

  #setAttachments(nodes: readonly string[]): void {
    this.world.observed.volumeAttachments = [
      attached('b', 'node-2'),
      ...nodes.map((node) => attached(HOME, node)),
    ];
  }
}

const nodeOf = (pod: Pod): string => pod.metadata.annotations?.['filerpair.dev/node'] ?? '';

/** Pods that hold or are to hold the disks: more than one, and two nodes would wait for each other. */
const wanting = (moves: Moves): Pod[] =>
  podsOf(moves.world, HOME).filter(({ metadata }) => metadata.deletionTimestamp === undefined);

test(`disks end up with the owner, over ${SEEDS} seeds`, () => {
  let made = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const moves = new Moves(seed);
    const told = () => `seed ${seed}:\n${moves.trace.join('\n')}`;
    for (let i = 0; i < MOVES_WILD; i++) {
      moves.step(true);
      expect(wanting(moves).length, told()).toBeLessThanOrEqual(1);
    }
    let i = 0;
    while (moves.step(false)) {
      i += 1;
      expect(i, `comes to rest; ${told()}`).toBeLessThan(MOVES_MAX);
    }
    expect(wanting(moves).map(nodeOf), told()).toEqual([moves.ownersNode]);
    const [attachment] = moves.world.observed.volumeAttachments.filter(
      ({ spec }) => spec?.source?.persistentVolumeName === `pv-${HOME}`,
    );
    expect(attachment?.spec?.nodeName, told()).toBe(moves.ownersNode);
    made += moves.made;
  }
  // Fewer would mean that nothing happened.
  expect(made).toBeGreaterThan(SEEDS);
}, 120_000);
