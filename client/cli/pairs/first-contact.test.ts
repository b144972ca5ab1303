/** What the first command of a new user says where there is no cluster: one sentence, and no stack. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { program } from '../../../testing/program.ts';

const MAIN = program(new URL('../main.ts', import.meta.url));
const home = mkdtempSync(join(tmpdir(), 'filerpair-first-contact-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));

interface Answer {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

async function filerpair(args: readonly string[], environment: Record<string, string> = {}): Promise<Answer> {
  const child = spawn(process.execPath, [MAIN, 'pairs', ...args], {
    env: { PATH: process.env['PATH'] ?? '', HOME: home, ...environment },
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (part) => (out += String(part)));
  child.stderr.on('data', (part) => (err += String(part)));
  const [code] = await once(child, 'close');
  return { code, out, err };
}

let count = 0;
function file(text: string): string {
  const path = join(home, `kubeconfig-${count++}`);
  writeFileSync(path, text);
  return path;
}

const config = (server: string, current = 'here'): string => `apiVersion: v1
kind: Config
current-context: ${current}
contexts:
  - { name: here, context: { cluster: c, user: u } }
clusters:
  - { name: c, cluster: { server: '${server}' } }
users:
  - { name: u, user: { token: t } }
`;

/** Exactly this line, and nothing else. */
async function says(args: readonly string[], sentence: string, environment?: Record<string, string>) {
  expect(await filerpair(args, environment)).toEqual({ code: 1, out: '', err: `filerpair: ${sentence}\n` });
}

test('nothing is configured', async () => {
  await says(
    ['status'],
    `there is no kubeconfig: KUBECONFIG is not set and ${join(home, '.kube/config')} does not exist; name one with --kubeconfig FILE`,
  );
  const missing = join(home, 'missing');
  await says(['status', '--kubeconfig', missing], `kubeconfig ${missing} does not exist`);
  await says(['status'], `kubeconfig ${missing} does not exist`, { KUBECONFIG: missing });
}, 60_000);

test.each([
  ['is empty', '\n', 'FILE is empty: it names no cluster'],
  ['names nothing', 'apiVersion: v1\nkind: Config\n', 'FILE names no cluster'],
  ['is no kubeconfig', 'hello there\n', 'hello'],
  ['is broken', 'apiVersion: v1\nclusters:\n  - name: [c\n', 'FILE is not valid YAML, line '],
  ['lacks a server', config('').replace("server: ''", 'x: y'), 'clusters[0].cluster.server is missing'],
  [
    'has no current context',
    config('https://a', '""'),
    'no current context; choose one with --context: here',
  ],
  ['has another context', config('https://a', 'hree'), 'has no context hree; did you mean "here"?'],
  ['has a server that is no URL', config('api.example.org'), 'is "api.example.org", which is no URL'],
  ['has a server without TLS', config('http://a:8080'), 'is http://a:8080: an https:// URL is needed'],
])(
  'the kubeconfig %s',
  async (_, text, said) => {
    const path = file(text);
    const answer = await filerpair(['status', '--kubeconfig', path]);
    expect(answer).toMatchObject({ code: 1, out: '' });
    expect(answer.err).toMatch(/^filerpair: [^\n]+\n$/);
    expect(answer.err).toContain(
      said === 'hello' ? `${path} is not a kubeconfig` : said.replace('FILE', path),
    );
  },
  60_000,
);

test.skipIf(process.geteuid?.() === 0)(
  'the kubeconfig is not readable',
  async () => {
    const path = file(config('https://a'));
    chmodSync(path, 0);
    await says(['status', '--kubeconfig', path], `kubeconfig ${path} can't be read: permission denied`);
  },
  60_000,
);

test('the usual file is a directory', async () => {
  const path = join(home, 'directory');
  mkdirSync(path);
  await says(['status'], `kubeconfig ${path} can't be read: it is a directory`, { KUBECONFIG: path });
}, 60_000);

test('nobody listens', async () => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  await says(
    ['status', '--kubeconfig', file(config(`https://127.0.0.1:${port}`))],
    `the API server https://127.0.0.1:${port} (context here) does not answer (ECONNREFUSED): is the cluster running, and is this the context that is meant?`,
  );
}, 60_000);

test('somebody listens who never answers: who is waited for is said, and it ends after --timeout', async () => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    const { code, out, err } = await filerpair([
      'status',
      '--kubeconfig',
      file(config(url)),
      '--timeout',
      '4',
    ]);
    expect({ code, out }).toEqual({ code: 3, out: '' });
    const [waiting, end, ...rest] = err.split('\n');
    expect(waiting).toBe(`filerpair: no answer from ${url} yet (context here), trying for 4 s at most`);
    expect(end).toContain(`the API server ${url} (context here) has not answered in time`);
    expect(rest).toEqual(['']);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}, 60_000);
