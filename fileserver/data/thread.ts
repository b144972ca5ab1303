/**
 * The data thread: a worker that owns the NFS sockets and makes every file system call. The agent tells it what to
 * open and close (messages.ts); requests never pass through the agent, and the agent never waits for a disk.
 */
import { readFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { RightTable } from '../right-table.ts';
import { clearUmask } from '../system/file-calls.ts';
import { startIoPool } from '../system/thread-identity.ts';
import type { FileTableLimits } from '../volume/file-table.ts';
import { DiskSetService } from './disk-set-service.ts';
import type { DataThreadOptions, DiskSetRole, FromDataThread, ToDataThread } from './messages.ts';
import { OutputSlabs } from './output-slabs.ts';

const port = parentPort;
if (port === null) throw new Error('data/thread.ts runs as a worker of the server');

const { rights, testing } = workerData as DataThreadOptions;
const post = (message: FromDataThread): void => port.postMessage(message);

/** Descriptors of the process that are not for files: sockets of clients, interconnect, journals, the runtime. */
const OTHER_DESCRIPTORS = 5000;
const DESCRIPTORS_MIN = 256;
const FILES_MAX = 65536;

/** Two disk sets share what the process may open. */
function limitsOfProcess(): FileTableLimits {
  const text = readFileSync('/proc/self/limits', 'utf8');
  const soft = Number(/^Max open files\s+(\d+)/m.exec(text)?.[1] ?? '1024');
  const forFiles = Math.max(
    DESCRIPTORS_MIN,
    Math.floor((soft - OTHER_DESCRIPTORS) / 2),
    Math.floor(soft / 8),
  );
  return { filesMax: FILES_MAX, descriptorsMax: Math.min(forFiles, FILES_MAX) };
}

clearUmask();

const setup = {
  rights: new RightTable(rights),
  slabs: new OutputSlabs(),
  limits: limitsOfProcess(),
  testing,
  post,
};
const services = new Map<DiskSetRole, DiskSetService>();
/** Before the first request: threads of the pool inherit this thread's identity, which must be the server's own. */
const ready = startIoPool();

async function handle(message: ToDataThread): Promise<void> {
  await ready;
  const service = services.get(message.diskSet);
  switch (message.kind) {
    case 'open': {
      if (service !== undefined && !service.isClosed) {
        throw new Error(`disk set "${message.diskSet}" is open already: close it first`);
      }
      const opened = new DiskSetService(message, setup);
      services.set(message.diskSet, opened);
      await opened.open();
      return;
    }
    case 'close':
      if (service === undefined || service.isClosed) {
        post({ kind: 'closed', diskSet: message.diskSet, mode: message.mode });
      } else {
        await service.close(message.mode);
      }
      return;
    case 'exports':
      service?.replaceExports(message.exports);
      return;
  }
}

port.on('message', (message: ToDataThread) => {
  // An exception here is a bug: it ends the thread, and with it the server.
  void handle(message).catch((error: unknown) => {
    setImmediate(() => {
      throw error;
    });
  });
});
