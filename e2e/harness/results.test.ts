import { expect, test } from 'vitest';
import { resultsTable } from './results.ts';

test('shows every scenario with its figures in columns', () => {
  const table = resultsTable({
    'process-killed': {
      passed: true,
      gapMs: 143.4,
      gapMsGoal: 500,
      givebackGapMs: 80,
      acknowledged: 900,
      lost: 0,
      duplicated: 0,
      tookMs: 1,
    },
    'node-paused': { passed: false, tookMs: 1 },
  });
  expect(table.split('\n')).toEqual([
    'scenario        result  longest gap    goal  at giveback  acknowledged  lost  twice',
    'process-killed  passed       143 ms  500 ms        80 ms           900     0      0',
    'node-paused     FAILED',
  ]);
});
