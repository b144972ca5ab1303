/** What an explanation of a mutant says. */
export interface Explained {
  readonly file: string;
  /** Occurs in the line of the mutant. */
  readonly line: string;
  /** Absent: whatever the mutant does to the line. */
  readonly code?: string;
  readonly becomes?: string;
  /** A sentence. */
  readonly why: string;
}
