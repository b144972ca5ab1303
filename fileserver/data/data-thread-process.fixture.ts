/**
 * Serves a disk set in a process of its own, so that a test can have it killed: the data thread's service on the
 * main thread (a worker more would only cost start-up). Told what to open by an IPC message, answers with what the
 * service says. Loads the service by way of the compile cache: a hundred of these are started in a row.
 */
import { enableCompileCache } from 'node:module';
import type { DataThreadTesting, FromDataThread, OpenMessage } from './messages.ts';

export interface OpenInProcess {
  readonly message: OpenMessage;
  readonly testing: DataThreadTesting;
}

enableCompileCache();
const { allocateRightTable, RightTable } = await import('../right-table.ts');
const { bootMs } = await import('../system/boottime.ts');
const { clearUmask } = await import('../system/file-calls.ts');
const { startIoPool } = await import('../system/thread-identity.ts');
const { DiskSetService } = await import('./disk-set-service.ts');
const { OutputSlabs } = await import('./output-slabs.ts');

process.on('message', ({ message, testing }: OpenInProcess) => {
  clearUmask();
  const rights = new RightTable(allocateRightTable());
  rights.set(message.diskSet, bootMs() + 3_600_000);
  const service = new DiskSetService(message, {
    rights,
    slabs: new OutputSlabs(),
    limits: { filesMax: 1000, descriptorsMax: 500 },
    testing,
    post: (told: FromDataThread) => process.send!(told),
  });
  void startIoPool().then(() => service.open());
});
process.on('disconnect', () => process.exit(0));
