/**
 * Messages between data threads and the group thread, over a BroadcastChannel that carries the name given to both: an
 * answer is of use to every data thread, whichever asked.
 */

export interface GroupQuestion {
  readonly kind: 'question';
  readonly uid: number;
}

export interface GroupAnswer {
  readonly kind: 'answer';
  readonly uid: number;
  /** All groups of the user; null: this machine knows no such user. */
  readonly groups: readonly number[] | null;
  /** Why it could not be found out; then `groups` means nothing. */
  readonly error: string | null;
}

export type GroupMessage = GroupQuestion | GroupAnswer;
