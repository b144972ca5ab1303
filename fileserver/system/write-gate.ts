/**
 * Gate that every system call that changes a volume has to pass (R2). Functions that make such calls take the gate as their first
 * argument and ask it immediately before the call, again before each further try: no change compiles without one. And they say
 * when the call is over, so that nothing has to wait for a change that is not under way.
 */
export interface WriteGate {
  /**
   * May the volume be changed at this moment? true: the change is under way until end() is called, once. false: the call is not
   * made, and its result is REFUSED.
   */
  begin(): boolean;
  end(): void;
}

/** Result of a call that was not made. No errno of the kernel: those end with 4095. */
export const REFUSED = -4096;

/** For what only reads. */
export const NO_WRITES: WriteGate = { begin: () => false, end: () => {} };

/** A change that consists of several calls was not made, or not completed, because its gate was closed. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';

  constructor() {
    super('the right to change the volume is over');
  }
}
