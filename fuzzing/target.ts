/** What is fuzzed: code that reads bytes of strangers, with what must hold whatever they are. */
export interface Target {
  readonly name: string;
  /** Folders whose coverage leads the search, relative to the repository. */
  readonly covers: readonly string[];
  /** Inputs of the right form, to begin with. The same at every call. */
  readonly seeds: () => readonly Uint8Array[];
  /** What the format has at fixed places. */
  readonly words: readonly Uint8Array[];
  /** Throws if something does not hold. Must not keep `input`. */
  readonly run: (input: Uint8Array) => void | Promise<void>;
  /** To be called once, when no input follows. */
  readonly end?: () => Promise<void>;
}

/** Something that must hold does not. */
export class Broken extends Error {}

export function mustHold(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Broken(what);
}

const GARBAGE = 64;

/**
 * Calls `read` with the bytes in the middle of a larger buffer, twice, each time with other bytes around them: who reads beyond the
 * end says different things. Returns what it said; errors count as said.
 */
export function readInPlace<T>(
  input: Uint8Array,
  read: (buffer: Uint8Array, start: number, end: number) => T,
  same: (a: T, b: T) => boolean,
): T {
  const said = [0x00, 0xff].map((around) => {
    const buffer = new Uint8Array(input.length + 2 * GARBAGE).fill(around);
    buffer.set(input, GARBAGE);
    return read(buffer, GARBAGE, GARBAGE + input.length);
  }) as [T, T];
  mustHold(same(...said), 'what is read depends on bytes that do not belong to the message');
  return said[0];
}
