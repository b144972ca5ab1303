/** Runs the simulation over many seeds on all cores, or replays one seed with its whole trace. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import type { FaultSet } from './faults/fault.ts';
import { runSeed } from './run.ts';
import { variantNamed } from './variants/variants.ts';

//   node simulation/main.ts [--seeds 10000] [--from 1] [--out out/simulation.json]
//   node simulation/main.ts --seed 4711 [--faults all|network|twins|disks|apart|times|volumes|machines] [--broken WithoutDeadMansSwitch]

/** Seeds a worker takes at once: small enough that all finish together. */
const BATCH = 100;

interface Totals {
  seeds: number;
  writes: number;
  /** Calls of clients, each part of a history that was checked. */
  answered: number;
  claims: number;
  killedBySwitch: number;
  failures: { seed: number; faults: FaultSet; violations: readonly string[] }[];
}

/** Mostly everything at once; some seeds look closer at one thing, and every tenth ten at disk sets of several volumes. */
function faultsOf(seed: number): FaultSet {
  if (Math.floor(seed / 10) % 10 === 9) return seed % 2 === 0 ? 'volumes' : 'machines';
  const sets: readonly FaultSet[] = [
    'all',
    'all',
    'all',
    'all',
    'times',
    'network',
    'apart',
    'twins',
    'twins',
    'disks',
  ];
  return sets[seed % sets.length]!;
}

/** Clients cost more time than all the rest together: every fifth ten of seeds, so each set of faults, has them. */
function clientsOf(seed: number): boolean {
  return Math.floor(seed / 10) % 5 === 0;
}

function runBatch(from: number, count: number): Totals {
  const totals: Totals = { seeds: 0, writes: 0, answered: 0, claims: 0, killedBySwitch: 0, failures: [] };
  for (let seed = from; seed < from + count; seed++) {
    const faults = faultsOf(seed);
    const outcome = runSeed(seed, { faults, clients: clientsOf(seed) });
    totals.answered += outcome.answered;
    totals.seeds++;
    totals.writes += outcome.writes;
    totals.claims += outcome.claims;
    totals.killedBySwitch += outcome.killedBySwitch;
    if (outcome.violations.length > 0) totals.failures.push({ seed, faults, violations: outcome.violations });
  }
  return totals;
}

if (isMainThread) await main();
else {
  const { start, end, next } = workerData as { start: number; end: number; next: SharedArrayBuffer };
  const cursor = new Int32Array(next);
  for (;;) {
    const from = start + Atomics.add(cursor, 0, BATCH);
    if (from >= end) break;
    parentPort!.postMessage(runBatch(from, Math.min(BATCH, end - from)));
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '10000' },
      from: { type: 'string', default: '1' },
      out: { type: 'string', default: 'out/simulation.json' },
      seed: { type: 'string' },
      broken: { type: 'string' },
      faults: { type: 'string' },
    },
  });
  if (values.broken !== undefined && values.seed === undefined)
    throw new Error('--broken needs --seed: all seeds run the real rules');
  if (values.seed !== undefined) return replay(Number(values.seed), values.broken, values.faults);
  const totals = await runAll(Number(values.from), Number(values.seeds));
  const violations = totals.failures.reduce((sum, failure) => sum + failure.violations.length, 0);
  mkdirSync(dirname(values.out), { recursive: true });
  writeFileSync(
    values.out,
    `${JSON.stringify({ ...totals, from: Number(values.from), violations }, null, 2)}\n`,
  );
  console.log(
    `simulation: ${totals.seeds} seeds, ${totals.writes} writes, ${totals.answered} calls of clients, ${totals.claims} changes of owner, ` +
      `${totals.killedBySwitch} processes stopped by the dead man's switch, ${violations} violations`,
  );
  for (const { seed, faults, violations: found } of totals.failures.slice(0, 10)) {
    console.log(
      `  seed ${seed}: ${found[0]}\n    replay: node simulation/main.ts --seed ${seed} --faults ${faults}`,
    );
  }
  if (violations > 0) process.exitCode = 1;
}

async function runAll(from: number, count: number): Promise<Totals> {
  const totals: Totals = { seeds: 0, writes: 0, answered: 0, claims: 0, killedBySwitch: 0, failures: [] };
  const next = new SharedArrayBuffer(4);
  let announced = 0;
  const add = (batch: Totals) => {
    totals.seeds += batch.seeds;
    totals.writes += batch.writes;
    totals.answered += batch.answered;
    totals.claims += batch.claims;
    totals.killedBySwitch += batch.killedBySwitch;
    totals.failures.push(...batch.failures);
    if (totals.seeds - announced >= count / 5) {
      announced = totals.seeds;
      console.log(`simulation: ${totals.seeds} of ${count} seeds, ${totals.failures.length} with violations`);
    }
  };
  const workers = Array.from({ length: availableParallelism() }, () => {
    const worker = new Worker(new URL(import.meta.url), {
      workerData: { start: from, end: from + count, next },
    });
    worker.on('message', add);
    return new Promise<void>((resolve, reject) => worker.once('error', reject).once('exit', () => resolve()));
  });
  await Promise.all(workers);
  totals.failures.sort((a, b) => a.seed - b.seed);
  return totals;
}

function replay(seed: number, broken: string | undefined, chosen: string | undefined): void {
  const variant = broken === undefined ? null : variantNamed(broken);
  const faults = (chosen ?? faultsOf(seed)) as FaultSet;
  const outcome = runSeed(seed, { keepTrace: true, variant, faults, clients: clientsOf(seed) });
  for (const line of outcome.trace) console.log(line);
  console.log(
    outcome.violations.length === 0 ? `seed ${seed}: no violation` : `seed ${seed}: ${outcome.violations[0]}`,
  );
  if (outcome.violations.length > 0) process.exitCode = 1;
}
