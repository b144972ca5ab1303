/** The process as an administrator or a kubelet sees it: exit codes and sentences. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { program } from '../testing/program.ts';
import { certificateFiles } from './interconnect/certificates.fixture.ts';

const directory = mkdtempSync(join(tmpdir(), 'filerpair-main-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const diskSet = { volumes: [{ name: 'data', path: '/nowhere' }], exports: [] };
const valid = {
  pair: 'home',
  server: 'filer-a',
  partner: 'filer-b',
  partnerAddress: { host: '127.0.0.1' },
  runDir: join(directory, 'run'),
  tls: certificateFiles(directory, 'filer-a', 'filer-b'),
  witness: { kind: 'embedded', directory: join(directory, 'witness') },
  diskSets: { 'filer-a': diskSet, 'filer-b': diskSet },
};

async function run(
  config: unknown,
  env: Record<string, string> = {},
): Promise<{ code: number; text: string }> {
  const file = join(directory, 'config.json');
  writeFileSync(file, typeof config === 'string' ? config : JSON.stringify(config));
  const child = spawn(process.execPath, [program(new URL('./main.ts', import.meta.url)), '--config', file], {
    env: { ...process.env, ...env },
  });
  let text = '';
  child.stderr.on('data', (data: Buffer) => {
    text += data.toString();
  });
  const [code] = await once(child, 'close');
  return { code, text: text.replaceAll(file, 'FILE') };
}

it('ends with code 2 and one sentence for a configuration that is wrong, without a stack', async () => {
  expect(await run({ ...valid, partner: 'filer-a' })).toEqual({
    code: 2,
    text: 'filerpair server: FILE: partner is "filer-a", like server: a pair is two servers (and 1 more to mend).\n',
  });
  const { code, text } = await run('{');
  expect(code).toBe(2);
  expect(text).toMatch(/^filerpair server: FILE is not JSON: .*\.\n$/);
});

it('names the environment variable that is wrong or missing', async () => {
  expect(await run(valid, { POD_IP: 'here' })).toEqual({
    code: 2,
    text: 'filerpair server: POD_IP is "here", and must be an IP address.\n',
  });
  const witness = {
    kind: 'kubernetes',
    namespace: 'storage',
    leases: { 'filer-a': 'home-filer-a', 'filer-b': 'home-filer-b' },
    failoverEndpointSlice: 'filer-b-failover',
  };
  expect(await run({ ...valid, witness })).toEqual({
    code: 2,
    text:
      'filerpair server: witness.failoverEndpointSlice is "filer-b-failover", ' +
      'so POD_IP must be set: it goes in there.\n',
  });
  const outside = await run({ ...valid, witness }, { POD_IP: '10.0.0.1' });
  expect(outside).toEqual({ code: 2, text: expect.stringContaining('KUBERNETES_SERVICE_HOST') });
});

it('names the address that it cannot have', async () => {
  const taken = await run({ ...valid, listen: { host: '203.0.113.1' } });
  expect(taken).toEqual({
    code: 2,
    text: 'filerpair server: listen EADDRNOTAVAIL: address not available 203.0.113.1:9090\n',
  });
});

it('ends before it owns anything if its metrics port or its control socket cannot be had', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  const listen = { host: '127.0.0.1', primary: 0, secondary: 0, interconnect: 0, metrics: port };
  const volume = join(directory, 'data');
  mkdirSync(volume);
  const diskSet = { volumes: [{ name: 'data', path: volume }], exports: [] };
  const config = { ...valid, listen, diskSets: { 'filer-a': diskSet, 'filer-b': diskSet } };
  const inUse = `filerpair server: listen EADDRINUSE: address already in use 127.0.0.1:${port}\n`;
  expect(await run(config)).toEqual({ code: 2, text: inUse });
  expect(existsSync(config.witness.directory)).toBe(false);
  taken.close();
  // A directory cannot be removed as an old socket can.
  rmSync(join(config.runDir, 'control.sock'), { force: true });
  mkdirSync(join(config.runDir, 'control.sock'));
  expect(await run({ ...config, listen: { ...listen, metrics: 0 } })).toMatchObject({ code: 2 });
  expect(existsSync(config.witness.directory)).toBe(false);
});

const CAP_SYS_RESOURCE = 24n;

/** Whether this thread has what a file system reserves for root, and passes quotas. */
function hasCapability(status: string): boolean {
  const [, effective = '0'] = /CapEff:\s+(\w+)/.exec(readFileSync(status, 'utf8')) ?? [];
  return ((BigInt(`0x${effective}`) >> CAP_SYS_RESOURCE) & 1n) === 1n;
}

// Where this process lacks it the server never had it.
it.skipIf(!hasCapability('/proc/self/status'))(
  'gives up CAP_SYS_RESOURCE in every thread of its own, also where nobody has taken it from root',
  async () => {
    const volume = join(directory, 'own-data');
    mkdirSync(volume);
    const listen = { host: '127.0.0.1', primary: 0, secondary: 0, interconnect: 0, metrics: 0 };
    const set = { volumes: [{ name: 'data', path: volume }], exports: [] };
    const runDir = join(directory, 'own-run');
    const diskSets = { 'filer-a': set, 'filer-b': set };
    const file = join(directory, 'own.json');
    writeFileSync(file, JSON.stringify({ ...valid, listen, runDir, diskSets }));
    const main = program(new URL('./main.ts', import.meta.url));
    const child = spawn(process.execPath, [main, '--config', file], { stdio: 'ignore' });
    try {
      await expect.poll(() => existsSync(join(runDir, 'control.sock'))).toBe(true);
      const tasks = `/proc/${child.pid}/task`;
      const privileged = readdirSync(tasks)
        .filter((task) => hasCapability(`${tasks}/${task}/status`))
        .map((task) => readFileSync(`${tasks}/${task}/comm`, 'utf8').trim());
      // V8's helpers are older than any program, and call nothing of a file system.
      expect(privileged.filter((name) => !/^(V8|DelayedTask|SignalInspector)/.test(name))).toEqual([]);
      expect(hasCapability(`${tasks}/${child.pid}/status`)).toBe(false);
    } finally {
      if (child.exitCode === null) {
        child.kill('SIGKILL');
        await once(child, 'close');
      }
    }
  },
);

it.each(['main.ts', 'sentinel/main.ts'])('%s on another system says what it needs', async (program) => {
  const elsewhere = 'data:text/javascript,Object.defineProperty(process, "platform", { value: "darwin" })';
  const path = new URL(program, import.meta.url).pathname;
  const child = spawn(process.execPath, ['--import', elsewhere, path, '--config', 'none']);
  let text = '';
  child.stderr.on('data', (data: Buffer) => {
    text += data.toString();
  });
  expect(await once(child, 'close')).toEqual([2, null]);
  expect(text).toMatch(
    /^filerpair: the file server and its sentinel need Linux, and this is darwin: [^\n]*\n$/,
  );
});
