/** The checker must find what it is there for: a test of the tests. */
import { expect, test } from 'vitest';
import { type HistoryEntry, lineText } from '../writer/history.ts';
import { BEFORE, checkHistory, type FoundEntry } from './check-history.ts';

const RUN = 'r1';
const line = (number: number, answeredMs: number): HistoryEntry => ({
  kind: 'line',
  number,
  sentMs: answeredMs - 1,
  answeredMs,
});
const operation = (procedure: string, path: string, status = 0, answeredMs = 0): HistoryEntry => ({
  kind: 'operation',
  procedure,
  path,
  status,
  sentMs: answeredMs,
  answeredMs,
});
const file = (mode = 0o644): FoundEntry => ({ kind: 'file', mode });
const directory: FoundEntry = { kind: 'directory', mode: 0o755 };
const content = (...numbers: number[]) =>
  Buffer.from(numbers.map((number) => lineText(RUN, number)).join(''));

/** A complete round 0, and what it leaves. */
const ROUND: HistoryEntry[] = [
  operation('MKDIR', 'rounds/round-0'),
  operation('CREATE', 'rounds/round-0/created'),
  operation('LINK', 'rounds/round-0/linked'),
  operation('RENAME', 'rounds/round-0/renamed'),
  operation('SETATTR', 'rounds/round-0/created'),
];
const LEFT: [string, FoundEntry][] = [
  ['rounds/round-0', directory],
  ['rounds/round-0/created', file(0o600)],
  ['rounds/round-0/renamed', file(0o600)],
];
const on = (lines: Buffer, entries: [string, FoundEntry][] = []) => ({ lines, entries: new Map(entries) });

test('finds nothing wrong when everything acknowledged is there', () => {
  const verdict = checkHistory(RUN, [line(0, 1), line(1, 2), ...ROUND], on(content(0, 1), LEFT));
  expect(verdict).toMatchObject({ acknowledged: 7, lost: [], duplicated: [] });
});

test('finds an acknowledged line that is missing, and one that is overwritten', () => {
  const history = [line(0, 1), line(1, 2), line(2, 3)];
  expect(checkHistory(RUN, history, on(content(0, 1))).lost).toHaveLength(1);
  expect(checkHistory(RUN, history, on(content(0, 0, 2))).lost).toEqual([
    expect.stringContaining('line 1 is missing'),
  ]);
});

test('accepts a line that was written but never acknowledged', () => {
  expect(checkHistory(RUN, [line(0, 1)], on(content(0, 1))).lost).toEqual([]);
});

test.each([
  ['CREATE', 17],
  ['MKDIR', 17],
  ['LINK', 17],
  ['RENAME', 2],
  ['REMOVE', 2],
  ['SETATTR', 10002],
])('tells a %s that was executed twice by its status %i', (procedure, status) => {
  const history = [operation(procedure, 'rounds/round-0/x', status)];
  const verdict = checkHistory(RUN, history, on(content()));
  expect(verdict).toMatchObject({ lost: [], duplicated: [expect.stringContaining('twice')] });
});

test('takes another error for a loss of what came before', () => {
  const verdict = checkHistory(RUN, [operation('CREATE', 'rounds/round-0/created', 70)], on(content()));
  expect(verdict.lost).toHaveLength(1);
});

test.each([
  ['the directory', 0],
  ['the created file', 1],
  ['the renamed link', 2],
])('finds that %s of a complete round is gone', (_, index) => {
  const verdict = checkHistory(RUN, ROUND, on(content(), LEFT.toSpliced(index, 1)));
  expect(verdict.lost.length).toBeGreaterThan(0);
});

test('finds an acknowledged SETATTR undone, and an acknowledged RENAME half done', () => {
  const undone = LEFT.with(1, ['rounds/round-0/created', file(0o644)]);
  expect(checkHistory(RUN, ROUND, on(content(), undone)).lost).toEqual([expect.stringContaining('mode 644')]);
  const half: [string, FoundEntry][] = [...LEFT, ['rounds/round-0/linked', file(0o600)]];
  expect(checkHistory(RUN, ROUND, on(content(), half)).lost).toEqual([
    expect.stringContaining('still there'),
  ]);
});

test('finds an acknowledged REMOVE undone', () => {
  const history = [operation('REMOVE', 'rounds/round-1/renamed')];
  const verdict = checkHistory(RUN, history, on(content(), [['rounds/round-1/renamed', file()]]));
  expect(verdict.lost).toEqual([expect.stringContaining('still there')]);
});

test('measures the longest gap after each mark', () => {
  const history: HistoryEntry[] = [
    line(0, 10),
    line(1, 14),
    { kind: 'mark', name: 'killed', atMs: 15 },
    line(2, 114),
    line(3, 120),
    { kind: 'mark', name: 'giveback', atMs: 121 },
    line(4, 160),
  ];
  const { gapMs } = checkHistory(RUN, history, on(content(0, 1, 2, 3, 4)));
  expect(Object.fromEntries(gapMs)).toEqual({ [BEFORE]: 4, killed: 100, giveback: 40 });
});

test('does not let lines hide an operation that is stuck', () => {
  const history: HistoryEntry[] = [
    operation('MKDIR', 'rounds/round-0', 0, 5),
    line(0, 10),
    line(1, 200),
    line(2, 390),
    operation('CREATE', 'rounds/round-0/created', 0, 400),
  ];
  expect(checkHistory(RUN, history, on(content(0, 1, 2))).gapMs.get(BEFORE)).toBe(395);
});
