/** Library, command line and proxy on a real pair: two servers, two sentinels, real directories, real failovers. */

import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ServerName, Stage } from '../demo/stage.ts';
import { NFS3ERR_EXIST, NFS3ERR_NOT_SYNC } from '../protocol/nfs3.ts';
import { program } from '../testing/program.ts';
import { type ConnectionEvent, FilerPairClient } from './index.ts';
import { TestPair } from './pair.fixture.ts';
import { NfsProxy } from './proxy/proxy.ts';
import { parseNfsUrl } from './url.ts';

let pair: TestPair;
let stage: Stage;
let url: string;

beforeAll(async () => {
  pair = await TestPair.start();
  ({ stage } = pair);
  url = pair.url();
}, 90_000);

afterAll(() => pair?.stop(), 60_000);

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function filerpair(...args: string[]): Promise<Outcome> {
  const main = program(new URL('./cli/main.ts', import.meta.url));
  return new Promise((resolve) => {
    // A dozen starts of the same program: it need not be compiled anew each time.
    const env = { ...process.env, NODE_COMPILE_CACHE: join(pair.directory, 'compiled') };
    execFile(
      process.execPath,
      [main, ...args],
      { maxBuffer: 64 * 1024 * 1024, env },
      (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
      },
    );
  });
}

async function connected(): Promise<{ client: FilerPairClient; events: ConnectionEvent[] }> {
  const events: ConnectionEvent[] = [];
  const client = new FilerPairClient(url);
  client.on('connection', (event) => events.push(event));
  await client.connect();
  return { client, events };
}

describe('the library', () => {
  it('creates as guarded as it is told to', async () => {
    const { client } = await connected();
    const { nfs, root } = client;
    const { attributes, handle } = await nfs.create(root, 'guarded', 'Guarded', { mode: 0o600 });
    const again = (how: 'Guarded' | 'Exclusive') => nfs.create(root, 'guarded', how);
    await expect(again('Guarded')).rejects.toMatchObject({ status: NFS3ERR_EXIST });
    await expect(again('Exclusive')).rejects.toMatchObject({ status: NFS3ERR_EXIST });
    await nfs.create(root, 'guarded', 'Unchecked');
    const exclusive = await nfs.create(root, 'exclusive', 'Exclusive', { mode: 0o604 });
    expect(exclusive.attributes.mode).toBe(0o604);
    const stale = { seconds: attributes.ctime.seconds - 1, nseconds: 0 };
    const outdated = client.nfs.setattr(handle, { mode: 0o644 }, stale);
    await expect(outdated).rejects.toMatchObject({ status: NFS3ERR_NOT_SYNC });
    await client.close();
  });

  it('gives up where it is told to, and says what it tried', async () => {
    const nobody = FilerPairClient.connect('nfs://127.0.0.1:1:2/home?failover=127.0.0.1', {
      timeoutMs: 300,
    });
    await expect(nobody).rejects.toThrow(
      '127.0.0.1:1 refused the connection; 127.0.0.1:2 refused the connection',
    );
    const wrong = FilerPairClient.connect(url.replace('/home', '/nothing'));
    await expect(wrong).rejects.toThrow('/nothing is not exported; the server exports /home');
  });
});

