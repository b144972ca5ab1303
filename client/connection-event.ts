/** Events of a connection to a disk set, above all of its failovers. */
import type { PortRole } from './transport-address.ts';

/** Event for an observer of the failover. Times are ms of performance.now(). */
export type ConnectionEvent =
  /** The adopted connection is silent with calls outstanding; the search begins beside it. */
  | { readonly kind: 'Doubted'; readonly atMs: number; readonly port: PortRole; readonly target: string }
  /** It was only slow. */
  | { readonly kind: 'Reassured'; readonly atMs: number; readonly afterMs: number }
  | {
      readonly kind: 'Lost';
      readonly atMs: number;
      readonly port: PortRole;
      readonly target: string;
      readonly reason: string;
    }
  /** Neither port has answered for a while; once for each search. `why` says what each of them did last. */
  | { readonly kind: 'Waiting'; readonly atMs: number; readonly afterMs: number; readonly why: string }
  /** `afterMs` since the loss or the doubt; `resent` calls went out again. */
  | {
      readonly kind: 'Adopted';
      readonly atMs: number;
      readonly port: PortRole;
      readonly target: string;
      readonly afterMs: number;
      readonly attempts: number;
      readonly resent: number;
    };
