// Library, command line and proxy on a real pair: two servers, two sentinels, real directories, real failovers.
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SERVERS, type ServerName, Stage } from '../demo/stage.ts';
import { NF3LNK, NFS3ERR_EXIST, NFS3ERR_NOT_SYNC, NFS3ERR_NOTEMPTY } from '../protocol/nfs3.ts';
import { type ConnectionEvent, FilerPairClient } from './index.ts';
import { NfsProxy } from './proxy/proxy.ts';
import { parseNfsUrl } from './url.ts';

const directory = mkdtempSync(join(tmpdir(), 'filerpair-client-'));
let stage: Stage;
let url: string;

beforeAll(async () => {
  stage = await Stage.build(join(directory, 'pair'));
  for (const name of SERVERS) {
    stage.startSentinel(name);
    stage.startServer(name);
  }
  for (const name of SERVERS) await serves(name, name);
  await covered();
  url = stage.url('filer-a');
}, 90_000);

afterAll(async () => {
  await stage?.stop();
  rmSync(directory, { recursive: true, force: true });
}, 60_000);

function serves(owner: ServerName, home: ServerName): Promise<unknown> {
  return stage.waitFor(`${owner} serves the disks of ${home}`, async () => {
    const set = (await stage.status(owner))?.diskSets.find((each) => each.home === home);
    return set?.owner === owner && set.port ? set : null;
  });
}

