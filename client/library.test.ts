/** The library as Node's developers expect it, on a real data thread. */

import { execFile } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import * as local from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  openMessage,
  TestDataThread,
  temporaryDirectory,
} from '../fileserver/data-path/data-thread.fixture.ts';
import { pause } from '../testing/pause.ts';
import { AbortError, CallTimeout, constants, FilerPairClient, type PathLike } from './index.ts';

const volume = temporaryDirectory();
const beside = temporaryDirectory();
const cleanUp: (() => unknown)[] = [];
let thread: TestDataThread;
let port: number;

beforeAll(async () => {
  thread = new TestDataThread();
  ({ port } = await thread.open(openMessage(volume.path)));
}, 60_000);

afterEach(async () => {
  for (const each of cleanUp.splice(0).reverse()) await each();
});

afterAll(async () => {
  await thread?.stop();
  volume.remove();
  beside.remove();
});

async function connected(at = port): Promise<FilerPairClient> {
  const client = await FilerPairClient.connect(`nfs://127.0.0.1:${at}/data?alone`);
  cleanUp.push(() => client.destroy());
  return client;
}

/** Between client and server; it can stop carrying anything. */
class Relay {
  readonly #server: Server;
  readonly #pairs: [Socket, Socket][] = [];
  #held = false;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<Relay> {
    const server = createServer();
    const relay = new Relay(server);
    server.on('connection', (near) => {
      const far = connect(port, '127.0.0.1');
      relay.#pairs.push([near, far]);
      near.on('data', (part) => far.write(part));
      far.on('data', (part) => near.write(part));
      if (relay.#held) for (const each of [near, far]) each.pause();
      for (const each of [near, far]) each.on('error', () => {});
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanUp.push(() => {
      server.close();
      for (const each of relay.#pairs.flat()) each.destroy();
    });
    return relay;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  hold(): void {
    this.#held = true;
    for (const each of this.#pairs.flat()) each.pause();
  }

  release(): void {
    this.#held = false;
    for (const each of this.#pairs.flat()) each.resume();
  }
}

/** What an error of node:fs says, but for the place of the files. */
function shape(error: unknown) {
  const { code, errno, syscall, path } = error as NodeJS.ErrnoException;
  return { code, errno, syscall, path: path?.replace(/^\/data|^.*filerpair-\w+/, '') };
}

describe('beside node:fs/promises', () => {
  /** The same on this machine's file system and on the export. */
  async function both<T>(
    work: (
      fs: Pick<FilerPairClient, keyof typeof local & keyof FilerPairClient>,
      at: (path: string) => string,
    ) => Promise<T>,
  ) {
    const client = await connected();
    const here = await local.mkdtemp(join(beside.path, 'both-'));
    const there = `both-${Math.random().toString(36).slice(2)}`;
    await client.mkdir(there);
    const outcome = (promise: Promise<T>) =>
      promise.then(
        (value) => ({ value }),
        (error) => ({ error: shape(error) }),
      );
    const expected = await outcome(work(local as never, (path) => join(here, path)));
    const found = await outcome(work(client, (path) => `${there}/${path}`));
    const plain = (text: string) =>
      text
        .replaceAll(here, '')
        .replaceAll(`/${basename(here)}`, '')
        .replaceAll(`/${there}`, '');
    expect(JSON.parse(plain(JSON.stringify(found)))).toEqual(JSON.parse(plain(JSON.stringify(expected))));
    return found;
  }

  it.each<[string, Parameters<typeof both>[0]]>([
    ['a missing file', (fs, at) => fs.readFile(at('no'))],
    ['a missing file in stat', (fs, at) => fs.stat(at('no'))],
    ['a missing file in lstat', (fs, at) => fs.lstat(at('no'))],
    ['a missing file in open', (fs, at) => fs.open(at('no'))],
    ['a missing file in unlink', (fs, at) => fs.unlink(at('no'))],
    ['a missing directory in readdir', (fs, at) => fs.readdir(at('no'))],
    ['a missing directory in opendir', (fs, at) => fs.opendir(at('no'))],
    ['a missing directory in rmdir', (fs, at) => fs.rmdir(at('no'))],
    ['a missing parent in mkdir', (fs, at) => fs.mkdir(at('no/no'))],
    ['a missing file in access', (fs, at) => fs.access(at('no'))],
    ['a missing file in chmod', (fs, at) => fs.chmod(at('no'), 0o600)],
    ['a missing file in utimes', (fs, at) => fs.utimes(at('no'), 1, 1)],
    ['a missing source of rename', (fs, at) => fs.rename(at('no'), at('other'))],
    ['a missing link', (fs, at) => fs.readlink(at('no'))],
    ['a directory that is there', async (fs, at) => [await fs.mkdir(at('d')), await fs.mkdir(at('d'))]],
    [
      'a file in the way of wx',
      async (fs, at) => [await fs.writeFile(at('f'), 'x'), await fs.open(at('f'), 'wx')],
    ],
    [
      'a full directory in rmdir',
      async (fs, at) => [await fs.mkdir(at('d/e'), { recursive: true }), await fs.rmdir(at('d'))],
    ],
    [
      'a file as a directory',
      async (fs, at) => [await fs.writeFile(at('f'), 'x'), await fs.stat(at('f/below'))],
    ],
    ['a directory to write to', async (fs, at) => [await fs.mkdir(at('d')), await fs.open(at('d'), 'w')]],
    ['a loop of links', async (fs, at) => [await fs.symlink('loop', at('loop')), await fs.stat(at('loop'))]],
    ['a link that is none', async (fs, at) => [await fs.writeFile(at('f'), ''), await fs.readlink(at('f'))]],
    [
      'a file under a directory that is to be made',
      async (fs, at) => [await fs.writeFile(at('f'), ''), await fs.mkdir(at('f/g'), { recursive: true })],
    ],
  ])('%s is the same error', async (_, work) => {
    expect(await both(work)).toHaveProperty('error.code');
  });

  it('makes, writes, reads, links, lists and removes as it does', async () => {
    await both(async (fs, at) => {
      const made = [
        await fs.mkdir(at('a/b/c'), { recursive: true }),
        await fs.mkdir(at('a'), { recursive: true }),
      ];
      await fs.writeFile(at('a/file'), 'twelve bytes');
      await fs.appendFile(at('a/file'), ', and more');
      await fs.chmod(at('a/file'), 0o640);
      await fs.link(at('a/file'), at('a/second'));
      await fs.symlink('file', at('a/link'));
      await fs.symlink('made-through', at('a/dangling'));
      await fs.writeFile(at('a/dangling'), 'through a link');
      await fs.copyFile(at('a/file'), at('a/copy'));
      await fs.truncate(at('a/copy'), 6);
      await fs.rename(at('a/copy'), at('a/b/moved'));
      await fs.utimes(at('a/file'), 1_000_000, new Date(2_000_000_500));
      const stats = await Promise.all(
        ['a', 'a/file', 'a/link', 'a/b/moved'].map((path) => fs.stat(at(path))),
      );
      const names = (await fs.readdir(at('a'))).sort();
      const below = (await fs.readdir(at('a'), { recursive: true })).sort();
      const typed = (await fs.readdir(at('a'), { withFileTypes: true })).map((each) => [
        each.name,
        each.isFile(),
        each.isDirectory(),
        each.isSymbolicLink(),
      ]);
      const listed: string[] = [];
      for await (const entry of await fs.opendir(at('a'))) listed.push(entry.name);
      const texts = await Promise.all(
        ['a/file', 'a/link', 'a/made-through', 'a/b/moved'].map((path) => fs.readFile(at(path), 'utf8')),
      );
      const places = [await fs.realpath(at('a/b/../link')), await fs.readlink(at('a/link'))];
      await fs.rm(at('a/b'), { recursive: true });
      await fs.rm(at('a/b'), { recursive: true, force: true });
      return {
        made: made.map((each) => each?.replace(/\/$/, '')),
        stats: stats.map((each) => [
          each.isFile(),
          each.isDirectory(),
          each.isFile() && each.size,
          each.mode,
          each.isFile() && each.nlink,
        ]),
        times: [stats[1]!.atimeMs, stats[1]!.mtimeMs, stats[1]!.mtime],
        names,
        below,
        typed: typed.sort(),
        listed: listed.sort(),
        texts,
        places,
        left: (await fs.readdir(at('a'))).length,
      };
    });
  });

  it('opens, reads and writes at places and in turn as it does', async () => {
    await both(async (fs, at) => {
      const file = await fs.open(at('f'), 'w+');
      await file.write('0123456789');
      await file.write(Buffer.from('xABx'), 1, 2, 4);
      await file.write('!', 12);
      const parts = [];
      for (const position of [0, 4, 11]) {
        const { bytesRead, buffer } = await file.read(Buffer.alloc(5), 0, 5, position);
        parts.push([bytesRead, buffer.toString('latin1')]);
      }
      await file.truncate(11);
      const { size } = await file.stat();
      await file.sync();
      await file.close();
      const again = await fs.open(at('f'), 'r');
      const first = (await again.read(Buffer.alloc(3), 0, 3, null)).buffer.toString();
      const rest = await again.readFile('latin1');
      const refused = await again.write('x').catch(shape);
      await again.close();
      const closed = await again.stat().catch(({ code }) => code);
      const appending = await fs.open(at('f'), 'a');
      await Promise.all(['a', 'b', 'c'].map((each) => appending.write(each)));
      await appending.close();
      return {
        parts,
        size,
        first,
        rest,
        refused: { ...(refused as object), path: null },
        closed,
        end: (await fs.stat(at('f'))).size,
      };
    });
  });
});

describe('an AbortSignal and a time-out', () => {
  it('end every operation while nobody answers, and leave nothing behind', async () => {
    const relay = await Relay.start();
    const client = await connected(relay.port);
    await client.writeFile('slow', Buffer.alloc(3 << 20));
    const file = await client.open('slow', 'r+');
    relay.hold();
    const work: ((options: {
      signal?: AbortSignal;
      timeoutMs?: number;
      callTimeoutMs?: number;
    }) => Promise<unknown>)[] = [
      (options) => client.stat('slow', options),
      (options) => client.readFile('slow', options),
      (options) => client.readdir('', options),
      (options) => client.mkdir('d/e', { recursive: true, ...options }),
      (options) => client.rm('slow', { recursive: true, ...options }),
      (options) => client.rename('slow', 'fast', options),
      (options) => client.open('slow', 'r', 0, options),
      (options) => file.read(Buffer.alloc(10), options),
      (options) => file.readFile(options),
      (options) => file.stat(options),
      (options) => client.nfs.getattr(client.root, options),
    ];
    for (const each of work) {
      const aborted = each({ signal: AbortSignal.timeout(20) });
      await expect(aborted).rejects.toMatchObject({
        name: 'AbortError',
        code: 'ABORT_ERR',
        cause: { name: 'TimeoutError' },
      });
      await expect(each({ timeoutMs: 20 })).rejects.toMatchObject({ name: 'CallTimeout', code: 'ETIMEDOUT' });
      await expect(each({ callTimeoutMs: 20 })).rejects.toBeInstanceOf(CallTimeout);
      await expect(each({ signal: AbortSignal.abort('never') })).rejects.toMatchObject({ cause: 'never' });
    }
    relay.release();
    // What was given up may have been executed, and everything goes on.
    await client.writeFile('after', 'x');
    expect(await client.readFile('after', 'utf8')).toBe('x');
  }, 60_000);

  it('bound a whole operation, however short each of its calls is', async () => {
    const client = await connected();
    await client.writeFile('counted', Buffer.alloc(4 << 20));
    let pieces = 0;
    const reading = (async () => {
      for await (const _ of client.read('counted', { timeoutMs: 2000 })) {
        pieces += 1;
        await pause(1500, 'a reader that takes its time');
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: 'ETIMEDOUT', syscall: 'read' });
    expect(pieces).toBeGreaterThan(0);
  });

  it('give memory back: what is changed afterwards is not written', async () => {
    const relay = await Relay.start();
    const client = await connected(relay.port);
    // More than is in flight at once.
    const data = Buffer.alloc(16 << 20, 'good');
    client.on('call', ({ name }) => {
      if (name === 'CREATE') relay.hold();
    });
    await expect(client.writeFile('given', data, { timeoutMs: 3000 })).rejects.toBeInstanceOf(CallTimeout);
    data.fill('evil');
    relay.release();
    const file = await client.open('given', 'r+');
    await file.sync();
    expect((await file.readFile()).equals(Buffer.alloc(data.length, 'good'))).toBe(true);
  });

  it('end an iterator that is left while nobody answers', async () => {
    const relay = await Relay.start();
    const client = await connected(relay.port);
    await client.writeFile('left', Buffer.alloc(3 << 20));
    const whole = client.read('left');
    await whole.next();
    const directory = await client.opendir('');
    const entries = directory[Symbol.asyncIterator]();
    relay.hold();
    const reading = client.read('left');
    const next = [reading.next(), entries.next(), client.read('left').next()];
    for (const each of next) each.catch(() => {});
    await pause(50, 'the reads are under way');
    const ended = Promise.all([reading.return(undefined), entries.return!(), whole.return(undefined)]);
    expect(
      await Promise.race([
        ended.then(() => 'ended'),
        pause(2000, 'far longer than ending takes').then(() => 'still there'),
      ]),
    ).toBe('ended');
    await expect(next[0]).rejects.toBeInstanceOf(AbortError);
  });

  it('end streams', async () => {
    const relay = await Relay.start();
    const client = await connected(relay.port);
    await client.writeFile('streamed', Buffer.alloc(3 << 20));
    relay.hold();
    const stop = new AbortController();
    const reading = pipeline(client.createReadStream('streamed', { signal: stop.signal }), async (source) => {
      for await (const _ of source);
    });
    const writing = pipeline([Buffer.alloc(100)], client.createWriteStream('w', { signal: stop.signal }));
    stop.abort();
    await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
    await expect(writing).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('gives up a name that does not exist', async () => {
    const resolver = { resolve: () => Promise.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND' })) };
    const connecting = FilerPairClient.connect('nfs://filer-typo/home', { resolver: resolver as never });
    await expect(connecting).rejects.toMatchObject({ code: 'ENOTFOUND', syscall: 'getaddrinfo' });
  });
});

describe('several users of one file', () => {
  it('write one after the other without a position, and through several handles', async () => {
    const client = await connected();
    const [one, two] = [await client.open('shared', 'w'), await client.open('shared', 'r+')];
    const pieces = Array.from({ length: 50 }, (_, i) => `${String(i).padStart(4)}\n`);
    await Promise.all(pieces.map((piece) => one.write(piece)));
    // Both know of each other's data before any of it is confirmed.
    expect((await two.readFile('utf8')).split('\n').length).toBe(51);
    await two.write('9999\n', 0);
    expect((await one.stat()).size).toBe(250);
    expect(one.writer).toBe(two.writer);
    await one.close();
    await two.close();
    expect((await client.readFile('shared', 'utf8')).slice(0, 10)).toBe('9999\n   1\n');
  });

  it('copies what it is given', async () => {
    const client = await connected();
    const file = await client.open('copied', 'w');
    const buffer = Buffer.alloc(1000);
    for (let i = 0; i < 20; i++) {
      buffer.fill(i);
      await file.write(buffer);
    }
    await file.close();
    const found = await client.readFile('copied');
    for (let i = 0; i < 20; i++) expect(found[i * 1000]).toBe(i);
  });

  it('appends without loss within one client, through handles and streams', async () => {
    const client = await connected();
    const handles = await Promise.all([client.open('appended', 'a'), client.open('appended', 'as')]);
    await Promise.all(Array.from({ length: 20 }, (_, i) => handles[i % 2]!.write(`${i}\n`)));
    await Promise.all(handles.map((each) => each.close()));
    await pipeline(['end\n'], client.createWriteStream('appended', { flags: 'a' }));
    const lines = (await client.readFile('appended', 'utf8')).trimEnd().split('\n');
    expect(lines.pop()).toBe('end');
    expect(lines.map(Number).sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i));
  });

  it('is on the disk after each write with O_SYNC, without a COMMIT', async () => {
    const client = await connected();
    const { O_CREAT, O_RDWR, O_SYNC } = constants;
    const file = await client.open('synced', O_CREAT | O_RDWR | O_SYNC);
    const calls: string[] = [];
    client.on('call', ({ name }) => calls.push(name));
    await file.write('line');
    expect(calls).toEqual(['WRITE']);
    expect(file.writer.isClean).toBe(true);
    await file.close();
  });
});

describe('closing', () => {
  it('waits for what is under way, makes durable what was written, and takes nothing any more', async () => {
    const relay = await Relay.start();
    const client = await connected(relay.port);
    const file = await client.open('open', 'w');
    await file.write('kept');
    relay.hold();
    const writing = client.writeFile('under-way', 'x');
    let closed = false;
    const closing = client.close().then(() => {
      closed = true;
    });
    await expect(client.stat('open')).rejects.toMatchObject({ name: 'ClientClosed', code: 'ECANCELED' });
    await expect(client.nfs.getattr(client.root)).rejects.toMatchObject({ name: 'ClientClosed' });
    await pause(100, 'a client that does not wait would be closed');
    expect(closed).toBe(false);
    relay.release();
    await Promise.all([writing, closing]);
    const names = await local.readdir(volume.path);
    expect(names).toContain('under-way');
    expect(await local.readFile(join(volume.path, 'open'), 'utf8')).toBe('kept');
  });

  it('waits no longer than it is told to', async () => {
    const relay = await Relay.start();
    const client = await connected(relay.port);
    relay.hold();
    const waiting = client.stat('');
    waiting.catch(() => {});
    await expect(client.close({ timeoutMs: 50 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    await expect(waiting).rejects.toMatchObject({ code: 'ECANCELED' });
    await client[Symbol.asyncDispose]().catch(() => {});
  });

  it.each([
    ['unref', '', 0],
    // Otherwise the time-out of the test ends it.
    ['ref', '.ref()', 'SIGTERM'],
  ])(
    'a client after %s() keeps the process or does not',
    async (_, call, expected) => {
      const index = new URL('./index.ts', import.meta.url).href;
      const script = `
      import { FilerPairClient } from '${index}';
      const client = await FilerPairClient.connect('nfs://127.0.0.1:${port}/data?alone');
      client.unref()${call};
      // While a call is under way it does.
      await client.writeFile('by-a-process', Buffer.alloc(1 << 20));
      console.log((await client.stat('by-a-process')).size);`;
      const { output, end } = await new Promise<{ output: string; end: unknown }>((resolve) => {
        const child = execFile(process.execPath, ['--input-type=module', '-e', script], (error, stdout) => {
          resolve({ output: stdout, end: error === null ? 0 : (error.signal ?? error.message) });
        });
        child.stdout!.on('data', () => setTimeout(() => child.kill(), 5000));
      });
      expect(output).toBe(`${1 << 20}\n`);
      expect(end).toBe(expected);
    },
    60_000,
  );
});

describe('events', () => {
  it('reach every listener and channel though one throws, and calls go on', async () => {
    const thrown: unknown[] = [];
    const before = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => thrown.push(error.message));
    const published: string[] = [];
    const onMessage = (message: unknown) =>
      published.push((message as { event: { kind: string } }).event.kind);
    subscribe('filerpair:connection', onMessage);
    try {
      const client = new FilerPairClient(`nfs://127.0.0.1:${port}/data?alone`);
      const heard: string[] = [];
      for (const name of ['connection', 'call', 'close'] as const) {
        client.on(name, () => {
          throw new Error(`listener for ${name}`);
        });
        client.once(name, () => heard.push(name));
      }
      await client.connect();
      await client.stat('');
      await client.close();
      expect(heard).toEqual(['connection', 'call', 'close']);
      expect(published).toEqual(['Adopted']);
      await expect.poll(() => new Set(thrown).size).toBe(3);
    } finally {
      unsubscribe('filerpair:connection', onMessage);
      process.removeAllListeners('uncaughtException');
      for (const each of before) process.on('uncaughtException', each);
    }
  });

  it('survives a listener that closes the client', async () => {
    const client = new FilerPairClient(`nfs://127.0.0.1:${port}/data?alone`);
    client.on('connection', () => client.destroy());
    await expect(client.connect()).rejects.toMatchObject({ code: 'ECANCELED' });
  });
});

it('takes and gives names that are no UTF-8', async () => {
  const client = await connected();
  const name = Buffer.from([0x66, 0xff, 0xfe]);
  const paths: PathLike[] = [name, Buffer.concat([Buffer.from('/./'), name])];
  await client.writeFile(paths[0]!, 'bytes');
  expect(await client.readFile(paths[1]!, 'utf8')).toBe('bytes');
  const found = await client.readdir('', { withFileTypes: true, encoding: 'buffer' });
  expect(found.some((each) => each.isFile() && each.name.equals(name))).toBe(true);
  await client.symlink(name, 'to-bytes');
  expect(await client.readlink('to-bytes', 'buffer')).toEqual(name);
  expect(await client.readFile('to-bytes', 'utf8')).toBe('bytes');
  expect(await client.realpath('to-bytes', 'buffer')).toEqual(Buffer.concat([Buffer.from('/'), name]));
});

it('follows symbolic links inside the export, and says when one leaves it', async () => {
  const client = await connected();
  await client.mkdir('links/dir', { recursive: true });
  await client.writeFile('links/dir/file', 'found');
  const links = {
    up: '../links/dir/file',
    over: 'dir',
    absolute: '/data/links/dir/file',
    out: '/etc/passwd',
  };
  for (const [name, target] of Object.entries(links)) await client.symlink(target, `links/${name}`);
  for (const path of ['links/up', 'links/over/file', 'links/absolute', 'links/over/../over/file']) {
    expect(await client.readFile(path, 'utf8'), path).toBe('found');
  }
  const refused = { code: 'EXDEV', message: expect.stringContaining('leaves /data') };
  await expect(client.stat('links/out')).rejects.toMatchObject(refused);
  expect(await client.readlink('links/out')).toBe('/etc/passwd');
});

it('lists and removes a directory that does not fit into one reply', async () => {
  const client = await connected();
  await client.mkdir('many');
  const { handle } = await client.lookup('many');
  const names = Array.from({ length: 1500 }, (_, i) => `a-file-with-a-rather-long-name-${i}`).sort();
  await Promise.all(names.map((name) => client.nfs.create(handle, name, 'Guarded')));
  expect((await client.readdir('many')).sort()).toEqual(names);
  await client.rm('many', { recursive: true });
  await expect(client.stat('many')).rejects.toMatchObject({ code: 'ENOENT' });
});
