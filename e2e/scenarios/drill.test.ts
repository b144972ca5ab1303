/**
 * kubectl filerpair drill on a pair in use: a takeover and a giveback with a probe that writes, drawn as a timeline; and what is
 * left when it is interrupted between the two.
 */
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../testing/eventually.ts';
import { REPOSITORY, readEnvironment } from '../environment.ts';
import { collectLogs } from '../harness/logs.ts';
import { PAIR, Pair } from '../harness/pair.ts';
import { PARTNER, SERVER } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import {
  NAMESPACE_GONE_MS_MAX,
  REQUEST_ANSWERED_MS_MAX,
  SCENARIO_MS_MAX,
  WRITER_FINISHED_MS_MAX,
} from '../harness/timeouts.ts';
import { outcomeOf, start } from '../machine/command.ts';
import { say } from '../machine/stage.ts';

const environment = readEnvironment();
const pair = new Pair(environment, 'e2e-drill');
const directory = mkdtempSync(join(tmpdir(), 'filerpair-drill-'));

const drill = (...flags: string[]): string[] => [
  ...[process.execPath, join(REPOSITORY, 'client/cli/main.ts'), 'pairs', 'drill', PAIR],
  ...['--namespace', pair.namespace, '--kubeconfig', environment.cluster.kubeconfig, ...flags],
];

/** Neither Job nor pod, nor a file of the probe. */
const nothingLeft = (): Promise<unknown> =>
  eventually('nothing of the probe is left', NAMESPACE_GONE_MS_MAX, async () => {
    const things = await Promise.all([
      pair.kubectl.list('jobs'),
      pair.kubectl.list('pods', 'app.kubernetes.io/name=filerpair-drill'),
    ]);
    const files = readdirSync(pair.directory(SERVER)).filter((name) => name.startsWith('.filerpair-probe'));
    return things.flat().length === 0 && files.length === 0;
  });

beforeAll(async () => {
  await step('a FilerPair is applied', () => pair.create());
  await step('it becomes Ready', () => pair.ready());
  await step('a takeover is possible', () => pair.takeoverPossible(WRITER_FINISHED_MS_MAX));
}, SCENARIO_MS_MAX);

afterAll(async () => {
  await collectLogs(pair, 'drill');
  await pair.remove();
  rmSync(directory, { recursive: true, force: true });
}, SCENARIO_MS_MAX);

test('draws a takeover and a giveback, loses no line, and leaves nothing', {
  timeout: SCENARIO_MS_MAX,
}, async () => {
  const picture = join(directory, 'drill.svg');
  const { code, stdout, stderr } = await step('the drill', () =>
    outcomeOf(drill('--write', '--picture', picture)),
  );
  say(`${stderr}${stdout}`);
  expect(code, stderr).toBe(0);
  for (const words of [
    'nas-b takes over the disks of nas-a, on request',
    'nas-b knows: it was handed over',
    'port 2050 is open',
    'client: secondary port found',
    'nas-a gets its disks back',
    'port 2049 is open',
    'client: primary port found',
    ' lines acknowledged, 0 of them lost',
  ])
    expect(stdout).toContain(words);
  expect(stdout.match(/the probe waited [\d.]+ ms for its next reply/g)).toHaveLength(2);
  expect(readFileSync(picture, 'utf8')).toContain('nas-a gets its disks back');
  expect(pair.ownerOf(SERVER)).toBe(SERVER);
  await nothingLeft();
});

test('interrupted when the partner serves, it asks for the giveback', {
  timeout: SCENARIO_MS_MAX,
}, async () => {
  await pair.takeoverPossible(WRITER_FINISHED_MS_MAX);
  const child = start(drill('--write'));
  const ended = once(child, 'close');
  const said: string[] = [];
  for await (const line of createInterface({ input: child.stderr! })) {
    said.push(line);
    // The first line names the probe, the second one is what the operator says of the takeover.
    if (said.length === 2) child.kill('SIGINT');
  }
  expect(await ended).toEqual([130, null]);
  expect(said.join('\n')).toMatch(
    new RegExp(`${PARTNER} serves the disk set of ${SERVER}; its giveback is asked for`),
  );
  await step('it is given back', () => pair.servedBy(SERVER, SERVER, 2 * REQUEST_ANSWERED_MS_MAX));
  await nothingLeft();
});
