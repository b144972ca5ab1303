/**
 * Dry runs of takeovers: would one work now? Asks the witness and reads the partner's volumes. Runs by itself every CHECK_MS, and
 * puts an answer that differs from the last one beside the Lease.
 */
import type { ServerName } from '../../pair/incarnation.ts';
import type { ServerState } from '../../pair/server/state.ts';
import { type TakeoverCheck, takeoverCheck } from '../../pair/takeover-check.ts';
import type { Input } from '../../pair/types.ts';
import type { Config } from '../config/config.ts';
import type { Log } from '../logging/log.ts';
import { bootMs } from '../system/boottime.ts';
import { clockSlew } from '../system/clock-rate.ts';
import { repeat } from '../system/turns.ts';
import type { Witness } from '../witness/witness.ts';
import { SharedAnswer } from './shared-answer.ts';
import { VolumeCheck } from './volume-check.ts';

const CHECK_MS = 30_000;
/** A dry run within this time gets the last one's answer. */
const GOOD_FOR_MS = 500;

export interface DryRunParts {
  readonly config: Config;
  readonly witness: Witness;
  readonly log: Log;
  readonly state: () => ServerState;
  readonly feed: (input: Input) => void;
}

export class TakeoverDryRun {
  readonly #parts: DryRunParts;
  readonly #volumes = new VolumeCheck();
  readonly #answers: ReadonlyMap<ServerName, SharedAnswer<TakeoverCheck>>;
  #timer: NodeJS.Timeout | null = null;
  #noted = '';

  constructor(parts: DryRunParts) {
    this.#parts = parts;
    const answerOf = (home: ServerName) =>
      [home, new SharedAnswer(() => this.#check(home), GOOD_FOR_MS)] as const;
    this.#answers = new Map([parts.config.server, parts.config.partner].map(answerOf));
  }

  start(): void {
    this.#timer = repeat(() => this.#checkAndNote(), CHECK_MS);
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  check(home: ServerName): Promise<TakeoverCheck> {
    return this.#answers.get(home)!.get();
  }

  async #check(home: ServerName): Promise<TakeoverCheck> {
    const { config, witness, state, feed } = this.#parts;
    const seen = [state().local, state().partner].find((diskSet) => diskSet.home === home)!.seen;
    // Volumes that move come to this node with the ownership, and not before.
    const volumes = config.diskSets[home]!.volumes.filter(({ reattached }) => reattached !== true);
    const [read, whyNotReadable] = await Promise.all([
      witness.read(home),
      this.#volumes.whyNotReadable(home, volumes, seen?.record.written),
    ]);
    const found = read.kind === 'found';
    feed(found ? { kind: 'leaseSeen', home, sighting: read.sighting } : { kind: 'witnessSilent' });
    const facts = {
      witness: found ? ('answers' as const) : ('silent' as const),
      whyNotReadable,
      clockSlew: clockSlew(),
    };
    return takeoverCheck(state(), home, facts, bootMs());
  }

  async #checkAndNote(): Promise<void> {
    const { config, witness, log } = this.#parts;
    const home = config.partner;
    const { server, possible, missing } = await this.check(home);
    const text = JSON.stringify([possible, missing.map(({ name }) => name)]);
    const owns = missing.some(({ name }) => name === 'OwnedHere');
    if (text !== this.#noted && !owns && this.#timer !== null) {
      witness.annotate(home, { takeoverCheck: { server, possible, missing } });
      const answer = possible ? 'possible' : missing.map(({ message }) => message).join('; ');
      log.info(`Takeover of ${home}: ${answer}.`);
    }
    this.#noted = text;
  }
}
