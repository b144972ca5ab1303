/**
 * How little processor time does a pair stand? Both servers and their sentinels share a part of one processor, less and less of
 * it, while clients change both disk sets.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { changeOwn, Pair, type Running, type Server, servers } from '../../fileserver/agent/pair.fixture.ts';
import { ProcessorLimit } from './processor-limit.ts';

// A pair that gets little time may miss heartbeats, renew alone and stop serving; it may not end both halves.
//
//   node e2e/starvation/main.ts [--seconds 10] [--shares 1,0.5,0.3,0.2,0.15,0.12,0.1,0.08,0.06]
//
// Prints a line for each share: calls answered, throttled periods, what each server says, and who has ended, with its signal. Exit
// code 1 if both servers have ended at one share, or if the pair does not serve again with all the time that there is.

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    shares: { type: 'string', default: '1,0.5,0.3,0.2,0.15,0.12,0.1,0.08,0.06' },
  },
});

/** As in production; those of the tests are longer. */
const TIMING = { leaseMs: 2000, guardMs: 500, heartbeatMs: 200 };
const CLIENTS_PER_SERVER = 4;
/** Between two tries of a client that was not answered. */
const AGAIN_MS = 50;

class Load {
  answered = 0;
  #over = false;
  readonly #clients: Promise<void>[];

  constructor(pair: Pair) {
    this.#clients = servers.flatMap((server) =>
      Array.from({ length: CLIENTS_PER_SERVER }, () => this.#client(pair.ports[server].primary)),
    );
  }

  async #client(port: number): Promise<void> {
    while (!this.#over) {
      const answered = await Promise.race([
        changeOwn(port)
          .then(() => true)
          .catch(() => false),
        delay(5000, false),
      ]);
      if (answered) this.answered += 1;
      else await delay(AGAIN_MS);
    }
  }

  async end(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#clients);
  }
}

async function says(pair: Pair, server: Server): Promise<string> {
  const status = await Promise.race([pair.status(server), delay(3000, null)]);
  const sets = status?.diskSets.filter(({ role }) => role === 'holder') ?? [];
  const told = sets.map(
    ({ home, phase, acknowledger }) => `${home} ${phase}${acknowledger === null ? ' alone' : ''}`,
  );
  return `${server}: ${status === null ? 'no answer' : told.join(', ') || 'serves nothing'}`;
}

async function main(): Promise<void> {
  const limit = ProcessorLimit.make();
  if (limit === null) {
    console.log('skipped: needs root, and control groups for processor time');
    return;
  }
  const pair = await Pair.create(() => ({ timing: TIMING }));
  const running = new Map<Server, Running>();
  const ended: { server: Server; how: string }[] = [];
  const start = (server: Server): void => {
    const one = pair.startServer(server);
    running.set(server, one);
    limit.add(one.child.pid!);
    void one.ended.then(({ code, signal }) => {
      running.delete(server);
      ended.push({ server, how: signal ?? `code ${code}` });
    });
  };
  try {
    for (const server of servers) limit.add(pair.startSentinel(server).child.pid!);
    for (const server of servers) start(server);
    await pair.paired();
    const load = new Load(pair);
    for (const share of values.shares.split(',').map(Number)) {
      const [before, throttledBefore] = [load.answered, limit.throttled];
      limit.set(share);
      await delay(Number(values.seconds) * 1000);
      const throttled = limit.throttled - throttledBefore;
      const told = await Promise.all(servers.map((server) => says(pair, server)));
      const gone = ended.splice(0);
      const lost = gone.map(({ server, how }) => `${server} ended (${how})`);
      console.log(
        `${share} of a processor: ${load.answered - before} changes, throttled ${throttled} times; ${[...told, ...lost].join('; ')}`,
      );
      if (new Set(gone.map(({ server }) => server)).size === servers.length) {
        console.log('both halves of the pair have ended');
        process.exitCode = 1;
        break;
      }
      for (const server of servers) if (!running.has(server)) start(server);
    }
    limit.set(null);
    for (const server of servers) if (!running.has(server)) start(server);
    await load.end();
    await served(pair);
    console.log('with all the time that there is, both disk sets are served');
  } finally {
    await pair.stop();
    await limit.remove();
  }
}

/** Either server may serve either disk set. */
async function served(pair: Pair): Promise<void> {
  for (const until = performance.now() + 60_000; ; await delay(200)) {
    const told = await Promise.all(servers.map((server) => pair.status(server)));
    const open = told.flatMap((status) => status?.diskSets.filter(({ phase }) => phase === 'open') ?? []);
    if (servers.every((home) => open.some((one) => one.home === home))) return;
    if (performance.now() > until) throw new Error('a disk set is not served again');
  }
}

await main();
