import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { request, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ControlSurface, listenOnPort, listenOnSocket } from './http-server.ts';

const directory = mkdtempSync(join(tmpdir(), 'filerpair-control-'));
const socketPath = join(directory, 'control.sock');
const asked: unknown[] = [];
let notReady: string | null = null;
let notHealthy: string | null = null;
const surface: ControlSurface = {
  homes: ['filer-a', 'filer-b'],
  status: () => ({ server: 'filer-a' }),
  metrics: () => 'up 1\n',
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
  port = await listenOnPort('127.0.0.1', 0, surface);
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
