/**
 * Names, messages and logs that want to steer the terminal of who looks at them: every command, on a real data thread and on a
 * server that says what it likes.
 */

import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isGroup } from './command.ts';
import { FILES } from './commands/index.ts';
import { filerpair, local, at as urlOf, volume } from './commands/served-export.fixture.ts';
import type { DrillPlan } from './drill/plan.ts';
import { drillScenes, drillText, type Transition } from './drill/scenes.ts';
import { pairList, pairTable, shareTable } from './pairs/pair-table.ts';
import { oneLine, Terminal } from './terminal.ts';

/** Sets the window's title, goes up and erases, says something of its own on a new line, C1's CSI, turns the line around. */
const HOSTILE = 'x\x1b]0;owned\x07\x1b[1A\x1b[2K\rdone\nfilerpair: all is well\u009b31m\u202egnp';

beforeAll(() => {
  mkdirSync(join(volume.path, HOSTILE, HOSTILE), { recursive: true });
  writeFileSync(join(volume.path, HOSTILE, 'file'), 'contents');
});

const at = (path: string): string => urlOf(encodeURIComponent(path));
const inside = (path: string): string => at(`${HOSTILE}/${path}`);

/** What each command shows of such names, in answers and in errors. */
const calls: Readonly<Record<string, readonly (() => string[])[]>> = {
  ls: [() => ['ls', at('')], () => ['ls', '-l', at('')], () => ['ls', inside(`no${HOSTILE}`)]],
  cat: [() => ['cat', at(HOSTILE)], () => ['cat', inside('none')]],
  cp: [
    () => ['cp', at(HOSTILE), join(local.path, 'copy')],
    () => ['cp', at(HOSTILE), at(HOSTILE)],
    () => ['cp', '-r', at(HOSTILE), join(local.path, 'copy')],
    () => ['cp', join(local.path, `no${HOSTILE.replaceAll('/', '')}`), at('there')],
  ],
  mkdir: [() => ['mkdir', at(HOSTILE)]],
  mv: [() => ['mv', inside('none'), inside('other')], () => ['mv', at(HOSTILE), `nfs://other/${HOSTILE}`]],
  put: [
    () => ['put', join(local.path, `no${HOSTILE.replaceAll('/', '')}`), at('there')],
    () => ['put', join(local.path, 'none'), at(HOSTILE)],
  ],
  rm: [() => ['rm', at(HOSTILE), at('none')], () => ['rm', inside('none')]],
  stat: [() => ['stat', at(HOSTILE)], () => ['stat', inside('none')]],
  // Where there is nothing to write to: it would go on otherwise.
  probe: [() => ['probe', inside('none/none'), '--write'], () => ['probe', `--no${HOSTILE}`]],
  proxy: [() => ['proxy', at(HOSTILE), '--listen', `1.2.3.4:1${HOSTILE}`]],
  status: [() => ['status', '--control', control], () => ['status', '--json', '--control', control]],
  takeover: [
    () => ['takeover', '--control', control],
    () => ['takeover', '--control', `${control}${HOSTILE}`],
  ],
  node: [() => ['node', `--no${HOSTILE}`]],
  doctor: [() => ['doctor', at(HOSTILE)], () => ['doctor', `--no${HOSTILE}`]],
  // It ends before it starts a director, which would go on after the test.
  mount: [() => ['mount', `http://${HOSTILE}`, local.path], () => ['mount', `--no${HOSTILE}`]],
  umount: [() => ['umount', join(local.path, `no${HOSTILE.replaceAll('/', '')}`)]],
  completion: [() => ['completion', HOSTILE]],
  giveback: [() => ['giveback', '--control', control, '--json'], () => ['giveback', `--no${HOSTILE}`]],
};
const control = join(local.path, 'control.sock');

