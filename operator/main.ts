/** The operator's process: environment in, exit code out. */

import { createLog } from './runtime/log.ts';
import { runOperator } from './runtime/operator.ts';
import { readSettings } from './runtime/settings.ts';

const settings = readSettings(process.env);
if (typeof settings === 'string') {
  console.error(`filerpair-operator: ${settings}`);
  process.exit(2);
}
const log = createLog(settings.LOG_LEVEL);
const abort = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => abort.abort());
try {
  // A lost lead ends the process: the kubelet starts it again with nothing left over.
  process.exitCode = (await runOperator(settings, log, abort.signal)) ? 0 : 1;
} catch (error) {
  log.error(error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exitCode = 1;
}
