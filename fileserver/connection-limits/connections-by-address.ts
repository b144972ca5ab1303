/** Who may have one more connection. All ports of the server share the descriptors, so nobody may take them all. */
import { networkOf } from '../../kubernetes/client-network.ts';

// - A client's address may have SHARE times as many connections as are still free: one address alone gets eight ninths of all (many
//   clients may be behind it, as networks translate addresses), and the next address to come always finds some.
// - An address in no export gets a few, which are none of the clients': enough for the answer that it may not, and for the reply of
//   a call that was executed while it still might.
//
// The first 64 bits of an IPv6 address count: its owner chooses the rest. Pure.

const SHARE = 8;
/** Connections of addresses in no export, all of them together, and of one. */
export const STRANGERS_MAX = 32;
export const STRANGER_MAX = 4;

export type Refusal = 'full' | 'address' | 'stranger';

/** Key under which a connection is counted, until leave(). */
export type Admission = string & { readonly brand: unique symbol };

export class ConnectionsByAddress {
  readonly max: number;
  readonly #counts: Map<string, number>;
  #clients: number;
  #strangers: number;

  /** max: of all clients together. */
  constructor(max: number) {
    this.max = max;
    this.#counts = new Map();
    this.#clients = 0;
    this.#strangers = 0;
  }

  get total(): number {
    return this.#clients + this.#strangers;
  }

  /** isClient: the address is in an export. null: refused, and why() says so. */
  admit(address: string, isClient: boolean): Admission | null {
    if (this.why(address, isClient) !== null) return null;
    const admission = keyOf(address, isClient);
    this.#counts.set(admission, this.#countOf(admission) + 1);
    if (isClient) this.#clients += 1;
    else this.#strangers += 1;
    return admission;
  }

  /** null: it may have one more. */
  why(address: string, isClient: boolean): Refusal | null {
    const count = this.#countOf(keyOf(address, isClient));
    if (!isClient) return this.#strangers < STRANGERS_MAX && count < STRANGER_MAX ? null : 'stranger';
    if (this.#clients >= this.max) return 'full';
    return count < SHARE * (this.max - this.#clients) ? null : 'address';
  }

  leave(admission: Admission): void {
    const count = this.#countOf(admission);
    if (count === 0) throw new Error(`no connection is left of ${admission}`);
    if (count === 1) this.#counts.delete(admission);
    else this.#counts.set(admission, count - 1);
    if (admission.startsWith(STRANGER)) this.#strangers -= 1;
    else this.#clients -= 1;
  }

  #countOf(key: string): number {
    return this.#counts.get(key) ?? 0;
  }
}

const STRANGER = 'stranger ';

function keyOf(address: string, isClient: boolean): Admission {
  const network = networkOf(address);
  return (isClient ? network : STRANGER + network) as Admission;
}
