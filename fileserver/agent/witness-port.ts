/** The driver's port to the witness: each call's outcome is counted and fed back; answers go to who asked. */
import type { WitnessPort } from '../../pair/driver.ts';
import type { ServerName } from '../../pair/incarnation.ts';
import type { Input } from '../../pair/types.ts';
import type { Log } from '../logging/log.ts';
import { inBackground } from '../system/turns.ts';
import type { Witness } from '../witness/witness.ts';
import type { AgentMetrics } from './agent-metrics.ts';
import type { Requests } from './requests.ts';

/** How long the operator is told that the witness has gone back: it is over within seconds. */
const WENT_BACK_NOTED_MS = 3_600_000;

export interface WitnessParts {
  readonly server: ServerName;
  readonly witness: Witness;
  readonly requests: Requests;
  readonly measured: AgentMetrics;
  readonly log: Log;
  readonly feed: (input: Input) => void;
}

export function witnessPort({ server, witness, requests, measured, log, feed }: WitnessParts): WitnessPort {
  return {
    read: (home) =>
      inBackground(
        witness.read(home).then((outcome) => {
          measured.leaseReads.inc({ disk_set: home, outcome: outcome.kind });
          feed({ kind: 'leaseRead', home, outcome });
        }),
      ),
    compareAndSwap: (home, token, version, ownership) =>
      inBackground(
        witness.compareAndSwap(home, version, ownership).then((outcome) => {
          measured.leaseWrites.inc({ disk_set: home, outcome: outcome.kind });
          if (outcome.kind === 'unknown')
            log.warn(
              `Whether the Lease of ${home} was written is unknown; looking it up before anything else.`,
            );
          feed({ kind: 'leaseWritten', home, token, outcome });
        }),
      ),
    answer: (home, id, result, message) => {
      log.info(`Request ${id} for ${home}: ${result}, ${message}.`);
      const requestResult = { id, result, message };
      if (!requests.answer(requestResult)) witness.annotate(home, { requestResult });
    },
    noteWentBack: (home, epoch, message) => {
      witness.annotate(home, { witnessWentBack: { server, epoch, message } });
      setTimeout(() => witness.annotate(home, { witnessWentBack: null }), WENT_BACK_NOTED_MS).unref();
    },
  };
}
