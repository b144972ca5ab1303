/** Series of a run on a grid, in promtool's notation. */
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { compressed, onGrid, recordingText, seriesText } from './recorded-series.ts';

test('the last value of each interval counts, and an interval without one stays empty', () => {
  const samples = [
    [1000, 0],
    [3000, 1],
    [15_000, 2],
    [46_000, 3],
    [99_000, 9],
  ] as const;
  expect(onGrid(samples, 0, 4)).toEqual([null, 2, null, null, 3]);
});

test.each([
  [[null, null, null, 0, 0, 0, 1], '_x3 0x2 1'],
  [[null, 5.5, null], '_ 5.5 stale'],
  [[1, null, null, null, 2], '1 stale _x2 2'],
  [[7, 7], '7x1'],
])('%j is %s', (values, text) => expect(compressed(values)).toBe(text));

test('a series has no address of this machine', () => {
  const labels = { __name__: 'up', instance: '127.0.0.1:6443', job: 'servers', pod: 'nas-a-x', b: '1' };
  expect(seriesText(labels)).toBe('up{b="1",pod="nas-a-x"}');
});

test('at each moment those alerts fire that are named, and no others', () => {
  const text = recordingText({
    title: 'a kill',
    day: '2026-11-30',
    series: [{ series: 'up{}', values: [1, 1, null] }],
    moments: [
      { name: 'before', step: 1, firing: [] },
      { name: 'after', step: 2, firing: ['Down'] },
    ],
  });
  expect(parse(text).tests[0].promql_expr_test).toMatchObject([
    { eval_time: '15s', exp_samples: [] },
    { eval_time: '30s', exp_samples: [{ labels: '{alertname="Down"}', value: 1 }] },
  ]);
});
