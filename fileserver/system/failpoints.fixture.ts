/**
 * Switches failpoints on, in this thread and in those that it starts: preloaded by `node --import` or by the `execArgv` of a worker,
 * which its own workers inherit. A test hands the values to a worker (`withFailpoints`) or to a process (`failpointVariable`).
 */
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';
import { type Failpoints, failpoints } from './failpoints.ts';

const KEY = 'failpoints';
const VARIABLE = 'FILERPAIR_FAILPOINTS';

export function switchOn(values: Failpoints): void {
  Object.assign(failpoints, values);
}

switchOn((getEnvironmentData(KEY) ?? JSON.parse(process.env[VARIABLE] ?? '{}')) as Failpoints);

/** Arguments for Node that preload this file. */
export const FAILPOINT_ARGUMENTS = ['--import', import.meta.url];

/** `start` starts a worker with FAILPOINT_ARGUMENTS as its execArgv. */
export function withFailpoints<T>(values: Failpoints, start: () => T): T {
  setEnvironmentData(KEY, values as never);
  try {
    return start();
  } finally {
    setEnvironmentData(KEY);
  }
}

/** Environment of a process that Node starts with FAILPOINT_ARGUMENTS. */
export const failpointVariable = (values: Failpoints): Record<string, string> => ({
  [VARIABLE]: JSON.stringify(values),
});
