/** Mutants that no test can notice, or should, with the reason. One that is not found any more fails the run. */
export interface Explained {
  readonly file: string;
  /** Occurs in the line of the mutant. */
  readonly line: string;
  readonly code: string;
  readonly becomes: string;
  /** A sentence. */
  readonly why: string;
}

export const EXPLAINED: readonly Explained[] = [];
