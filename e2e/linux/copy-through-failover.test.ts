/**
 * The NFS client of a Linux kernel, which knows nothing of FilerPair, through `filerpair proxy`: a copy goes on while its
 * server is killed, taken over, and given back. It sees a pause, and no error.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { REPOSITORY, readGuestImage } from '../environment.ts';
import { LOCAL_EXPORT, LocalPair } from '../harness/local-pair.ts';
import { step } from '../harness/step.ts';
import { start } from '../machine/command.ts';
import { Guest, HOST_IN_GUEST } from './guest.ts';

/** Small enough for an emulated machine. */
const SIZE = 1024 * 1024;
/** Files that are copied before anything happens to the server, and between two events. */
const FILES = 4;
const COPY_MS_MAX = 240_000;

let pair: LocalPair;
/** The guest copies as long as it is connected. */
let stop: Server;
let proxy: { readonly process: ChildProcess; readonly port: number };
beforeAll(async () => {
  pair = await LocalPair.start();
  proxy = await startProxy(pair.stage.url('filer-a'));
  stop = createServer().listen(0, '127.0.0.1');
  await once(stop, 'listening');
});
afterAll(async () => {
  stop?.close();
  proxy?.process.kill();
  await pair?.stop();
});

test('a copy through the proxy survives the death of its server and the giveback, with every checksum right', async () => {
  const { port: stopPort } = stop.address() as AddressInfo;
  const settings = `HOST=${HOST_IN_GUEST} PORT=${proxy.port} EXPORT=${LOCAL_EXPORT} STOP_PORT=${stopPort} SIZE=${SIZE}\n`;
  const script =
    settings + readFileSync(join(import.meta.dirname, 'scripts/copy-through-failover.sh'), 'utf8');
  const connected = once(stop, 'connection') as Promise<[Socket]>;
  const guest = await Guest.boot(readGuestImage(), script);
  const copied = () => guest.output().match(/^COPIED /gm)?.length ?? 0;
  const copiesMore = () => guest.says(`COPIED ${copied() + FILES}\n`, COPY_MS_MAX);
  try {
    await step('the guest copies', copiesMore);
    await step('the server process is killed', () => pair.stage.kill('filer-a'));
    await step('its partner serves', () => pair.servedBy('filer-a', 'filer-b'));
    await step('the copy goes on', copiesMore);
    await step('the server comes back and takes its disk set back', () => pair.giveBack('filer-a'));
    await step('the copy goes on again', copiesMore);
    const [connection] = await connected;
    connection.end();
    const code = await step('the copy ends', () => guest.exitCode(COPY_MS_MAX));
    expect(guest.output()).toContain('CHECKSUMS RIGHT');
    expect(code, guest.output()).toBe(0);
    expect(readdirSync(join(pair.stage.volume('filer-a'), 'copy'))).toHaveLength(copied());
  } finally {
    await guest.discard();
  }
});

/** Starts `filerpair proxy` on a port that the kernel chooses, as a user would. */
async function startProxy(url: string): Promise<{ process: ChildProcess; port: number }> {
  const node = join(REPOSITORY, 'node_modules/.bin/node');
  const child = start([node, 'client/cli/main.ts', 'proxy', url, '--listen', '127.0.0.1:0'], {
    cwd: REPOSITORY,
  });
  let said = '';
  const port = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stderr! }).on('line', (line) => {
      said += `${line}\n`;
      const found = / on 127\.0\.0\.1:(\d+)$/.exec(line)?.[1];
      if (found !== undefined) resolve(found);
    });
    child.on('close', () => reject(new Error(`the proxy has ended: ${said}`)));
  });
  return { process: child, port: Number(port) };
}
