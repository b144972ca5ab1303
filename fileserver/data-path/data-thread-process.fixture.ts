/**
 * Serves a disk set in a process of its own, so that a test can have it killed. All threads of the data path run on the main
 * thread here, with the same messages between them (workers would only cost start-up). Told what to open by an IPC message,
 * answers with what the data path says. Loads it by way of the compile cache: a hundred of these are started in a row.
 */

import { enableCompileCache } from 'node:module';
import { MessageChannel } from 'node:worker_threads';
import type { Failpoints } from '../system/failpoints.ts';
import type { ThreadKind, ThreadSetup } from '../threads/data-threads.ts';
import type { FromDataThread, OpenMessage, ToDataThread } from '../threads/messages.ts';
import type { Channel } from '../threads/thread-messages.ts';

export interface OpenInProcess {
  readonly message: OpenMessage;
  readonly testing: Failpoints;
  /** Once it is open. */
  readonly next?: ToDataThread;
}

enableCompileCache();
const { allocateLeaseTable, LeaseTable } = await import('../serving-lease/lease-table.ts');
const { switchOn } = await import('../system/failpoints.fixture.ts');
const { bootMs } = await import('../system/boottime.ts');
const { startIoPool } = await import('../system/thread-identity.ts');
const { DataPath } = await import('../threads/data-path.ts');
const { runConnectionThread } = await import('../threads/connection-thread.ts');
const { runVolumeThread } = await import('../threads/volume-thread.ts');
const { threadCount } = await import('../settings/thread-counts.ts');
const { metricsSize } = await import('../metrics/data-metrics.ts');
const { ThreadBoard } = await import('../threads/thread-board.ts');

function startHere(kind: ThreadKind, setup: ThreadSetup): Channel {
  const { port1, port2 } = new MessageChannel();
  if (kind === 'connection') runConnectionThread(port1, setup);
  else runVolumeThread(port1, setup);
  return port2;
}

process.on('message', ({ message, testing, next }: OpenInProcess) => {
  switchOn(testing);
  const leases = allocateLeaseTable();
  new LeaseTable(leases).set(message.diskSet, bootMs() + 3_600_000);
  const threads = { connections: 1, own: 1, partner: 1 };
  const board = ThreadBoard.allocate(threadCount(threads));
  const metrics = new SharedArrayBuffer(metricsSize(threads));
  const options = { leases, threads, board, metrics };
  const post = (told: FromDataThread): void => void process.send!(told);
  void startIoPool().then(async () => {
    const path = new DataPath({ options, openFilesMax: 4096, start: startHere, post });
    await path.handle(message);
    if (next !== undefined) await path.handle(next);
  });
});
process.on('disconnect', () => process.exit(0));
