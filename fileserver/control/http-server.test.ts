import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { assertEventually } from '../../testing/assert-eventually.ts';
import { type ControlSurface, listenOnPort, listenOnSocket } from './http-server.ts';
import { TokenFile } from './token-file.ts';

const directory = mkdtempSync(join(tmpdir(), 'filerpair-control-'));
const socketPath = join(directory, 'control.sock');
const asked: unknown[] = [];
let worked = 0;
let notReady: string | null = null;
let notHealthy: string | null = null;
const surface: ControlSurface = {
  homes: ['filer-a', 'filer-b'],
  status: () => ({ server: 'filer-a' }),
  metrics: async () => {
    worked++;
    return 'up 1\n';
  },
  whyNotHealthy: () => notHealthy,
  whyNotReady: () => notReady,
  request: async (kind, home, { reason, force, override }) => {
    asked.push(force || override.length > 0 ? [kind, home, reason, force, override] : [kind, home, reason]);
    return { id: 'r1', result: reason === 'no' ? 'refused' : 'done', message: 'as asked' };
  },
  check: async (home) => ({ possible: home === 'filer-b' }),
  setMaintenance: async (reason) => {
    asked.push(['maintenance', reason]);
    return reason === 'unwritable' ? 'Not in force yet.' : null;
  },
};
let port = 0;
let server: Server;

beforeAll(async () => {
  server = await listenOnSocket(socketPath, surface);
  port = await listenOnPort('127.0.0.1', 0, surface, null);
});
afterAll(() => {
  server.close();
  rmSync(directory, { recursive: true, force: true });
});

