/**
 * The pairs' knowledge of each other's rollouts, so that a new image comes to them as a wave. It comes first to one pair, then
 * to some at a time, and to no further one while one of them does not come back.
 */

import { imagesStarted } from '../assess/image-trial.ts';
import { arrival, atOnceMax } from '../assess/rollout.ts';
import type { RolloutNote } from '../model/action.ts';
import { RENDERING_ANNOTATION } from '../model/names.ts';
import type { FilerPairObject, Pod } from '../model/objects.ts';
import type { OtherPairs } from '../model/observed.ts';

// Notes here are only younger than the statuses, from which an operator that starts goes on: two pairs that are
// looked at in the same moment must not both take the last turn.

interface Noted {
  readonly rollout: RolloutNote | null;
  readonly imagesStarted: readonly string[];
  /** Image and rendering that both servers run (rollout.ts); null: not both of them, or not the same. */
  readonly arrivedAt: string | null;
}

/** A rollout that has stood still for this long does not come to its end by itself, ms. */
const STUCK_MS = 10 * 60_000;

export class FleetRollout {
  readonly #pairs: () => Iterable<readonly [key: string, FilerPairObject]>;
  readonly #wake: (key: string) => void;
  readonly #imageOf: (pair: FilerPairObject) => string;
  readonly #noted = new Map<string, Noted>();

  /** @param imageOf image of file servers that a pair wants. */
  constructor(
    pairs: () => Iterable<readonly [key: string, FilerPairObject]>,
    imageOf: (pair: FilerPairObject) => string,
    wake: (key: string) => void,
  ) {
    this.#pairs = pairs;
    this.#imageOf = imageOf;
    this.#wake = wake;
  }

  /** Facts about all others that a pair that wants this image needs. A pair that wants another image neither holds it up nor counts. */
  others(key: string, image: string, now: number): OtherPairs {
    const images = new Set<string>();
    const arrivedAt = new Set<string>();
    let count = 0;
    let rollingOut = 0;
    let stuck: string | null = null;
    for (const [other, pair] of this.#pairs()) {
      if (other === key) continue;
      const noted = this.#noted.get(other);
      for (const started of noted?.imagesStarted ?? []) images.add(started);
      if (noted?.arrivedAt != null) arrivedAt.add(noted.arrivedAt);
      if (this.#imageOf(pair) !== image) continue;
      count += 1;
      const rollout = noted === undefined ? fromStatus(pair) : noted.rollout;
      if (rollout?.begun !== true || rollout.step === 'Paused') continue;
      rollingOut += 1;
      if (rollout.step === 'Blocked' || now - Date.parse(rollout.sinceTime) > STUCK_MS)
        stuck ??= `${other}: ${rollout.message}`;
    }
    return { count, rollingOut, imagesStarted: [...images], arrivedAt: [...arrivedAt], stuck };
  }

  /** Notes the decision about a pair, and what runs of it. Called in the same turn as the decision. */
  note(key: string, rollout: RolloutNote | null, serverPods: readonly Pod[], pods: readonly Pod[]): void {
    const started = serverPods.flatMap((pod) => {
      const [image] = imagesStarted([pod]);
      return image === undefined ? [] : [arrival(image, pod.metadata.annotations?.[RENDERING_ANNOTATION])];
    });
    const [first = null] = started;
    const arrived = started.length === 2 && started[1] === first && rollout === null;
    this.#noted.set(key, {
      rollout,
      imagesStarted: imagesStarted(pods),
      arrivedAt: arrived ? first : null,
    });
    if (rollout?.step !== 'Queued') this.#wakeNext(key);
  }

  forget(key: string): void {
    this.#noted.delete(key);
    this.#wakeNext(key);
  }

  /** Nothing else wakes a pair that waits for others. One at a time of each image: it may not need its turn any more, and wakes the next. */
  #wakeNext(key: string): void {
    const queued = [...this.#noted].filter(
      ([other, { rollout }]) => other !== key && rollout?.step === 'Queued',
    );
    // Nearly always: after each reconcile.
    if (queued.length === 0) return;
    const pairs = new Map(this.#pairs());
    const woken = new Set<string>();
    for (const [other] of queued) {
      const pair = pairs.get(other);
      if (pair === undefined) continue;
      const image = this.#imageOf(pair);
      if (woken.has(image)) continue;
      woken.add(image);
      const { count, rollingOut, stuck } = this.others(other, image, Date.now());
      if (stuck === null && rollingOut < atOnceMax(count + 1)) this.#wake(other);
    }
  }
}

/** Note about a pair that was not reconciled yet: whatever is under way there may have begun. */
function fromStatus({ status }: FilerPairObject): RolloutNote | null {
  const { rollout } = status ?? {};
  return rollout === undefined ? null : { ...rollout, begun: rollout.step !== 'Queued' };
}
