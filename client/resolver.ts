/**
 * Names to addresses, with a memory. DNS is asked again at every search, but a search must not wait for it, and a name server
 * that fails together with a file server must not turn one failure into two. The last good answer stays in use until there is a
 * newer one.
 */
import { isIP } from 'node:net';
import { systemNames } from './system-names.ts';

/** All addresses of a name, in the resolver's order. Rejects when there is none. */
export type Lookup = (name: string) => Promise<readonly string[]>;

/** A name is not asked again before the last answer is this old. */
const REFRESH_MS = 1000;

interface Known {
  addresses: readonly string[];
  askedAtMs: number;
  pending: Promise<readonly string[]> | null;
  failure: unknown;
}

/** Looks up names and remembers the last answer, for when the next lookup fails. */
export class Resolver {
  readonly #lookup: Lookup;
  readonly #now: () => number;
  readonly #known = new Map<string, Known>();

  constructor(
    lookup: Lookup = (name) => systemNames.lookup(name),
    now: () => number = () => performance.now(),
  ) {
    this.#lookup = lookup;
    this.#now = now;
  }

  /**
   * The addresses to try now. Known ones are returned at once while a fresh lookup goes on behind; only a name
   * that never resolved is waited for. Rejects with the resolver's error if there is nothing to try.
   */
  resolve(name: string): readonly string[] | Promise<readonly string[]> {
    if (isIP(name.replace(/%.*$/, '')) !== 0) return [name];
    let entry = this.#known.get(name);
    if (!entry) {
      entry = { addresses: [], askedAtMs: Number.NEGATIVE_INFINITY, pending: null, failure: null };
      this.#known.set(name, entry);
    }
    const pending = this.#refresh(name, entry);
    if (entry.addresses.length > 0) return entry.addresses;
    return pending ?? Promise.reject(entry.failure);
  }

  #refresh(name: string, entry: Known): Promise<readonly string[]> | null {
    if (entry.pending !== null) return entry.pending;
    if (this.#now() - entry.askedAtMs < REFRESH_MS) return null;
    entry.askedAtMs = this.#now();
    entry.pending = this.#lookup(name).then(
      (addresses) => {
        entry.pending = null;
        if (addresses.length > 0) entry.addresses = addresses;
        if (entry.addresses.length > 0) return entry.addresses;
        entry.failure = new Error(`${name} has no address`);
        throw entry.failure;
      },
      (error: unknown) => {
        entry.pending = null;
        entry.failure = error;
        if (entry.addresses.length > 0) return entry.addresses;
        throw error;
      },
    );
    // A caller that needs the outcome waits for it; otherwise a failure only means that the last answer stays.
    entry.pending.catch(() => {});
    return entry.pending;
  }
}
