/**
 * Crashes, as many as wanted. It kills the process that owns a volume, and some of its successors as they take over. It runs
 * every pair of operations and so many triples of them, stops the owner at every step, and half of its successors too. For
 * crashes of the machine it records a load on each file system and replays the disk up to random points.
 */
import { rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { crashAgainAndAgain } from '../../fileserver/data-path/crash-run.fixture.ts';
import { Neighbours, PARTS } from '../../fileserver/nfs3/neighbours.fixture.ts';
import { startIoPool } from '../../fileserver/system/thread-identity.ts';
import { SeededRandom } from '../../testing/seeded-random.ts';
import { type FileSystemType, missingForDisks, workDirectory } from './recording-disk.ts';
import { record, replay } from './replay.ts';

//   node e2e/disk/main.ts [--kills 3000] [--triples 1000] [--states 500] [--seed 1] [--only ext4] [--intents flush|unwritten]
//
// Prints a line for the kills and for each file system and set of mount options; exit code 1 if anything acknowledged was
// missing or done twice.

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '0' },
    triples: { type: 'string', default: '0' },
    states: { type: 'string', default: '0' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    intents: { type: 'string' },
  },
});

const CASES: readonly { type: FileSystemType; mountOptions: readonly string[] }[] = [
  { type: 'ext4', mountOptions: [] },
  { type: 'ext4', mountOptions: ['data=writeback'] },
  { type: 'ext4', mountOptions: ['data=journal'] },
  { type: 'xfs', mountOptions: [] },
  { type: 'btrfs', mountOptions: [] },
];
const FAILURES_SHOWN = 10;

/** Owners of one volume; then a new one, so that its journal does not always have the same age. */
const KILLS_PER_VOLUME = 100;

async function killProcesses(kills: number): Promise<void> {
  const begun = performance.now();
  const sum = { kills: 0, killsAgain: 0, answered: 0, resent: 0 };
  let failure: string | null = null;
  while (sum.kills < kills && failure === null) {
    const directory = workDirectory();
    const run = await crashAgainAndAgain(directory, {}, Math.min(KILLS_PER_VOLUME, kills - sum.kills));
    sum.kills += run.kills;
    sum.killsAgain += run.killsAgain;
    sum.answered += run.answered;
    sum.resent += run.resent;
    failure = run.failure;
    rmSync(directory, { recursive: true, force: true });
    console.log(`  ${sum.kills} kills, ${sum.answered} calls answered, ${sum.resent} sent again`);
  }
  const seconds = Math.round((performance.now() - begun) / 1000);
  console.log(
    `process killed ${sum.kills} times, its successor ${sum.killsAgain} times while it took over: ${sum.answered} calls answered, ${sum.resent} sent again, ` +
      `${failure === null ? 'all succeeded' : `one failed with ${failure}`}; ${seconds} s`,
  );
  if (failure !== null) process.exitCode = 1;
}

/** Each pair in both orders and both arrivals; of triples a sample. */
async function stopAmongNeighbours(triples: number, seed: number): Promise<void> {
  const begun = performance.now();
  await startIoPool();
  const random = new SeededRandom(seed);
  const neighbours = await Neighbours.on('/dev/shm');
  const wrong: string[] = [];
  for (const one of PARTS) {
    for (const other of PARTS) {
      for (const arrival of ['together', 'later'] as const)
        wrong.push(...(await neighbours.check([one, other], arrival, random)));
    }
    console.log(`  pairs: ${neighbours.kills} kills, ${wrong.length} with something wrong`);
  }
  for (let count = 1; count <= triples; count++) {
    const parts = [random.pick(PARTS), random.pick(PARTS), random.pick(PARTS)];
    wrong.push(...(await neighbours.check(parts, random.pick(['together', 'later'] as const), random)));
    if (count % 100 === 0)
      console.log(`  ${count} triples: ${neighbours.kills} kills, ${wrong.length} wrong`);
  }
  await neighbours.close();
  const seconds = Math.round((performance.now() - begun) / 1000);
  console.log(
    `${PARTS.length ** 2} pairs and ${triples} triples of operations, the owner stopped ${neighbours.kills} times: ` +
      `its successor ${neighbours.killsOfSuccessors} times, ${wrong.length} with something wrong; ${seconds} s`,
  );
  for (const failure of wrong.slice(0, FAILURES_SHOWN)) console.log(`  ${failure}`);
  if (wrong.length > 0) process.exitCode = 1;
}

async function main(): Promise<void> {
  const states = Number(values.states);
  const seed = Number(values.seed);
  const kills = Number(values.kills);
  const triples = Number(values.triples);
  if (kills > 0) await killProcesses(kills);
  if (triples > 0) await stopAmongNeighbours(triples, seed);
  if (states === 0) return;
  const testing = values.intents === undefined ? {} : { intents: values.intents as 'flush' | 'unwritten' };
  for (const { type, mountOptions } of CASES.filter(
    ({ type }) => values.only === undefined || values.only === type,
  )) {
    const title = [type, ...mountOptions].join(', ');
    const missing = missingForDisks(type);
    if (missing !== null) {
      console.log(`${title}: skipped, ${missing}`);
      continue;
    }
    const begun = performance.now();
    const recording = await record(type, { chains: 12, forMs: 4000, testing, mountOptions, seed });
    try {
      const calls = recording.histories.reduce((sum, history) => sum + history.length, 0);
      const flushes = recording.events.filter(({ kind }) => kind === 'flushed').length;
      const result = await replay(recording, states, seed);
      const seconds = Math.round((performance.now() - begun) / 1000);
      console.log(
        `${title}: ${calls} calls, ${recording.events.length - flushes} writes, ${flushes} flushes recorded; ` +
          `${result.states} crashes, ${result.failures.length} with something wrong; ${seconds} s`,
      );
      for (const failure of result.failures.slice(0, FAILURES_SHOWN)) console.log(`  ${failure}`);
      if (result.failures.length > 0) process.exitCode = 1;
    } finally {
      await recording.disk.discard();
    }
  }
}

await main();
