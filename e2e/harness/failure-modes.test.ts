import { expect, test } from 'vitest';
import { failureTable, withTable } from './failure-modes.ts';

const measured = { gapMs: 412.3, acknowledged: 900, lost: 0, duplicated: 0, tookMs: 1 };

test('the table has a line for each scenario that measured a gap, and hides no failure', () => {
  const table = failureTable(
    {
      'helm-install': { passed: true, tookMs: 5 },
      'pod-deleted': {
        ...measured,
        passed: true,
        fault: 'the pod is deleted',
        gapMsGoal: 500,
        givebackGapMs: 99,
      },
      'node-killed': { ...measured, passed: false, lost: 2, leaseMs: 12_000 },
    },
    '2026-11-30',
  );
  expect(table.split('\n').slice(2)).toEqual([
    '| the pod is deleted | 0.41 s | 0.50 s | 0.10 s | 900 | 0 | 0 |  | pod-deleted | 2026-11-30 |',
    '| node-killed | 0.41 s |  |  | 900 | 2 | 0 | 12 s | node-killed (FAILED) | 2026-11-30 |',
  ]);
});

test('what was not run keeps its line and its day; what was run again has a new one in its place', () => {
  const one = { ...measured, passed: true };
  const before = failureTable({ first: { ...one, passed: false }, second: one }, '2026-11-23');
  const after = failureTable({ first: one, third: one }, '2026-11-30', `about\n\n${before}\n`);
  expect(after.split('\n')).toEqual([
    ...before.split('\n').slice(0, 2),
    '| first | 0.41 s |  |  | 900 | 0 | 0 |  | first | 2026-11-30 |',
    '| second | 0.41 s |  |  | 900 | 0 | 0 |  | second | 2026-11-23 |',
    '| third | 0.41 s |  |  | 900 | 0 | 0 |  | third | 2026-11-30 |',
  ]);
});

test('the table stands between its marks, whatever stood there', () => {
  const marks = ['<!-- measured: begin (node e2e/main.ts failures) -->', '<!-- measured: end -->'];
  const document = `# A\n\n${marks[0]}\nold\n${marks[1]}\n\nmore\n`;
  const table = (before: string) => `new, and not ${before.trim()}`;
  expect(withTable(document, 'where', table)).toBe(
    `# A\n\n${marks[0]}\n\nwhere\n\nnew, and not old\n\n${marks[1]}\n\nmore\n`,
  );
  expect(() => withTable('nothing', 'where', table)).toThrow('no marks');
});
