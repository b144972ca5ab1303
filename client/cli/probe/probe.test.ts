/** filerpair probe on a real pair: a takeover and a giveback, and what it says when it is interrupted. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { program } from '../../../testing/program.ts';
import { TestPair } from '../../pair.fixture.ts';
import { controlRequest } from '../control-request.ts';
import { type ProbeLine, parseProbeLine, probeText } from './probe-line.ts';

let pair: TestPair;
beforeAll(async () => {
  pair = await TestPair.start();
}, 90_000);
afterAll(() => pair?.stop(), 60_000);

interface Running {
  readonly child: ChildProcess;
  readonly lines: ProbeLine[];
  readonly until: (kind: ProbeLine['kind']) => Promise<ProbeLine>;
}

function startProbe(...flags: string[]): Running {
  const main = program(new URL('../main.ts', import.meta.url));
  const child = spawn(process.execPath, [main, 'probe', pair.url(), '--json', ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: ProbeLine[] = [];
  const waiting: (() => void)[] = [];
  createInterface({ input: child.stdout! }).on('line', (text) => {
    const line = parseProbeLine(text);
    if (line === null) throw new Error(`no line of a probe: ${text}`);
    lines.push(line);
    for (const wake of waiting.splice(0)) wake();
  });
  const until = async (kind: ProbeLine['kind']): Promise<ProbeLine> => {
    for (;;) {
      const found = lines.find((line) => line.kind === kind);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
  };
  return { child, lines, until };
}

const probeFiles = (): string[] =>
  readdirSync(pair.stage.volume('filer-a')).filter((name) => name.startsWith('.filerpair-probe-'));

async function move(kind: 'takeover' | 'giveback', of: 'filer-a' | 'filer-b'): Promise<void> {
  await pair.covered();
  const reply = await controlRequest(pair.stage.controlSocket(of), `/${kind}`, { home: 'filer-a' });
  expect(reply.status).toBe(200);
}

it('sees a round trip, loses no line, and removes its file', async () => {
  const probe = startProbe('--write', '--round-trip');
  const ended = once(probe.child, 'close');
  await probe.until('Started');
  expect(probeFiles()).toHaveLength(1);
  await move('takeover', 'filer-a');
  await probe.until('Answered');
  await move('giveback', 'filer-b');
  expect(await ended).toEqual([0, null]);

  expect(probe.lines.map((line) => (line.kind === 'Adopted' ? `Adopted ${line.port}` : line.kind))).toEqual([
    'Started',
    ...['Lost', 'Adopted secondary', 'Answered'],
    ...['Lost', 'Adopted primary', 'Answered'],
    'Ended',
  ]);
  const times = probe.lines.map(({ atMs }) => atMs);
  expect(times.toSorted((a, b) => a - b)).toEqual(times);
  const last = probe.lines.at(-1) as Extract<ProbeLine, { kind: 'Ended' }>;
  expect(last.lines).toEqual({ acknowledged: last.replies, lost: 0 });
  // A pause holds what lies between loss and adoption.
  const [lost, , answered] = probe.lines.slice(1) as [
    ProbeLine,
    ProbeLine,
    { atMs: number; pauseMs: number },
  ];
  expect(answered.pauseMs).toBeGreaterThan(answered.atMs - lost.atMs - 1);
  expect(last.longestPauseMs).toBeGreaterThanOrEqual(answered.pauseMs);
  expect(probeFiles()).toEqual([]);
}, 90_000);

it('ends when it is interrupted, says what it has seen, and removes its file', async () => {
  const probe = startProbe('--write');
  const ended = once(probe.child, 'close');
  await probe.until('Started');
  probe.child.kill('SIGTERM');
  await ended;
  expect(probe.lines.at(-1)!.kind).toBe('Ended');
  expect(probeFiles()).toEqual([]);
}, 60_000);

it('says the same to people', () => {
  const texts = (
    [
      { kind: 'Started', atMs: 1 },
      { kind: 'Answered', atMs: 2, pauseMs: 82.4 },
      { kind: 'Ended', atMs: 3, replies: 7, longestPauseMs: 9.25, lines: { acknowledged: 7, lost: 1 } },
    ] as const
  ).map((line) => probeText('filer-a', line));
  expect(texts).toEqual([
    'filer-a answers; the next lines say when it does not',
    'filer-a answers again: a pause of 82 ms',
    '7 replies, the longest pause between two was 9.3 ms; 7 lines acknowledged, 1 of them lost',
  ]);
});

it.each(['', 'filerpair: no answer yet', 'null', '{"kind":"Else","atMs":1}', '{"kind":"Started"}'])(
  'takes no other line for its own: %j',
  (text) => expect(parseProbeLine(text)).toBeNull(),
);
