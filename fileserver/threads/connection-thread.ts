/**
 * A thread that holds connections, of both disk sets, and executes what only reads. It makes no call that a frozen file
 * system or a flush can hold up: docs/fileserver.md says what a stuck disk stops.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { runConnectionThread } from './connection-host.ts';
import type { ThreadSetup } from './data-threads.ts';

if (parentPort === null) throw new Error('threads/connection-thread.ts runs as a worker of the data path');
runConnectionThread(parentPort, workerData as ThreadSetup);
