import { expect, test } from 'vitest';
import { differences, outcomesOf } from './outcome.ts';

const OUTPUT = [
  '\x1b[34mchmod::change_perm::regular\x1b[0m      \x1b[32mok\x1b[0m',
  'utimensat::y2038           FAILED',
  '\tassertion failed: seconds',
  'Backtrace:',
  'chflags::denied            skipped',
  '\trequires features: chflags',
  'Summary: 1 failed, 1 skipped, 1 passed, 0 expected failures, 3 total',
].join('\r\n');

test('each test with its verdict, and the first line of what a failed one said', () => {
  expect([...outcomesOf(OUTPUT)]).toEqual([
    ['chmod::change_perm::regular', { verdict: 'ok', detail: '' }],
    ['utimensat::y2038', { verdict: 'FAILED', detail: 'assertion failed: seconds' }],
    ['chflags::denied', { verdict: 'skipped', detail: 'requires features: chflags' }],
  ]);
});

test('a difference is what succeeds locally and not in the mount', () => {
  const mounted = outcomesOf(OUTPUT);
  const local = new Map([...mounted].map(([name]) => [name, { verdict: 'ok', detail: '' } as const]));
  expect(differences(local, mounted).map(({ name }) => name)).toEqual([
    'utimensat::y2038',
    'chflags::denied',
  ]);
  expect(differences(mounted, mounted)).toEqual([]);
});
