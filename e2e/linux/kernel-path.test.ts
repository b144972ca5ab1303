/**
 * The kernel's path on this machine's own kernel, with a real pair and the real director. The clients connect as the Linux
 * kernel's NFS client does: from the same port again after a reset, and three seconds after a refusal.
 */
import { join } from 'node:path';
import { expect, inject, test } from 'vitest';
import { inOwnNamespaceWithLog, whyNoNamespace } from '../../client/node/own-namespace.fixture.ts';
import { REPOSITORY } from '../environment.ts';
import { readJsonFile, writeJsonFile } from '../machine/json-file.ts';
import type { Fault, KernelPathResult } from './kernel-path-script.ts';
import { answersIn, spread, waitAfter } from './waits.ts';

const SHORT: readonly Fault[] = [
  'kill',
  'giveback',
  'director',
  'freeze',
  'giveback',
  'directorAndKill',
  'giveback',
  'rulesFlushed',
];

/** What happens to the server that serves, what brings its disk set back, and what happens beside them. */
const AWAY: readonly Fault[] = ['kill', 'freeze', 'kill', 'directorAndKill', 'kill', 'directorAndFreeze'];
const BACK: readonly Fault[] = ['giveback', 'giveback', 'giveback', 'directorAndGiveback'];
const BESIDE: readonly Fault[] = ['director', 'rulesFlushed', 'nodeReplaced'];

function plan(count: number): Fault[] {
  const faults: Fault[] = [];
  for (let round = 0; faults.length < count; round++) {
    faults.push(AWAY[round % AWAY.length]!, BACK[round % BACK.length]!);
    if (round % 3 === 2) faults.push(BESIDE[Math.floor(round / 3) % BESIDE.length]!);
  }
  return faults;
}

/** A longer wait is shown with what the director did. Ms. */
const EXPLAINED_MS = 200;
const FIGURES = join(REPOSITORY, 'out/kernel-path.json');

const why = whyNoNamespace();
const count = inject('kernelPathFaults');
const planned = count === undefined ? SHORT : plan(count);

test.skipIf(why !== null)(
  `writers on four connections to a virtual address see no error, and no refusal, in ${planned.length} faults${why === null ? '' : `: ${why}`}`,
  async () => {
    const script = join(import.meta.dirname, 'kernel-path-script.ts');
    const { result, log } = await inOwnNamespaceWithLog<KernelPathResult>(script, ...planned);
    const faults = result.faults.map(({ begunAtMs, acknowledgedAtMs, ...one }) => {
      const endAtMs = Math.max(...acknowledgedAtMs.map((acks) => acks.at(-1) ?? 0));
      const lines = log.filter((line) => {
        const atMs = Date.parse(line.split(' ', 1)[0]!);
        return atMs >= begunAtMs && atMs <= endAtMs;
      });
      const waits = answersIn(lines).flatMap((atMs) => acknowledgedAtMs.map((acks) => waitAfter(acks, atMs)));
      const afterAnswerMs = waits.length === 0 ? null : Math.round(Math.max(...waits));
      return { ...one, log: lines, afterAnswerMs };
    });
    for (const { fault, gapMs, afterAnswerMs, log: said } of faults) {
      console.log(`${fault}: gap ${gapMs} ms, ${afterAnswerMs ?? '-'} ms after the answer`);
      if ((afterAnswerMs ?? 0) > EXPLAINED_MS) console.log(said.join('\n'));
    }
    const figures = {
      acknowledged: result.acknowledged,
      gapMs: spread(faults.map(({ gapMs }) => gapMs)),
      afterAnswerMs: spread(faults.flatMap(({ afterAnswerMs }) => afterAnswerMs ?? [])),
    };
    console.log(JSON.stringify(figures));
    if (count !== undefined)
      writeJsonFile(FIGURES, { ...readJsonFile<object>(FIGURES, {}), 'this machine': figures });

    const { errors, lost, doubled } = result;
    expect({ errors, lost, doubled }).toEqual({ errors: [], lost: 0, doubled: 0 });
    for (const { fault, refused, connections } of faults)
      expect(refused, `${fault}: ${connections.join(', ')}`).toBe(0);
  },
  planned.length * 20_000 + 120_000,
);
