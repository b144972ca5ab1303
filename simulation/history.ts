/**
 * Is what clients were told one story? Each name of a disk set is a register: it has a file or none, and the file has an identity
 * and contents. A history is linearizable if every call can be given one moment between its start and its answer, at which it
 * happens as a whole, so that all answers come out.
 */

// An acknowledged change that is lost, an operation that is executed twice, an answer from a server that no longer knows the
// present: none of them leaves such an order.
//
// Two things are allowed to WRITEs, because they are promised no more (docs/fileserver.md). As long as it is not answered, one
// may be executed again by a later owner. What is written without being flushed may be lost until its COMMIT. A client's call
// here is therefore all of it: WRITE, COMMIT, and both again where the verifier has changed.
//
// Wing and Gong's search, name by name, answer by answer: all orders of the calls that are open at that moment. That is
// cheap, because a client has one call open at a time; a call without an answer stays open, and may happen at any time
// or never.

export type Operation =
  /** Guarded CREATE of a file with this identity. */
  | { readonly kind: 'create'; readonly id: number }
  | { readonly kind: 'remove' }
  | { readonly kind: 'lookup' }
  /** FILE_SYNC, or UNSTABLE and a COMMIT. */
  | { readonly kind: 'write'; readonly data: number; readonly stable: boolean }
  | { readonly kind: 'read' };

/** Answer to the client: a file's identity or contents, or why not. */
export type Answer =
  | { readonly kind: 'ok' }
  | { readonly kind: 'exists' }
  | { readonly kind: 'none' }
  | { readonly kind: 'found'; readonly id: number }
  | { readonly kind: 'data'; readonly data: number };

/** The file that a name has; null: none. */
export type Register = {
  readonly id: number;
  readonly data: number;
  /** Data that a flush that fails leaves of it. */
  readonly durable: number;
} | null;

/** Effect of the operation on a name that is in this state. */
export function apply(register: Register, operation: Operation): { next: Register; answer: Answer } {
  if (operation.kind === 'create') {
    if (register !== null) return { next: register, answer: { kind: 'exists' } };
    return { next: { id: operation.id, data: 0, durable: 0 }, answer: { kind: 'ok' } };
  }
  if (register === null) return { next: null, answer: { kind: 'none' } };
  switch (operation.kind) {
    case 'remove':
      return { next: null, answer: { kind: 'ok' } };
    case 'lookup':
      return { next: register, answer: { kind: 'found', id: register.id } };
    case 'read':
      return { next: register, answer: { kind: 'data', data: register.data } };
    case 'write': {
      const { data, stable } = operation;
      return {
        next: { ...register, data, durable: stable ? data : register.durable },
        answer: { kind: 'ok' },
      };
    }
  }
}

export function flushed(register: Register): Register {
  return register === null ? null : { ...register, durable: register.data };
}

/** The disk could not take it, or the machine crashed. */
export function lost(register: Register): Register {
  return register === null ? null : { ...register, data: register.durable };
}

interface OpenCall {
  readonly call: number;
  readonly operation: Operation;
}

interface Happened {
  readonly answer: Answer;
  /** Not yet flushed, so not yet to be answered. */
  readonly unstable: boolean;
}

/** One way in which everything may have happened so far. */
interface Possibility {
  readonly register: Register;
  /** Open calls that have happened, with the answer that they will give. */
  readonly happened: ReadonlyMap<number, Happened>;
}

/** The history of one name, told in the order in which it happened to the clients. */
export class RegisterHistory {
  #open: readonly OpenCall[] = [];
  #possible: readonly Possibility[] = [{ register: null, happened: new Map() }];
  /** WRITEs that were open when another opening of the disk set began: it knows nothing of them. */
  #again: ReadonlySet<number> = new Set();

  called(call: number, operation: Operation): void {
    this.#open = [...this.#open, { call, operation }];
  }

  /** The disk set is opened anew. */
  interrupted(): void {
    this.#again = new Set(
      this.#open.flatMap(({ call, operation: { kind } }) => (kind === 'write' ? [call] : [])),
    );
  }

  /** False: no order of the calls explains this answer. */
  answered(call: number, answer: Answer): boolean {
    const [only] = this.#possible;
    const [alone] = this.#open;
    const settled = only?.register?.data === only?.register?.durable;
    if (settled && this.#possible.length === 1 && this.#open.length === 1 && only!.happened.size === 0) {
      // Nearly always: one call after the other.
      const { next, answer: expected } = apply(only!.register, alone!.operation);
      const register = alone!.operation.kind === 'write' ? flushed(next) : next;
      this.#open = [];
      this.#possible = [{ register, happened: only!.happened }];
      return same(expected, answer);
    }
    const kept = new Map<string, Possibility>();
    for (const possibility of this.#reachable()) {
      const given = possibility.happened.get(call);
      if (given === undefined || given.unstable || !same(given.answer, answer)) continue;
      const happened = new Map(possibility.happened);
      happened.delete(call);
      const next = { register: possibility.register, happened };
      kept.set(keyOf(next), next);
    }
    this.#open = this.#open.filter((one) => one.call !== call);
    this.#possible = [...kept.values()];
    return this.#possible.length > 0;
  }

  /** Everything that may be so after any of the open calls have happened, in any order. */
  #reachable(): Possibility[] {
    const seen = new Map(this.#possible.map((one) => [keyOf(one), one]));
    const toDo = [...this.#possible];
    for (let one = toDo.pop(); one !== undefined; one = toDo.pop()) {
      for (const next of this.#following(one)) {
        if (seen.has(keyOf(next))) continue;
        seen.set(keyOf(next), next);
        toDo.push(next);
      }
    }
    return [...seen.values()];
  }

  *#following(one: Possibility): Generator<Possibility> {
    const { register } = one;
    for (const { call, operation } of this.#open) {
      const before = one.happened.get(call);
      if (before === undefined || this.#again.has(call)) {
        const { next, answer } = apply(register, operation);
        const unstable = operation.kind === 'write' && !operation.stable && answer.kind === 'ok';
        yield { register: next, happened: new Map(one.happened).set(call, { answer, unstable }) };
      }
      if (before?.unstable) {
        const done = { ...before, unstable: false };
        yield { register: flushed(register), happened: new Map(one.happened).set(call, done) };
      }
    }
    if (register !== null && register.data !== register.durable) {
      const happened = new Map([...one.happened].filter(([, { unstable }]) => !unstable));
      yield { register: lost(register), happened };
    }
  }
}

const same = (a: Answer, b: Answer): boolean => JSON.stringify(a) === JSON.stringify(b);

const keyOf = ({ register, happened }: Possibility): string =>
  JSON.stringify([register, [...happened].toSorted(([a], [b]) => a - b)]);
