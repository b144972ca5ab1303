/** The sentinel's real process, real server-like processes, a real interconnect on the partner's side. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { incarnationOf } from '../../pair/incarnation.ts';
import type { DiedMessage } from '../../pair/messages.ts';
import { assertEventually } from '../../testing/assert-eventually.ts';
import { program } from '../../testing/program.ts';
import { certificateFiles, writeCertificates } from '../interconnect/certificates.fixture.ts';
import { CredentialStore } from '../interconnect/credentials.ts';
import { Interconnect } from '../interconnect/interconnect.ts';
import { createLog } from '../logging/log.ts';

const log = createLog({ level: 'error', format: 'text' }, {});
let directory = '';
let deaths: DiedMessage[] = [];
let partner: Interconnect | null = null;
const children: ChildProcess[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'filerpair-sentinel-'));
  await writeCertificates(directory);
  deaths = [];
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await partner?.stop(100);
  partner = null;
  rmSync(directory, { recursive: true, force: true });
});

async function startPartner(port = 0): Promise<number> {
  partner = new Interconnect({
    pair: 'home',
    me: incarnationOf('filer-b', 'machine', '1'),
    partner: 'filer-a',
    credentials: new CredentialStore(certificateFiles(directory, 'filer-b', 'filer-a'), log),
    listen: { host: '127.0.0.1', port },
    partnerAddress: { host: '127.0.0.1', port: 1 },
    timing: { pingMs: 100, silenceMs: 600 },
    log,
    connected: () => {},
    disconnected: () => {},
    message: () => {},
    died: (died) => deaths.push(died),
  });
  return partner.start();
}

/** Output of a child as lines that can be waited for. */
function run(args: string[]): {
  child: ChildProcess;
  output: () => string;
  said: (text: string) => Promise<void>;
} {
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  let output = '';
  child.stdout!.on('data', (data: Buffer) => {
    output += data.toString();
  });
  return {
    child,
    output: () => output,
    said: (text) => assertEventually(() => expect(output).toContain(text)),
  };
}

function startSentinel(partnerPort: number): ReturnType<typeof run> {
  const diskSet = { volumes: [{ name: 'data', path: '/nowhere' }], exports: [] };
  const config = {
    pair: 'home',
    server: 'filer-a',
    partner: 'filer-b',
    partnerAddress: { host: '127.0.0.1', interconnect: partnerPort },
    runDir: directory,
    tls: certificateFiles(directory, 'filer-a', 'filer-b'),
    witness: { kind: 'embedded', directory },
    diskSets: { 'filer-a': diskSet, 'filer-b': diskSet },
    log: { format: 'text' },
  };
  writeFileSync(join(directory, 'config.json'), JSON.stringify(config));
  return run([program(new URL('./main.ts', import.meta.url)), '--config', join(directory, 'config.json')]);
}

/**
 * A process that registers as the server would. On its standard input: the number of an epoch to take (and be killed
 * in the same moment), or "disconnect".
 */
function startServer(server = 'filer-a'): ReturnType<typeof run> {
  const program = `
    import { SentinelLink } from ${JSON.stringify(new URL('./sentinel-link.ts', import.meta.url).href)};
    import { createLog } from ${JSON.stringify(new URL('../logging/log.ts', import.meta.url).href)};
    const link = new SentinelLink({
      path: ${JSON.stringify(join(directory, 'sentinel.sock'))},
      me: '${server}/machine/' + process.pid,
      log: createLog({ level: 'info', format: 'text' }, {}),
    });
    link.setHoldings([{ home: 'filer-a', epoch: 3 }]);
    link.start();
    process.stdin.on('data', (data) => {
      if (String(data) === 'disconnect') {
        link.stop();
        return void console.log('disconnected');
      }
      link.setHoldings([{ home: 'filer-a', epoch: Number(data) }]);
      process.kill(process.pid, 'SIGKILL');
    });`;
  return run(['--input-type=module', '--eval', program]);
}

it('tells the partner of a killed server, with what it held last', async () => {
  const sentinel = startSentinel(await startPartner());
  await sentinel.said('Connected with filer-b/machine/1');
  const server = startServer();
  await server.said('The sentinel watches this process');
  server.child.kill('SIGKILL');
  await assertEventually(() => expect(deaths).toHaveLength(1), 1);
  const [died] = deaths;
  expect(died).toEqual({
    kind: 'died',
    incarnation: `filer-a/machine/${server.child.pid}`,
    holdings: [{ home: 'filer-a', epoch: 3 }],
    evidence: `the sentinel of filer-a saw process ${server.child.pid} exit`,
  });
});

