/** Measures an idle proxy: its memory with many volumes mounted through it, and how often its threads wake up. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as elapsed } from 'node:timers/promises';
import { CallConnection } from '../generator/call-connection.ts';
import { mountExport, rootCredential } from '../generator/stage.ts';
import { memoryOf } from '../servers/process-figures.ts';
import type { ServerUnderTest } from '../servers/server-under-test.ts';

export interface IdleFigures {
  volumes: number;
  /** Of the proxy, after its last call. */
  residentMiB: number;
  /** Of all its threads in a second. */
  wakeUpsPerSecond: number;
}

/** What the proxy may do after the last call until it rests. Ms. */
const SETTLE_MS = 5000;

/** Each volume has a connection of its own that has mounted the export; then nothing is called for `measureMs`. */
export async function measureIdle(
  proxy: ServerUnderTest,
  volumes: number,
  measureMs: number,
): Promise<IdleFigures> {
  const connections: CallConnection[] = [];
  try {
    for (let i = 0; i < volumes; i++) {
      const connection = await CallConnection.open(proxy.host, proxy.port, rootCredential);
      connections.push(connection);
      await mountExport(connection, proxy.exportPath);
    }
    await elapsed(SETTLE_MS);
    const before = wakeUpsOf(proxy.pid);
    await elapsed(measureMs);
    const wakeUpsPerSecond = ((wakeUpsOf(proxy.pid) - before) * 1000) / measureMs;
    return { volumes, residentMiB: memoryOf(proxy.pid).resident, wakeUpsPerSecond };
  } finally {
    for (const connection of connections) connection.close();
  }
}

/** How often its threads have gone to sleep so far (proc(5), /proc/PID/task/TID/status). */
function wakeUpsOf(pid: number): number {
  let count = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
    count += Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1] ?? 0);
  }
  return count;
}