function ask(on: 'socket' | 'port', method: string, path: string, body = ''): Promise<[number, string]> {
  const where = on === 'socket' ? { socketPath } : { host: '127.0.0.1', port };
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...where, method, path, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on('end', () => resolve([response.statusCode ?? 0, text]));
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

it('tells status, metrics and health on both', async () => {
  for (const on of ['socket', 'port'] as const) {
    expect(await ask(on, 'GET', '/status')).toEqual([200, '{\n  "server": "filer-a"\n}\n']);
    expect(await ask(on, 'GET', '/metrics')).toEqual([200, 'up 1\n']);
    expect(await ask(on, 'GET', '/healthz')).toEqual([200, 'ok\n']);
    expect((await ask(on, 'GET', '/etc/passwd'))[0]).toBe(404);
    expect((await ask(on, 'DELETE', '/status'))[0]).toBe(405);
  }
});

it('says why it is not ready', async () => {
  notReady = 'the Lease of filer-a has not been seen yet';
  expect(await ask('port', 'GET', '/readyz')).toEqual([503, `${notReady}\n`]);
  notReady = null;
  expect(await ask('port', 'GET', '/readyz')).toEqual([200, 'ok\n']);
});

it('takes requests on the socket only, which only its owner may open', async () => {
  expect((await ask('port', 'POST', '/takeover'))[0]).toBe(403);
  expect(asked).toEqual([]);
  expect((await ask('socket', 'GET', '/takeover'))[0]).toBe(405);
  expect((await ask('socket', 'POST', '/takeover'))[0]).toBe(200);
  expect((await ask('socket', 'POST', '/giveback', '{"home":"filer-b","reason":"no"}'))[0]).toBe(409);
  expect(asked).toEqual([
    ['takeover', null, ''],
    ['giveback', 'filer-b', 'no'],
  ]);
  expect(statSync(socketPath).mode & 0o777).toBe(0o600);
});

it('refuses bodies that are too long, no JSON, of another shape, or about an unknown disk set', async () => {
  asked.length = 0;
  expect((await ask('socket', 'POST', '/takeover', 'x'.repeat(5000)))[0]).toBe(413);
  expect((await ask('socket', 'POST', '/takeover', '{'))[0]).toBe(400);
  expect((await ask('socket', 'POST', '/takeover', '{"disk":1}'))[0]).toBe(400);
  expect(await ask('socket', 'POST', '/takeover', '{"home":"filer-c"}')).toEqual([
    404,
    'There is no disk set "filer-c" here; there are filer-a and filer-b.\n',
  ]);
  expect(asked).toEqual([]);
});

it('says why it is not healthy', async () => {
  notHealthy = 'a thread of the data path has not turned for 20 s';
  expect(await ask('port', 'GET', '/healthz')).toEqual([503, `${notHealthy}\n`]);
  notHealthy = null;
  expect(await ask('port', 'GET', '/healthz')).toEqual([200, 'ok\n']);
});

it('forces for a reason only, and passes overrides on', async () => {
  expect(await ask('socket', 'POST', '/takeover', '{"force":true}')).toEqual([
    400,
    expect.stringContaining('reason'),
  ]);
  asked.length = 0;
  const body = '{"home":"filer-b","reason":"burnt","force":true,"override":["PartnerNotSteady"]}';
  expect((await ask('socket', 'POST', '/takeover', body))[0]).toBe(200);
  expect(asked).toEqual([['takeover', 'filer-b', 'burnt', true, ['PartnerNotSteady']]]);
});

it('answers a dry run on both, and begins and ends maintenance on the socket only', async () => {
  for (const on of ['socket', 'port'] as const) {
    expect(await ask(on, 'GET', '/check?home=filer-b')).toEqual([
      200,
      expect.stringContaining('"possible": true'),
    ]);
    expect((await ask(on, 'GET', '/check?home=filer-x'))[0]).toBe(404);
  }
  asked.length = 0;
  expect((await ask('port', 'POST', '/maintenance', '{"on":false}'))[0]).toBe(403);
  expect((await ask('socket', 'POST', '/maintenance', '{"on":true}'))[0]).toBe(400);
  expect((await ask('socket', 'POST', '/maintenance', '{"on":true,"reason":"switch"}'))[0]).toBe(200);
  expect((await ask('socket', 'POST', '/maintenance', '{"on":false}'))[0]).toBe(200);
  expect(await ask('socket', 'POST', '/maintenance', '{"on":true,"reason":"unwritable"}')).toEqual([
    503,
    'Not in force yet.\n',
  ]);
  expect(asked).toEqual([
    ['maintenance', 'switch'],
    ['maintenance', null],
    ['maintenance', 'unwritable'],
  ]);
});

/** A connection from this address of the machine's own, on which this is sent; `heard` is what comes back. */
async function knock(localAddress: string, sent = ''): Promise<Socket & { heard: string }> {
  const socket = Object.assign(connect({ host: '127.0.0.1', port, localAddress }), { heard: '' });
  opened.push(socket);
  socket.on('error', () => {});
  socket.on('data', (bytes: Buffer) => {
    socket.heard += bytes.toString();
  });
  await once(socket, 'connect');
  socket.write(sent);
  return socket;
}
const opened: Socket[] = [];
afterEach(() => {
  for (const socket of opened.splice(0)) socket.destroy();
});

it.each([
  ['holds silent connections', '127.0.0.2', ''],
  ['holds silent connections from the same address', '127.0.0.1', ''],
  ['asks half a question on each, from the same address', '127.0.0.1', 'GET /readyz HTTP/1.1\r\nX: '],
])('answers every probe while a stranger %s', async (_, address, sent) => {
  const knocks = (count: number) => Promise.all(Array.from({ length: count }, () => knock(address, sent)));
  await knocks(70);
  for (let i = 0; i < 20; i++) {
    await knocks(4);
    expect(await ask('port', 'GET', '/readyz')).toEqual([200, 'ok\n']);
  }
});

it('ends a connection that asks nothing within seconds, or several things at once', async () => {
  const silent = await knock('127.0.0.1');
  const half = await knock('127.0.0.1', 'GET /readyz HTTP/1.1\r\n');
  const several = await knock('127.0.0.1', 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(1000));
  const body = await knock('127.0.0.1', 'POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n');
  for (const socket of [silent, half, several, body]) if (!socket.closed) await once(socket, 'close');
  for (const { heard } of [silent, half]) expect(heard).toMatch(/^HTTP\/1.1 408 /);
  expect(several.heard.split('up 1').length - 1).toBeLessThanOrEqual(1);
  expect(body.heard).toMatch(/^HTTP\/1.1 405 /);
}, 20_000);

it('reads no headers that are longer than a question of ours needs', async () => {
  const long = await knock('127.0.0.1', `GET /readyz HTTP/1.1\r\nX: ${'x'.repeat(8000)}\r\n\r\n`);
  if (!long.closed) await once(long, 'close');
  expect(long.heard).toMatch(/^HTTP\/1.1 431 /);
});

it('works status and metrics out some times a second, however often it is asked', async () => {
  worked = 0;
  const startedAt = performance.now();
  for (let i = 0; i < 200; i++) expect((await ask('port', 'GET', '/metrics'))[0]).toBe(200);
  const seconds = Math.ceil((performance.now() - startedAt) / 1000) + 1;
  expect(worked).toBeGreaterThan(0);
  expect(worked).toBeLessThanOrEqual(20 * seconds);
});

it('with a token tells status, metrics and dry runs only to who shows it, and health to everybody', async () => {
  const file = join(directory, 'token');
  const guarded = await listenOnPort('127.0.0.1', 0, surface, new TokenFile(file));
  const asked = async (path: string, authorization?: string): Promise<number> => {
    const headers = authorization === undefined ? {} : { authorization };
    return (await fetch(`http://127.0.0.1:${guarded}${path}`, { headers })).status;
  };
  // No file: nobody.
  expect(await asked('/metrics', 'Bearer ')).toBe(401);
  expect(await asked('/metrics', 'Bearer undefined')).toBe(401);
  writeFileSync(file, 'short\n');
  await assertEventually(async () => expect(await asked('/status', 'Bearer short')).toBe(401));
  writeFileSync(file, 'a token of its length\n'.replaceAll(' ', '-'));
  await assertEventually(async () =>
    expect(await asked('/status', 'Bearer a-token-of-its-length')).toBe(200),
  );
  for (const path of ['/status', '/metrics', '/check', '/status?x=/readyz', '//status', '/nowhere']) {
    expect(await asked(path)).toBe(401);
    expect(await asked(path, 'Bearer a-token-of-other-length')).toBe(401);
    expect(await asked(path, 'Basic a-token-of-its-length')).toBe(401);
  }
  expect(await asked('/metrics', 'Bearer a-token-of-its-length')).toBe(200);
  expect(await asked('/readyz')).toBe(200);
  expect(await asked('/healthz')).toBe(200);
  writeFileSync(file, 'exchanged-by-the-kubelet\n');
  await assertEventually(async () =>
    expect(await asked('/metrics', 'Bearer exchanged-by-the-kubelet')).toBe(200),
  );
  expect(await asked('/metrics', 'Bearer a-token-of-its-length')).toBe(401);
});
