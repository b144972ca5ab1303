/**
 * The data path's first thread, and the only one that the agent talks to (messages.ts): it accepts connections, hands
 * them on, and leads the disk sets through their lives. It makes no file system call that a disk could hold up, so
 * whatever disks do, it answers.
 */

import { readFileSync } from 'node:fs';
import { type MessagePort, parentPort, Worker, workerData } from 'node:worker_threads';
import { warmUpListening } from '../rpc/acceptor.ts';
import { threadCount } from '../settings/thread-counts.ts';
import { startIoPool } from '../system/thread-identity.ts';
import { inBackground, repeat } from '../system/turns.ts';
import { DataPath } from './data-path.ts';
import type { ThreadKind, ThreadSetup } from './data-threads.ts';
import type { DataThreadOptions, FromDataThread, ToDataThread } from './messages.ts';
import { ThreadBoard, TURN_MS } from './thread-board.ts';
import type { Channel } from './thread-messages.ts';

const port = parentPort;
if (port === null) throw new Error('threads/thread.ts runs as a worker of the server');

/**
 * V8 lets objects that die young fill 192 MiB a thread before it looks for them, on a machine with enough memory. With this
 * the server takes half the memory under load and is no slower: the little that calls leave lies in the processor's cache.
 */
const YOUNG_OBJECTS_MAX_MB = 6;

/** Not imports: each runs in its worker alone (scripts/bundle.ts). */
const PROGRAMS: Readonly<Record<ThreadKind, URL>> = {
  connection: new URL('./connection-thread.ts', import.meta.url),
  volume: new URL('./volume-thread.ts', import.meta.url),
};

function startWorker(kind: ThreadKind, setup: ThreadSetup, ports: readonly MessagePort[]): Channel {
  const worker = new Worker(PROGRAMS[kind], {
    workerData: setup,
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_OBJECTS_MAX_MB },
    transferList: [...ports],
  });
  // An exception there is a bug: it ends this thread, and with it the server.
  worker.on('error', (error) => {
    throw error;
  });
  worker.on('exit', (code) => {
    throw new Error(`a ${kind} thread exited with code ${code}`);
  });
  return worker;
}

const options = workerData as DataThreadOptions;
const board = new ThreadBoard(options.board);
const me = threadCount(options.threads) - 1;
const softLimit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
const post = (message: FromDataThread): void => port.postMessage(message);

/** Before the first request: threads of the pool inherit this thread's identity, which must be the server's own. */
const ready = startIoPool().then(
  () => new DataPath({ options, openFilesMax: Number(softLimit ?? '1024'), start: startWorker, post }),
);
inBackground(warmUpListening());

port.on('message', (message: ToDataThread) => {
  // An exception here is a bug: it ends the thread, and with it the server.
  inBackground(ready.then((path) => path.handle(message)));
});
board.turn(me);
repeat(() => board.turn(me), TURN_MS);
