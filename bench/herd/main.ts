/**
 * Thousands of clients of one server that is killed: how long until the partner has served each of them, from the moment in which
 * it opens its secondary port. Real connections, as many as the limit of open files (ulimit -n) lets a process have. A server
 * gives a third of it to connections, and eight ninths of these to one address.
 */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Stage } from '../../demo/stage.ts';
import type { Status } from '../../fileserver/agent/status.ts';
import { bootMs } from '../../fileserver/system/boottime.ts';
import { CallConnection } from '../generator/call-connection.ts';
import { mountExport, rootCredential } from '../generator/stage.ts';
import type { FromHerd, HerdFigures, HerdRequest, ToHerd } from './messages.ts';

// So 10,000 take `ulimit -n 35000`, and with 20,000 it is 5,800. simulation/herd.test.ts goes beyond.
//
//   node bench/herd/main.ts [--clients 10000] [--processes 4]
//
// Each client has a connection of its own and makes a call when it has lost its server. Writes out/herd.json.

const { values } = parseArgs({
  options: { clients: { type: 'string', default: '10000' }, processes: { type: 'string', default: '4' } },
});
const CLIENTS = Number(values.clients);
const PROCESSES = Number(values.processes);

class Herd {
  readonly #child = fork(new URL('clients.ts', import.meta.url).pathname);

  async #answer<K extends FromHerd['kind']>(kind: K): Promise<Extract<FromHerd, { kind: K }>> {
    for (;;) {
      const [message] = (await once(this.#child, 'message')) as [FromHerd];
      if (message.kind === kind) return message as Extract<FromHerd, { kind: K }>;
    }
  }

  #tell(message: ToHerd): void {
    this.#child.send(message);
  }

  async connect(request: HerdRequest): Promise<void> {
    const connected = this.#answer('connected');
    this.#tell({ kind: 'start', request });
    await connected;
  }

  async watch(): Promise<HerdFigures> {
    const served = this.#answer('served');
    this.#tell({ kind: 'watch' });
    return (await served).figures;
  }

  end(): void {
    this.#child.kill();
  }
}

async function rootOf(port: number): Promise<readonly number[]> {
  const connection = await CallConnection.open('127.0.0.1', port, rootCredential);
  const root = await mountExport(connection, '/home');
  connection.close();
  return [...root];
}

function ready(status: Status | null): true | null {
  const local = status?.diskSets.find(({ home }) => home === status.server);
  return local?.port && local.acknowledger !== null && status?.sentinel.watching ? true : null;
}

/** ms of CLOCK_BOOTTIME at which the secondary port answered for the first time: connections wait for that. */
function openedAt(status: Status | null): number | null {
  const taken = status?.lastTransition;
  if (taken?.kind !== 'Takeover') return null;
  const replay = taken.phases.find(({ name }) => name === 'replay');
  return replay === undefined ? null : taken.startedBootMs + replay.atMs + replay.tookMs;
}

async function measure(stage: Stage, herds: readonly Herd[]): Promise<object> {
  for (const name of ['filer-a', 'filer-b'] as const) {
    stage.startSentinel(name);
    stage.startServer(name);
    await stage.waitFor(`the start of ${name}`, async () =>
      (await stage.status(name)) === null ? null : true,
    );
  }
  for (const name of ['filer-a', 'filer-b'] as const)
    await stage.waitFor(`${name} and its partner`, async () => ready(await stage.status(name)));
  const request: HerdRequest = {
    clients: Math.ceil(CLIENTS / PROCESSES),
    primaryPort: stage.primaryPort('filer-a'),
    secondaryPort: stage.secondaryPort('filer-a'),
    root: await rootOf(stage.primaryPort('filer-a')),
  };
  await Promise.all(herds.map((herd) => herd.connect(request)));
  console.log(`${request.clients * PROCESSES} clients are connected to filer-a`);
  const all = Promise.all(herds.map((herd) => herd.watch()));
  const killedAtMs = bootMs();
  stage.kill('filer-a');
  const figures = await all;
  const openedAtMs = await stage.waitFor('the takeover', async () => openedAt(await stage.status('filer-b')));
  const afterMs = figures
    .flatMap(({ servedAtMs }) => servedAtMs)
    .map((ms) => ms - openedAtMs)
    .sort((one, other) => one - other);
  const at = (part: number): number => Math.round(afterMs[Math.floor((afterMs.length - 1) * part)]!);
  return {
    clients: afterMs.length,
    openedAfterMs: Math.round(openedAtMs - killedAtMs),
    servedAfterOpeningMs: { p50: at(0.5), p99: at(0.99), last: at(1) },
    attemptsEach: figures.reduce((sum, { attempts }) => sum + attempts, 0) / afterMs.length,
  };
}

const directory = mkdtempSync(join(tmpdir(), 'filerpair-herd-'));
const stage = await Stage.build(directory);
const herds = Array.from({ length: PROCESSES }, () => new Herd());
try {
  const figures = await measure(stage, herds);
  const out = new URL('../../out/', import.meta.url);
  mkdirSync(out, { recursive: true });
  writeFileSync(new URL('herd.json', out), `${JSON.stringify(figures, null, 2)}\n`);
  console.log(JSON.stringify(figures));
} finally {
  for (const herd of herds) herd.end();
  await stage.stop();
  rmSync(directory, { recursive: true, force: true });
}