describe('what a command writes', () => {
  const answers = createServer((request, response) => {
    const status = {
      server: HOSTILE,
      incarnation: HOSTILE,
      diskSets: [
        { home: HOSTILE, owner: HOSTILE, phase: HOSTILE, openFailure: { reason: HOSTILE, message: HOSTILE } },
      ],
      partner: { name: HOSTILE, connected: true, incarnation: HOSTILE },
      lastTransition: { kind: HOSTILE, cause: HOSTILE, phases: [{ name: HOSTILE, tookMs: 1 }] },
      message: HOSTILE,
    };
    response.statusCode = request.url === '/takeover' ? 409 : 200;
    response.end(JSON.stringify(status));
  });
  beforeAll(async () => {
    answers.listen(control);
    await once(answers, 'listening');
  });
  afterAll(() => answers.close());

  it('is tried for every command', () => {
    expect(Object.keys(calls).sort()).toEqual(
      FILES.commands.flatMap((each) => (isGroup(each) ? [] : [each.name])).sort(),
    );
  });

  it.each(Object.keys(calls))(
    '%s: holds nothing that steers a terminal, and no line that another user has forged',
    async (name) => {
      for (const call of calls[name]!) {
        const { stdout, stderr } = await filerpair(...call());
        const said = stdout + stderr;
        // `file` holds harmless contents, and cat alone writes contents as they are.
        expect(said).not.toMatch(/[^\P{Cc}\n]|[\u202a-\u202e]/u);
        expect(said.split('\n').filter((line) => line.startsWith('filerpair: all is well'))).toEqual([]);
      }
    },
    120_000,
  );
});

it('tells of pairs in the same way, whatever is in their status', () => {
  const time = new Date(0).toISOString();
  const condition = (type: string) => ({
    type,
    status: 'False',
    reason: HOSTILE,
    message: HOSTILE,
    lastTransitionTime: time,
  });
  const metadata = { name: HOSTILE, namespace: HOSTILE };
  const pair = {
    metadata,
    spec: { maintenance: { reason: HOSTILE, drain: [HOSTILE] } },
    status: {
      observedGeneration: 1,
      summary: HOSTILE,
      conditions: [condition('Ready')],
      rollout: { step: HOSTILE, sinceTime: time, message: HOSTILE },
      servers: [{ name: HOSTILE, pod: HOSTILE, node: HOSTILE, conditions: [condition('Running')] }],
      diskSets: [{ name: HOSTILE, owner: HOSTILE, epoch: 1, conditions: [condition('Served')] }],
    },
  } as unknown as Parameters<typeof pairTable>[0];
  const phases = [{ name: HOSTILE, durationMilliseconds: 1 }];
  const belongings = {
    operations: [{ metadata, spec: { type: HOSTILE }, status: { conditions: [condition('Complete')] } }],
    diskSets: [
      {
        metadata,
        spec: { server: HOSTILE },
        status: { history: [{ kind: HOSTILE, cause: HOSTILE, to: HOSTILE, epoch: 1, time, phases }] },
      },
    ],
  } as unknown as Parameters<typeof pairTable>[1];
  const share = {
    metadata,
    spec: { server: HOSTILE, volume: HOSTILE, access: HOSTILE, clients: [HOSTILE] },
    status: { server: HOSTILE, path: HOSTILE, conditions: [condition('Ready')] },
  } as unknown as Parameters<typeof shareTable>[0][number];
  const plan = { epoch: 0, server: 'a', partner: HOSTILE, share: HOSTILE, service: HOSTILE } as DrillPlan;
  const told = [
    { epoch: 1, kind: HOSTILE, cause: HOSTILE, to: HOSTILE, time, durationMilliseconds: 1, phases },
  ] as unknown as readonly Transition[];
  let said = '';
  const terminal = new Terminal(
    new Writable({
      write: (chunk, _encoding, done) => {
        said += String(chunk);
        done();
      },
    }),
  );
  terminal.write(drillText(plan, drillScenes(plan, told, []), []));
  terminal.write(pairTable(pair, belongings, 0));
  terminal.write(shareTable([share]));
  terminal.write(pairList([pair], 0));
  terminal.picture(pairTable(pair, belongings, 0));
  terminal.line(HOSTILE);
  expect(said).not.toMatch(/[^\P{Cc}\n]|[\u202a-\u202e]/u);
});

it('escapes so that JSON stays what it is', () => {
  let said = '';
  const terminal = new Terminal(
    new Writable({
      write: (chunk, _encoding, done) => {
        said += String(chunk);
        done();
      },
    }),
  );
  terminal.write(JSON.stringify({ text: HOSTILE }));
  expect(JSON.parse(said)).toEqual({ text: HOSTILE });
  expect(said).not.toMatch(/\p{Cc}/u);
  expect(oneLine('a\tb\nc\u009bd\u202ee')).toBe('a\\x09b\\x0ac\\x9bd\\u202ee');
});
