/**
 * A generator process: runs one workload against one server and reports what it measured. Started by the comparison with an IPC
 * channel, so that it shares neither CPU time nor event loop with others.
 */

import { setTimeout as elapsed } from 'node:timers/promises';
import { LoadConnection } from './load-connection.ts';
import type { FromGenerator, RunFigures, RunRequest } from './messages.ts';
import { setStage } from './stage.ts';
import { workloads } from './workloads.ts';

async function run(request: RunRequest): Promise<RunFigures> {
  const stage = await setStage(request);
  const workload = workloads[request.workload];
  let measuring = false;
  const latenciesMs: number[] = [];
  const onOperation = (startedAtMs: number) => {
    if (measuring) latenciesMs.push(performance.now() - startedAtMs);
  };
  const failed = Promise.withResolvers<never>();
  const connections = Array.from({ length: request.connections }, (_, index) => {
    const load = workload.load(stage, index);
    return new LoadConnection(request.host, request.port, request.depth, load, onOperation, failed.reject);
  });
  const measured = (async () => {
    await elapsed(request.warmUpMs);
    send({ kind: 'measuring' });
    measuring = true;
    const startedAt = performance.now();
    const cpuAtStart = process.cpuUsage();
    await elapsed(request.measureMs);
    measuring = false;
    send({ kind: 'measured' });
    const elapsedMs = performance.now() - startedAt;
    const cpu = process.cpuUsage(cpuAtStart);
    for (const connection of connections) connection.stop();
    await Promise.all(connections.map((connection) => connection.closed));
    return figuresOf(
      latenciesMs,
      elapsedMs,
      workload.payloadSize,
      (cpu.user + cpu.system) / 1000 / elapsedMs,
    );
  })();
  return await Promise.race([measured, failed.promise]);
}

function figuresOf(
  latenciesMs: number[],
  elapsedMs: number,
  payloadSize: number,
  generatorCpu: number,
): RunFigures {
  const sorted = Float64Array.from(latenciesMs).sort();
  const at = (part: number) =>
    (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0) * 1000;
  const latencyUs = { p50: at(0.5), p99: at(0.99), max: at(1) };
  return { operations: sorted.length, elapsedMs, payloadSize, latencyUs, generatorCpu };
}

function send(message: FromGenerator): void {
  process.send!(message);
}

/** Sends the last message and ends, whatever connections and timers are left after a failure. */
function finish(message: FromGenerator): void {
  process.send!(message, () => process.exit());
}

process.once('message', (request: RunRequest) => {
  run(request).then(
    (figures) => finish({ kind: 'done', figures }),
    (error: Error) => finish({ kind: 'failed', message: error.message }),
  );
});
