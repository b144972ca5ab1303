import { expect, test } from 'vitest';
import { failureTable, withTable } from './failure-modes.ts';

test('the table has a line for each scenario that measured a gap, and hides no failure', () => {
  const measured = { gapMs: 412.3, acknowledged: 900, lost: 0, duplicated: 0, tookMs: 1 };
  const table = failureTable({
    'helm-install': { passed: true, tookMs: 5 },
    'pod-deleted': {
      ...measured,
      passed: true,
      fault: 'the pod is deleted',
      gapMsGoal: 500,
      givebackGapMs: 99,
    },
    'node-killed': { ...measured, passed: false, lost: 2 },
  });
  expect(table.split('\n').slice(2)).toEqual([
    '| the pod is deleted | 0.41 s | 0.50 s | 0.10 s | 900 | 0 | 0 | pod-deleted |',
    '| node-killed | 0.41 s |  |  | 900 | 2 | 0 | node-killed (FAILED) |',
  ]);
});

test('the table stands between its marks, whatever stood there', () => {
  const marks = ['<!-- measured: begin (node e2e/main.ts failures) -->', '<!-- measured: end -->'];
  const document = `# A\n\n${marks[0]}\nold\n${marks[1]}\n\nmore\n`;
  expect(withTable(document, 'new')).toBe(`# A\n\n${marks[0]}\n\nnew\n\n${marks[1]}\n\nmore\n`);
  expect(() => withTable('nothing', 'new')).toThrow('no marks');
});
