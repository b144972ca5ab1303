/** Measures in the network namespace that main.ts has made: a server, a director, and the generator by both ways. Prints JSON. */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as elapsed } from 'node:timers/promises';
import { isDirected } from '../../client/node/observe.ts';
import { VIRTUAL_PORT } from '../../client/node/ruleset.ts';
import { NodeState } from '../../client/node/state.ts';
import { Supervisor } from '../../client/node/supervisor.ts';
import { type Ratio, ratioOf, runGenerator } from '../comparison.ts';
import { LOADS } from '../proxy/loads.ts';
import { median } from '../rounds.ts';
import { startFilerpair } from '../servers/filerpair.ts';
import { addressOf, type ServerUnderTest } from '../servers/server-under-test.ts';

const ROOT = join(import.meta.dirname, '../..');
const WARM_UP_MS = 500;
/** Of files that are read or written. Bytes. */
const FILE_SIZE = 64 * 1024 * 1024;
const POLL_MS = 20;

const ways = ['direct', 'kernelPath'] as const;
type Way = (typeof ways)[number];

interface WayFigures {
  /** Medians of the rounds. */
  readonly perSecond: Record<Way, number>;
  readonly p50Us: Record<Way, number>;
  /** Round by round. */
  readonly toDirect: Ratio;
}
/** By the names of the loads. */
export type KernelPathFigures = Record<string, WayFigures>;

const [rounds = '5', ms = '2000', only = ''] = process.argv.slice(2);

async function measure(name: string, servers: Record<Way, ServerUnderTest>): Promise<WayFigures> {
  const load = LOADS[name];
  if (load === undefined) throw new Error(`there is no load ${name}`);
  const perSecond: Record<Way, number[]> = { direct: [], kernelPath: [] };
  const p50Us: Record<Way, number[]> = { direct: [], kernelPath: [] };
  for (let round = 0; round < Number(rounds); round++) {
    // Who goes first changes from round to round.
    for (const [i] of ways.entries()) {
      const way = ways[(i + round) % ways.length]!;
      const server = servers[way];
      const sizes = { fileSize: FILE_SIZE, warmUpMs: WARM_UP_MS, measureMs: Number(ms) };
      const result = await runGenerator({ ...addressOf(server), ...load, ...sizes }, server);
      perSecond[way].push((result.operations * 1000) / result.elapsedMs);
      p50Us[way].push(result.latencyUs.p50);
    }
  }
  const medians = (of: Record<Way, number[]>) => ({
    direct: median(of.direct),
    kernelPath: median(of.kernelPath),
  });
  const toDirect = ratioOf(perSecond.kernelPath, perSecond.direct);
  return { perSecond: medians(perSecond), p50Us: medians(p50Us), toDirect };
}

const directory = mkdtempSync(join(ROOT, '.cache/bench-'));
const direct = await startFilerpair(directory, { nodeArguments: [] });
const state = new NodeState(join(directory, 'node'));
const { virtual } = state.allocate(`nfs://${direct.host}:${direct.port}${direct.exportPath}?alone`, false);
// Its table also has the connections tracked that go directly.
const supervisor = new Supervisor({ stateDirectory: state.directory, verbose: false });
try {
  while (!isDirected(virtual)) await elapsed(POLL_MS);
  const kernelPath = { ...direct, host: virtual, port: VIRTUAL_PORT, mountPort: VIRTUAL_PORT };
  const figures: KernelPathFigures = {};
  for (const name of only.split(',')) figures[name] = await measure(name, { direct, kernelPath });
  process.stdout.write(`${JSON.stringify(figures)}\n`);
} finally {
  await supervisor.stop();
  await direct.stop();
  rmSync(directory, { recursive: true, force: true });
}
