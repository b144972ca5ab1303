/**
 * The program of the client pod: uses a pair through the client library while a test breaks servers, and tells on standard
 * output what happened to it (history.ts).
 */
import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { type ConnectionEvent, FilerPairClient } from '../../client/index.ts';
import { standBy } from './bystander.ts';
import { type HistoryEntry, LINES_FILE, runDirectory } from './history.ts';
import { changeNames, type WorkloadOptions, writeLines } from './workload.ts';

//   node e2e/writer/main.ts URL RUN [PAUSE_MS]
//
// With a pause it is a client that no fault concerns (bystander.ts).
//
// Standard input is the test's hand: a line "mark NAME" puts a mark into the history, the end of input ends the
// run after everything begun has been answered. Exit code 0 after an orderly end, 1 when it could not go on.

/** Between two requests of a loop, by default: a few hundred a second, and gaps are known to a few milliseconds. */
const PAUSE_MS = 2;
/** An ordinary user: the servers must apply the identity. */
const IDENTITY = { uid: 1000, gid: 1000, gids: [] };

const now = () => Number(process.hrtime.bigint() / 1000n) / 1000;
const report = (entry: HistoryEntry) => process.stdout.write(`${JSON.stringify(entry)}\n`);

function noticed(event: ConnectionEvent): void {
  const { kind, atMs: _, ...rest } = event;
  const detail = Object.entries(rest)
    .map(([key, value]) => `${key}=${typeof value === 'number' ? Math.round(value) : value}`)
    .join(' ');
  report({
    kind: 'connection',
    event: kind,
    atMs: now(),
    detail,
    ...('port' in event ? { port: event.port } : {}),
  });
}

async function work(url: string, run: string, pauseMs: number | null): Promise<void> {
  let stopped = false;
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      if (line.startsWith('mark ')) report({ kind: 'mark', name: line.slice(5), atMs: now() });
    })
    .on('close', () => {
      stopped = true;
    });
  const client = new FilerPairClient(url, { identity: IDENTITY });
  client.on('connection', noticed);
  await client.connect();
  await client.mkdir(runDirectory(run));
  const { handle } = await client.lookup(runDirectory(run));
  const options: WorkloadOptions = {
    client,
    run,
    report,
    now,
    pause: () => delay(pauseMs ?? PAUSE_MS),
    stopped: () => stopped,
  };
  try {
    const started = () => report({ kind: 'started', run, atMs: now() });
    const [lines, , bystander] = await Promise.all([
      writeLines(options, started),
      changeNames(options),
      pauseMs === null ? undefined : standBy(client, handle, now, options.stopped),
    ]);
    const sha256 = await readBack(url, run);
    report({ kind: 'finished', atMs: now(), lines, sha256, ...(bystander && { bystander }) });
  } finally {
    stopped = true;
    client.destroy();
  }
}

/** Through a new mount: nothing that this process remembers can answer. */
async function readBack(url: string, run: string): Promise<string> {
  const reader = await FilerPairClient.connect(url, { identity: IDENTITY });
  try {
    const hash = createHash('sha256');
    for await (const part of reader.read(`${runDirectory(run)}/${LINES_FILE}`)) hash.update(part);
    return hash.digest('hex');
  } finally {
    reader.destroy();
  }
}

const [url, run, pause] = process.argv.slice(2);
if (url === undefined || run === undefined) {
  process.stderr.write('usage: node e2e/writer/main.ts URL RUN [PAUSE_MS]\n');
  process.exit(2);
}
try {
  await work(url, run, pause === undefined ? null : Number(pause));
  process.exitCode = 0;
} catch (error) {
  report({ kind: 'failed', message: error instanceof Error ? error.message : String(error), atMs: now() });
  process.exitCode = 1;
}
process.stdin.destroy();
