/** Services that an operation log asks for: the serving lease, the settlement of interrupted operations, the log. */
import type { FlushSet } from '../flush/flush-set.ts';
import type { OperationStep } from './operation-step.ts';

/** Outcome of an operation that was interrupted. `reason`: a sentence that names it. */
export type Settled =
  | {
      readonly outcome: 'completed';
      readonly key: string;
      readonly results: Uint8Array;
      readonly createdKey: string | null;
    }
  | { readonly outcome: 'notBegun' }
  | {
      readonly outcome: 'putAside';
      readonly reason: string;
      /** For its client, if it asks again; absent: it is executed then. */
      readonly answer?: { readonly key: string; readonly results: Uint8Array };
    };

export interface OperationLogHooks {
  /** R2: may this server change the volume at this moment? */
  readonly mayServe: () => boolean;
  /** The lease is gone or the volume has failed: nothing that runs may be answered. */
  readonly onStopped: () => void;
  /** For the test that kills the process at a step. */
  readonly onStep: (operation: string, step: OperationStep) => void;
  /** Step that makes intents safe before they are executed: the volume's way (commit-order.ts), or a test's. */
  readonly intents: 'writeOut' | 'flush' | 'unwritten';
  /** Settles an operation of which only its intent is known: nfs3/recovery.ts. */
  readonly settle: (intent: Uint8Array, flushes: FlushSet) => Settled;
  /** An exception, and whose it was. For the log. */
  readonly onBug: (whose: string, error: unknown) => void;
  /** Executes without a journal and without remembering answers: only to show that tests can fail. */
  readonly journalDisabled: boolean;
}