describe('the command line', () => {
  it('copies a tree there and back', async () => {
    const local = join(pair.directory, 'local.bin');
    writeFileSync(local, randomBytes(5_000_000));
    expect(await filerpair('mkdir', '-p', pair.url('cli/tree/empty'))).toMatchObject({ code: 0 });
    expect(await filerpair('put', local, pair.url('cli/tree'))).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^4\.8 MiB in [\d.]+ m?s\n$/),
    });
    expect((await filerpair('ls', pair.url('cli/tree'))).stdout).toBe('empty\nlocal.bin\n');
    expect((await filerpair('ls', '-l', pair.url('cli/tree'))).stdout).toMatch(
      /-rw-r--r-- +1 .* 5000000 .* local\.bin\n/,
    );
    expect((await filerpair('stat', pair.url('cli/tree/local.bin'))).stdout).toMatch(
      /size +5000000 \(4\.8 MiB/,
    );
    const copy = join(pair.directory, 'copy');
    expect(await filerpair('cp', '-r', pair.url('cli/tree'), copy)).toMatchObject({ code: 0 });
    expect(readFileSync(join(copy, 'local.bin')).equals(readFileSync(local))).toBe(true);
    expect(await filerpair('mv', pair.url('cli/tree/local.bin'), pair.url('cli/moved'))).toMatchObject({
      code: 0,
    });
    expect((await filerpair('cat', pair.url('cli/moved'))).stdout.length).toBeGreaterThan(1_000_000);
    expect(await filerpair('rm', '-r', pair.url('cli'))).toMatchObject({ code: 0 });
    expect(await filerpair('ls', pair.url('cli'))).toMatchObject({ code: 1 });
  }, 90_000);

  it('names thing, cause and way out, with an exit code for each kind of failure', async () => {
    const missing = await filerpair('cat', pair.url('nope'));
    expect(missing.code).toBe(1);
    expect(missing.stderr).toBe('filerpair: /home/nope: no such file or directory (NFS3ERR_NOENT)\n');
    await filerpair('mkdir', pair.url('a-directory'));
    const directoryKept = await filerpair('rm', pair.url('a-directory'));
    expect(directoryKept.stderr).toBe('filerpair: /home/a-directory is a directory: remove it with -r\n');
    const wrongOption = await filerpair('ls', '--sideways', pair.url(''));
    expect(wrongOption.code).toBe(2);
    expect(wrongOption.stderr).toContain('usage: filerpair ls');
    expect((await filerpair('put', 'x', 'y')).stderr).toContain('y is no nfs:// URL');
    expect((await filerpair('frobnicate')).code).toBe(2);
    const refused = await filerpair('giveback', '--control', stage.controlSocket('filer-b'));
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/^filerpair: giveback refused: .+/);
    const nowhere = await filerpair('status', '--control', join(pair.directory, 'nothing.sock'));
    expect(nowhere.stderr).toContain('name the control.sock in the runDir');
  }, 90_000);

  it('shows who serves what', async () => {
    const { stdout } = await filerpair('status', '--control', stage.controlSocket('filer-a'));
    expect(stdout).toMatch(/^server filer-a {2}\(filer-a\//);
    expect(stdout).toMatch(/partner filer-b {2}\(filer-b\//);
    expect(stdout).toMatch(
      new RegExp(`filer-a +filer-a +\\d+ +open +${stage.primaryPort('filer-a')} +\\d+ ms`),
    );
    expect(stdout).toMatch(/filer-b +filer-b +\d+ +\w+ +closed +-/);
  });
});

/** Writes a file in pieces through whatever happens, and returns its digest. */
async function writeThrough(client: FilerPairClient, path: string, until: Promise<unknown>): Promise<string> {
  const digest = createHash('sha256');
  const { writer } = await client.open(path, 'wx');
  let over = false;
  void until.finally(() => {
    over = true;
  });
  let offset = 0;
  for (let piece = 0; !over || piece < 20; piece++) {
    const data = randomBytes(100_000);
    digest.update(data);
    await writer.write(offset, data);
    offset += data.length;
    if (piece % 5 === 4) await writer.commit();
  }
  await writer.commit();
  return digest.digest('hex');
}

function digestOf(path: string, home: ServerName): string {
  return createHash('sha256')
    .update(readFileSync(join(stage.volume(home), path)))
    .digest('hex');
}

describe('a failover', () => {
  it('by command, there and back, is not noticed by files being written, by the library or through the proxy', async () => {
    const parsed = parseNfsUrl(url);
    if (!parsed.ok) throw new Error(parsed.reason);
    const proxy = await NfsProxy.listen({ endpoints: parsed.url.endpoints, host: '127.0.0.1', port: 0 });
    const { client, events } = await connected();
    const proxiedEvents: ConnectionEvent[] = [];
    const proxied = new FilerPairClient(`nfs://127.0.0.1:${proxy.port}/home`);
    proxied.on('connection', (event) => proxiedEvents.push(event));
    await proxied.connect();
    const transitions = (async () => {
      await pair.covered();
      const over = await filerpair(
        'takeover',
        '--control',
        stage.controlSocket('filer-a'),
        '--reason',
        'test',
      );
      expect(over).toMatchObject({ code: 0, stderr: '' });
      await pair.serves('filer-b', 'filer-a');
      await stage.waitFor('the client is there', async () => (client.port === 'secondary' ? true : null));
      await pair.covered();
      const back = await filerpair('giveback', '--control', stage.controlSocket('filer-b'));
      expect(back).toMatchObject({ code: 0, stderr: '' });
      await pair.serves('filer-a', 'filer-a');
    })();
    const [direct, through] = await Promise.all([
      writeThrough(client, 'direct', transitions),
      writeThrough(proxied, 'through-the-proxy', transitions),
      transitions,
    ]);
    expect(client.port).toBe('primary');
    expect(digestOf('direct', 'filer-a')).toBe(direct);
    expect(digestOf('through-the-proxy', 'filer-a')).toBe(through);
    const ports = events.flatMap((each) => (each.kind === 'Adopted' ? [each.port] : []));
    expect(ports).toEqual(['primary', 'secondary', 'primary']);
    // The proxy never closes its client's connection.
    expect(proxiedEvents.filter((each) => each.kind === 'Lost')).toEqual([]);
    await client.close();
    await proxied.close();
    await proxy.close();
  }, 120_000);

  it('never brings back through one handle what another has replaced', async () => {
    const { client } = await connected();
    const [one, two] = [await client.open('two-handles', 'wx'), await client.open('two-handles', 'r+')];
    const answered = new Promise<void>((resolve) => {
      client.on('call', ({ name }) => name === 'WRITE' && resolve());
    });
    await one.write('OLD, and more', 0);
    await answered;
    await pair.covered();
    stage.kill('filer-a');
    await pair.serves('filer-b', 'filer-a');
    await two.write('NEW', 0);
    await two.close();
    // The write verifier of the first write is not that of the server that answers this COMMIT.
    await one.sync();
    expect(one.writer.rewritten).toBeGreaterThan(0);
    await one.close();
    expect(await client.readFile('two-handles', 'utf8')).toBe('NEW, and more');
    await client.close();
    stage.startServer('filer-a');
    await pair.covered();
    const back = await filerpair('giveback', '--control', stage.controlSocket('filer-b'));
    expect(back).toMatchObject({ code: 0, stderr: '' });
    await pair.serves('filer-a', 'filer-a');
  }, 120_000);

  it('after a server has frozen in the middle of its work is survived too', async () => {
    await pair.covered();
    const { client, events } = await connected();
    const { handle } = await client.nfs.mkdir(client.root, 'frozen', { mode: 0o755 });
    let made = 0;
    let over = false;
    const working = (async () => {
      for (; !over || made < 50; made++) await client.nfs.mkdir(handle, `d${made}`);
    })();
    await stage.waitFor('some work', async () => (made > 20 ? true : null));
    stage.freeze('filer-a');
    await stage.waitFor('the partner serves the client', async () =>
      client.port === 'secondary' ? true : null,
    );
    over = true;
    await working;
    // Each MKDIR was executed once: a second execution would have been answered NFS3ERR_EXIST.
    expect((await client.readdir('frozen')).length).toBe(made);
    expect(events.some((each) => each.kind === 'Adopted' && each.port === 'secondary')).toBe(true);
    await expect(client.nfs.mkdir(handle, 'd0')).rejects.toMatchObject({ status: NFS3ERR_EXIST });
    await client.close();
    stage.kill('filer-a');
  }, 60_000);
});
