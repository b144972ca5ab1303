/**
 * Is what clients were told one story? Each name of a disk set is a register: it has a file or none, and the file has an
 * identity. A history is linearizable if every call can be given one moment between its start and its answer, at which
 * it happens as a whole, so that all answers come out. An acknowledged change that is lost, an operation that is executed
 * twice, an answer from a server that no longer knows the present: none of them leaves such an order.
 *
 * Wing and Gong's search, name by name, answer by answer: all orders of the calls that are open at that moment. That is
 * cheap, because a client has one call open at a time; a call without an answer stays open, and may happen at any time
 * or never.
 */

export type Operation =
  /** Guarded CREATE of a file with this identity. */
  | { readonly kind: 'create'; readonly id: number }
  | { readonly kind: 'remove' }
  | { readonly kind: 'lookup' };

/** What the client is told: a file's identity, or why not. */
export type Answer =
  | { readonly kind: 'ok' }
  | { readonly kind: 'exists' }
  | { readonly kind: 'none' }
  | { readonly kind: 'found'; readonly id: number };

/** The file that a name has; null: none. */
export type Register = number | null;

/** What the operation does to a name that is in this state. */
export function apply(register: Register, operation: Operation): { next: Register; answer: Answer } {
  switch (operation.kind) {
    case 'create':
      if (register !== null) return { next: register, answer: { kind: 'exists' } };
      return { next: operation.id, answer: { kind: 'ok' } };
    case 'remove':
      if (register === null) return { next: null, answer: { kind: 'none' } };
      return { next: null, answer: { kind: 'ok' } };
    case 'lookup':
      if (register === null) return { next: null, answer: { kind: 'none' } };
      return { next: register, answer: { kind: 'found', id: register } };
  }
}

interface OpenCall {
  readonly call: number;
  readonly operation: Operation;
}

/** One way in which everything may have happened so far. */
interface Possibility {
  readonly register: Register;
  /** Open calls that have happened, with the answer that they will give. */
  readonly happened: ReadonlyMap<number, Answer>;
}

/** The history of one name, told in the order in which it happened to the clients. */
export class RegisterHistory {
  private open: readonly OpenCall[] = [];
  private possible: readonly Possibility[] = [{ register: null, happened: new Map() }];

  called(call: number, operation: Operation): void {
    this.open = [...this.open, { call, operation }];
  }

  /** False: no order of the calls explains this answer. */
  answered(call: number, answer: Answer): boolean {
    const [only] = this.possible;
    const [alone] = this.open;
    if (this.possible.length === 1 && this.open.length === 1 && only!.happened.size === 0) {
      // Nearly always: one call after the other.
      const { next: register, answer: expected } = apply(only!.register, alone!.operation);
      this.open = [];
      this.possible = [{ register, happened: only!.happened }];
      return same(expected, answer);
    }
    const kept = new Map<string, Possibility>();
    for (const possibility of this.reachable()) {
      const given = possibility.happened.get(call);
      if (given === undefined || !same(given, answer)) continue;
      const happened = new Map(possibility.happened);
      happened.delete(call);
      const next = { register: possibility.register, happened };
      kept.set(keyOf(next), next);
    }
    this.open = this.open.filter((one) => one.call !== call);
    this.possible = [...kept.values()];
    return this.possible.length > 0;
  }

  /** Everything that may be so after any of the open calls have happened, in any order. */
  private reachable(): Possibility[] {
    const seen = new Map(this.possible.map((one) => [keyOf(one), one]));
    const toDo = [...this.possible];
    for (let one = toDo.pop(); one !== undefined; one = toDo.pop()) {
      for (const { call, operation } of this.open) {
        if (one.happened.has(call)) continue;
        const { next: register, answer } = apply(one.register, operation);
        const next = { register, happened: new Map(one.happened).set(call, answer) };
        if (seen.has(keyOf(next))) continue;
        seen.set(keyOf(next), next);
        toDo.push(next);
      }
    }
    return [...seen.values()];
  }
}

const same = (a: Answer, b: Answer): boolean => JSON.stringify(a) === JSON.stringify(b);

const keyOf = ({ register, happened }: Possibility): string =>
  JSON.stringify([register, [...happened].toSorted(([a], [b]) => a - b)]);
