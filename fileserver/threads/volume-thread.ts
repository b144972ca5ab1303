/**
 * A thread that makes every change to one or more volumes of one disk set. Where its disk holds it, nothing but these
 * volumes waits.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { ThreadSetup } from './data-threads.ts';
import { runVolumeThread } from './volume-host.ts';

if (parentPort === null) throw new Error('threads/volume-thread.ts runs as a worker of the data path');
runVolumeThread(parentPort, workerData as ThreadSetup);