it('knows the epoch that a server took in the very moment before it was killed', async () => {
  const sentinel = startSentinel(await startPartner());
  await sentinel.said('Connected with');
  const server = startServer();
  await server.said('The sentinel watches');
  server.child.stdin!.write('4\n');
  await assertEventually(() => expect(deaths[0]?.holdings).toEqual([{ home: 'filer-a', epoch: 4 }]));
});

it('says nothing of a server that is stopped, or that has only lost its connection', async () => {
  const sentinel = startSentinel(await startPartner());
  await sentinel.said('Connected with');
  const [stopped, disconnected] = [startServer(), startServer()];
  await stopped.said('The sentinel watches');
  await disconnected.said('The sentinel watches');
  stopped.child.kill('SIGSTOP');
  disconnected.child.stdin!.write('disconnect');
  await disconnected.said('disconnected');
  // A third one dies: its message shows that all before it would have come by now.
  const killed = startServer();
  await killed.said('The sentinel watches');
  killed.child.kill('SIGKILL');
  await assertEventually(() => expect(deaths).toHaveLength(1));
  expect(deaths[0]!.incarnation).toBe(`filer-a/machine/${killed.child.pid}`);
});

it('delivers the message later when the partner cannot be reached, and only once it is confirmed forgets it', async () => {
  const port = await startPartner();
  await partner!.stop(100);
  const sentinel = startSentinel(port);
  await sentinel.said('listens on');
  const server = startServer();
  await server.said('The sentinel watches');
  server.child.kill('SIGKILL');
  await sentinel.said('will be told as soon as it can be reached');
  await startPartner(port);
  await assertEventually(() => expect(deaths).toHaveLength(1));
});

it('watches again after it was itself killed and started anew', async () => {
  const port = await startPartner();
  const first = startSentinel(port);
  const server = startServer();
  await server.said('The sentinel watches');
  first.child.kill('SIGKILL');
  await server.said('No sentinel at');
  const second = startSentinel(port);
  await second.said('Watching process');
  await second.said('Connected with');
  server.child.kill('SIGKILL');
  await assertEventually(() => expect(deaths).toHaveLength(1));
});

it('told to stop, stays until the server has ended and the partner knows', async () => {
  const sentinel = startSentinel(await startPartner());
  await sentinel.said('Connected with');
  const server = startServer();
  await server.said('The sentinel watches');
  sentinel.child.kill('SIGTERM');
  await sentinel.said('Stopping');
  const ended = once(sentinel.child, 'exit');
  server.child.kill('SIGKILL');
  expect((await ended)[0]).toBe(0);
  expect(deaths).toHaveLength(1);
});

it('told to stop, ends in bounded time if the partner cannot be reached', async () => {
  const port = await startPartner();
  await partner!.stop(100);
  const sentinel = startSentinel(port);
  await sentinel.said('listens on');
  const server = startServer();
  await server.said('The sentinel watches');
  sentinel.child.kill('SIGTERM');
  await sentinel.said('Stopping');
  server.child.kill('SIGKILL');
  expect((await once(sentinel.child, 'exit'))[0]).toBe(0);
});

it('refuses a process that is no incarnation of its server, answers a wrong token, or talks nonsense', async () => {
  const sentinel = startSentinel(await startPartner());
  await sentinel.said('listens on');
  const other = startServer('filer-b');
  await other.said('is no incarnation of filer-a');
  const talk = async (...lines: string[]): Promise<string> => {
    const socket = connect(join(directory, 'sentinel.sock'));
    let answer = '';
    socket.on('data', (data) => {
      answer += data.toString();
    });
    socket.on('error', () => {});
    socket.write(lines.map((line) => `${line}\n`).join(''));
    await once(socket, 'close');
    return answer;
  };
  expect(
    await talk(
      '{"kind":"register","incarnation":"filer-a/machine/1"}',
      '{"kind":"proof","token":"guessed","holdings":[]}',
    ),
  ).toContain('it did not prove that it is the process that registered');
  expect(await talk('{"kind":"holdings","holdings":[]}')).toContain('before it has proved itself');
  expect(await talk('GET / HTTP/1.1')).toBe('');
  expect(sentinel.output()).not.toContain('Watching process');
});

it('ends with a sentence about a configuration that is wrong', async () => {
  const child = spawn(process.execPath, [
    program(new URL('./main.ts', import.meta.url)),
    '--config',
    '/nowhere',
  ]);
  let output = '';
  child.stderr.on('data', (data: Buffer) => {
    output += data.toString();
  });
  expect((await once(child, 'exit'))[0]).toBe(2);
  expect(output).toBe("filerpair sentinel: ENOENT: no such file or directory, open '/nowhere'\n");
});
