/** Replays the journal of a volume, and begins the operation log that goes on with it. */
import type { NfsContext } from '../nfs3/nfs-context.ts';
import { recover, settleIntent } from '../nfs3/recovery.ts';
import { DuplicateRequestCache } from '../storage/duplicate-requests/duplicate-request-cache.ts';
import { OperationLog } from '../storage/duplicate-requests/operation-log.ts';
import type { OperationLogHooks } from '../storage/duplicate-requests/operation-log-hooks.ts';
import type { Volume } from '../storage/volume/volume.ts';
import { failpoints } from '../system/failpoints.ts';
import { describeBug } from './bug-reports.ts';

export type LogLine = (level: 'info' | 'warn' | 'error', message: string) => void;

export interface ReplayHooks extends Pick<OperationLogHooks, 'mayServe' | 'onStopped' | 'onStep'> {
  readonly log: LogLine;
}

export async function replay(
  volume: Volume,
  context: NfsContext,
  { mayServe, onStopped, onStep, log }: ReplayHooks,
): Promise<OperationLog> {
  const { diskSet } = context;
  const of = `volume ${volume.spec.name}: `;
  const cache = new DuplicateRequestCache();
  const { putAside, answers, completed, forgotten } = await recover(context, volume, diskSet.table, cache);
  for (const reason of putAside) {
    log('error', `${of}${reason}. It is put aside and may be half executed; everything else is served`);
  }
  if (answers + completed + forgotten > 0) {
    log(
      'info',
      `${of}${answers} answers from the journal; of operations under way ` +
        `${completed} were found executed, ${forgotten} not begun`,
    );
  }
  return new OperationLog(volume, diskSet.table, cache, {
    mayServe,
    onStopped,
    onStep,
    settle: (intent, flushes) => diskSet.asRecorded(() => settleIntent(context, intent, flushes)),
    onBug: (whose, error) => log('error', `${of}${whose}: ${describeBug(error)}`),
    intents: failpoints.intents ?? volume.intents,
    journalDisabled: failpoints.journalDisabled === true,
  });
}
