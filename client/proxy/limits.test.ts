/**
 * The proxy's limits as the machine sees them: resident memory, a small heap, few file descriptors. A process of its own for
 * each, as it runs in production; the servers behind it are away.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, it } from 'vitest';
import { freePorts } from '../../testing/free-ports.ts';
import { pause } from '../../testing/pause.ts';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const each of cleanUp.splice(0).reverse()) await each();
});

interface Proxy {
  readonly port: number;
  readonly process: ChildProcess;
  /** All that it has said. */
  readonly lines: string[];
}

/** `limits`: shell commands before it starts. */
async function proxyWith(limits: string, nodeOptions = ''): Promise<Proxy> {
  const [primary, secondary, port] = await freePorts(3);
  const url = `nfs://127.0.0.1:${primary}:${secondary}/home?failover=127.0.0.1`;
  const command = `${limits} exec ${process.execPath} client/cli/main.ts proxy '${url}' --listen 127.0.0.1:${port}`;
  const child = spawn('bash', ['-c', command], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: nodeOptions },
  });
  cleanUp.push(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  const lines: string[] = [];
  createInterface({ input: child.stderr! }).on('line', (line) => lines.push(line));
  await expect.poll(() => lines.join('\n')).toContain('mount -t nfs');
  return { port: port!, process: child, lines };
}

function residentMiB({ process: { pid } }: Proxy): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024;
}

interface Dialled {
  readonly socket: Socket;
  closed: boolean;
}

async function dial(port: number): Promise<Dialled> {
  const socket = connect(port, '127.0.0.1');
  const dialled: Dialled = { socket, closed: false };
  cleanUp.push(() => socket.destroy());
  const end = () => {
    dialled.closed = true;
  };
  socket.on('error', end);
  socket.on('close', end);
  socket.on('end', end);
  socket.resume();
  await once(socket, 'connect');
  return dialled;
}

/** As many of the smallest legal calls (NULL without credentials) as fit, up to `count`. */
function flood({ socket }: Dialled, count: number): void {
  const BATCH = 1000;
  let xid = 0;
  const more = (): void => {
    while (xid < count && !socket.destroyed) {
      const batch = Buffer.alloc(BATCH * 44);
      for (let i = 0; i < BATCH; i++) {
        const words = [0x8000_0028, ++xid, 0, 2, 100_003, 3, 0, 0, 0, 0, 0];
        for (const [at, word] of words.entries()) batch.writeUInt32BE(word, i * 44 + at * 4);
      }
      if (socket.write(batch)) continue;
      socket.once('drain', more);
      return;
    }
  };
  more();
}

describe.skipIf(process.platform !== 'linux')('the proxy', () => {
  it('takes what it promises of memory, and no heap limit is reached, whatever the calls', async () => {
    const proxy = await proxyWith('', '--max-old-space-size=96');
    const before = residentMiB(proxy);
    const clients = [await dial(proxy.port), await dial(proxy.port)];
    for (const client of clients) flood(client, 400_000);
    let most = 0;
    for (let i = 0; i < 20; i++) {
      await pause(200, 'between two looks at its memory');
      most = Math.max(most, residentMiB(proxy));
    }
    expect(proxy.lines.filter((line) => /FATAL|heap/.test(line))).toEqual([]);
    expect(proxy.process.exitCode).toBe(null);
    expect(clients.map((each) => each.closed)).toEqual([false, false]);
    // Two clients with 16 MiB each, and as much again for garbage that is not collected yet.
    expect(most - before).toBeLessThan(100);
  }, 60_000);

  it('with few file descriptors lets clients wait, and closes no connection', async () => {
    const proxy = await proxyWith('ulimit -n 100;');
    const clients: Dialled[] = [];
    const saidFull = () => proxy.lines.some((line) => line.includes('no room for more'));
    while (clients.length < 60 && !saidFull()) {
      clients.push(await dial(proxy.port));
      await pause(20, 'clients come one by one');
    }
    await expect.poll(saidFull).toBe(true);
    for (let i = 0; i < 60; i++) clients.push(await dial(proxy.port));
    await pause(1000, 'those that do not fit would be closed');
    expect(clients.filter((each) => each.closed).length).toBe(0);
    expect(proxy.process.exitCode).toBe(null);
    for (const { socket } of clients.slice(0, 30)) socket.destroy();
    await expect.poll(() => proxy.lines.some((line) => line.includes('accepted again'))).toBe(true);
  }, 60_000);
});