/** Both servers confirm each other: a failover would work now, and a hand-over is not refused. */
function covered(): Promise<unknown> {
  return stage.waitFor('both servers confirm each other', async () => {
    const [a, b] = await Promise.all([stage.status('filer-a'), stage.status('filer-b')]);
    if (!a || !b || !a.sentinel.watching || !b.sentinel.watching) return null;
    const mutual = (owner: typeof a, partner: typeof a) =>
      owner.diskSets.every(
        (each) => each.owner !== owner.server || each.acknowledger === partner.incarnation,
      );
    return mutual(a, b) && mutual(b, a) ? true : null;
  });
}

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function filerpair(...args: string[]): Promise<Outcome> {
  const main = new URL('./cli/main.ts', import.meta.url).pathname;
  return new Promise((resolve) => {
    // A dozen starts of the same program: it need not be compiled anew each time.
    const env = { ...process.env, NODE_COMPILE_CACHE: join(directory, 'compiled') };
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

/** A URL below the export. */
function at(path: string): string {
  return url.replace('/home?', `/home/${path}?`);
}

async function connected(): Promise<{ client: FilerPairClient; events: ConnectionEvent[] }> {
  const events: ConnectionEvent[] = [];
  const client = await FilerPairClient.connect(url, { onEvent: (event) => events.push(event) });
  return { client, events };
}

describe('the library', () => {
  it('makes, writes, reads, renames, links and removes', async () => {
    const { client } = await connected();
    await client.mkdirs('lib/deep/er');
    await client.mkdirs('lib/deep/er');
    const contents = randomBytes(3_000_001);
    await client.writeFile('lib/deep/data', contents);
    expect((await client.readFile('lib/deep/data')).equals(contents)).toBe(true);
    const part = await client.read('lib/deep/data', { offset: 1_000_000, length: 5 }).next();
    expect(Buffer.from(part.value!)).toEqual(contents.subarray(1_000_000, 1_000_005));
    await client.rename('lib/deep/data', 'lib/moved');
    await client.link('lib/moved', 'lib/second');
    expect((await client.stat('lib/second')).nlink).toBe(2);
    await client.setattr('lib/moved', { size: 3, mode: 0o640 });
    expect(await client.stat('lib/second')).toMatchObject({ size: 3, mode: 0o640 });
    const names = (await client.readdir('lib')).map((each) => each.name).sort();
    expect(names).toEqual(['deep', 'moved', 'second']);
    await expect(client.rmdir('lib/deep')).rejects.toMatchObject({ status: NFS3ERR_NOTEMPTY });
    await client.remove('lib/second');
    expect(await client.find('lib/second')).toBeNull();
    await expect(client.stat('lib/second')).rejects.toThrow('/home/lib/second: no such file or directory');
    expect((await client.fsstat()).tbytes).toBeGreaterThan(0);
    client.close();
  });

  it('follows symbolic links inside the export, and says when one leaves it', async () => {
    const { client } = await connected();
    await client.mkdirs('links/dir');
    await client.writeFile('links/dir/file', 'found');
    const links = {
      up: '../links/dir/file',
      over: 'dir',
      absolute: '/home/links/dir/file',
      out: '/etc/passwd',
    };
    for (const [name, target] of Object.entries({ ...links, loop: 'loop' }))
      await client.symlink(target, `links/${name}`);
    for (const path of ['links/up', 'links/over/file', 'links/absolute', 'links/over/../over/file']) {
      expect((await client.readFile(path)).toString(), path).toBe('found');
    }
    await expect(client.stat('links/out')).rejects.toThrow('leaves /home');
    await expect(client.stat('links/loop')).rejects.toThrow('symbolic links in a row');
    expect((await client.lstat('links/out')).type).toBe(NF3LNK);
    expect(await client.readlink('links/out')).toBe('/etc/passwd');
    client.close();
  });

  it('creates as guarded as it is told to', async () => {
    const { client } = await connected();
    const { attributes, handle } = await client.create('guarded', 'Guarded', { mode: 0o600 });
    await expect(client.create('guarded', 'Guarded')).rejects.toMatchObject({ status: NFS3ERR_EXIST });
    await expect(client.create('guarded', 'Exclusive')).rejects.toMatchObject({ status: NFS3ERR_EXIST });
    await client.create('guarded', 'Unchecked');
    const exclusive = await client.create('exclusive', 'Exclusive', { mode: 0o604 });
    expect(exclusive.attributes.mode).toBe(0o604);
    const stale = { seconds: attributes.ctime.seconds - 1, nseconds: 0 };
    const outdated = client.nfs.setattr(handle, { mode: 0o644 }, stale);
    await expect(outdated).rejects.toMatchObject({ status: NFS3ERR_NOT_SYNC });
    client.close();
  });

  it('lists a directory that does not fit into one reply', async () => {
    const { client } = await connected();
    const { handle } = await client.mkdir('many');
    const names = Array.from({ length: 1500 }, (_, i) => `a-file-with-a-rather-long-name-${i}`).sort();
    await Promise.all(names.map((name) => client.nfs.create(handle, name, 'Guarded')));
    expect((await client.readdir('many')).map((each) => each.name).sort()).toEqual(names);
    client.close();
  });

  it('gives up where it is told to, and says what it tried', async () => {
    const nobody = FilerPairClient.connect('nfs://127.0.0.1:1:2/home?failover=127.0.0.1', { timeoutMs: 300 });
    await expect(nobody).rejects.toThrow(
      '127.0.0.1:1 refused the connection; 127.0.0.1:2 refused the connection',
    );
    const wrong = FilerPairClient.connect(url.replace('/home', '/nothing'));
    await expect(wrong).rejects.toThrow('/nothing is not exported; the server exports /home');
  });
});

describe('the command line', () => {
  it('copies a tree there and back', async () => {
    const local = join(directory, 'local.bin');
    writeFileSync(local, randomBytes(5_000_000));
    expect(await filerpair('mkdir', '-p', at('cli/tree/empty'))).toMatchObject({ code: 0 });
    expect(await filerpair('put', local, at('cli/tree'))).toMatchObject({ code: 0, stderr: '' });
    expect((await filerpair('ls', at('cli/tree'))).stdout).toBe('empty\nlocal.bin\n');
    expect((await filerpair('ls', '-l', at('cli/tree'))).stdout).toMatch(
      /-rw-r--r-- +1 .* 5000000 .* local\.bin\n/,
    );
    expect((await filerpair('stat', at('cli/tree/local.bin'))).stdout).toMatch(/size +5000000 \(4\.8 MiB/);
    const copy = join(directory, 'copy');
    expect(await filerpair('cp', '-r', at('cli/tree'), copy)).toMatchObject({ code: 0 });
    expect(readFileSync(join(copy, 'local.bin')).equals(readFileSync(local))).toBe(true);
    expect(await filerpair('mv', at('cli/tree/local.bin'), at('cli/moved'))).toMatchObject({ code: 0 });
    expect((await filerpair('cat', at('cli/moved'))).stdout.length).toBeGreaterThan(1_000_000);
    expect(await filerpair('rm', '-r', at('cli'))).toMatchObject({ code: 0 });
    expect(await filerpair('ls', at('cli'))).toMatchObject({ code: 1 });
  }, 90_000);

  it('names thing, cause and way out, with an exit code for each kind of failure', async () => {
    const missing = await filerpair('cat', at('nope'));
    expect(missing.code).toBe(1);
    expect(missing.stderr).toBe('filerpair: /home/nope: no such file or directory (NFS3ERR_NOENT)\n');
    await filerpair('mkdir', at('a-directory'));
    const directoryKept = await filerpair('rm', at('a-directory'));
    expect(directoryKept.stderr).toBe('filerpair: /home/a-directory is a directory: remove it with -r\n');
    const wrongOption = await filerpair('ls', '--sideways', at(''));
    expect(wrongOption.code).toBe(2);
    expect(wrongOption.stderr).toContain('usage: filerpair ls');
    expect((await filerpair('put', 'x', 'y')).stderr).toContain('y is no nfs:// URL');
    expect((await filerpair('frobnicate')).code).toBe(2);
    const refused = await filerpair('giveback', '--control', stage.controlSocket('filer-b'));
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/^filerpair: giveback refused: .+/);
    const nowhere = await filerpair('status', '--control', join(directory, 'nothing.sock'));
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
  const { handle } = await client.create(path, 'Guarded', { mode: 0o644 });
  const writer = client.writer(handle, path);
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
    const proxied = await FilerPairClient.connect(`nfs://127.0.0.1:${proxy.port}/home`, {
      onEvent: (event) => proxiedEvents.push(event),
    });
    const transitions = (async () => {
      await covered();
      const over = await filerpair(
        'takeover',
        '--control',
        stage.controlSocket('filer-a'),
        '--reason',
        'test',
      );
      expect(over).toMatchObject({ code: 0, stderr: '' });
      await serves('filer-b', 'filer-a');
      await stage.waitFor('the client is there', async () => (client.port === 'secondary' ? true : null));
      await covered();
      const back = await filerpair('giveback', '--control', stage.controlSocket('filer-b'));
      expect(back).toMatchObject({ code: 0, stderr: '' });
      await serves('filer-a', 'filer-a');
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
    client.close();
    proxied.close();
    await proxy.close();
  }, 120_000);

  it('after a server has frozen in the middle of its work is survived too', async () => {
    await covered();
    const { client, events } = await connected();
    const { handle } = await client.mkdir('frozen');
    let made = 0;
    let over = false;
    const working = (async () => {
      for (; !over || made < 50; made++) await client.nfs.mkdir(handle, `d${made}`);
    })();
    await stage.waitFor('some work', async () => (made > 20 ? true : null));
    stage.freeze('filer-a');
    await stage.waitFor('the client is served by the partner', async () =>
      client.port === 'secondary' ? true : null,
    );
    over = true;
    await working;
    // Each MKDIR was executed once: a second execution would have been answered NFS3ERR_EXIST.
    expect((await client.readdir('frozen')).length).toBe(made);
    expect(events.some((each) => each.kind === 'Adopted' && each.port === 'secondary')).toBe(true);
    await expect(client.nfs.mkdir(handle, 'd0')).rejects.toMatchObject({ status: NFS3ERR_EXIST });
    client.close();
    stage.kill('filer-a');
  }, 60_000);
});
