import { beforeEach, expect, test } from 'vitest';
import { GroupPacing } from './group-pacing.ts';

const EXECUTION_MS = 0.03;
let pacing: GroupPacing;

beforeEach(() => {
  pacing = new GroupPacing();
});

/** So that it is what they usually take. */
function took(flushMs: number, executionMs = EXECUTION_MS): void {
  for (let i = 0; i < 100; i++) {
    pacing.noteFlush(flushMs);
    pacing.noteExecution(executionMs);
  }
}

test('nothing is known yet: one after the other, and nobody is waited for', () => {
  expect(pacing.mayOverlap(1000, 1000)).toBe(false);
  pacing.noteAnswered(1000, 0, 0);
  expect(pacing.gatherMs(1, 0)).toBe(0);
});

test('beside a flush that takes about as long', () => {
  took(1);
  expect(pacing.mayOverlap(32, 32)).toBe(true);
  // Others will come before it ends.
  expect(pacing.mayOverlap(6, 32)).toBe(false);
});

test('on a slow flush not beside it: those that were answered are waited for, until they are here', () => {
  took(8);
  expect(pacing.mayOverlap(200, 30)).toBe(false);
  pacing.noteAnswered(30, 20, 1000);
  expect(pacing.gatherMs(20, 1000)).toBeCloseTo(2);
  expect(pacing.gatherMs(35, 1000.5)).toBeCloseTo(1.5);
  expect(pacing.gatherMs(50, 1001)).toBe(0);
});

test('for a quarter of a flush at most', () => {
  took(8);
  pacing.noteAnswered(30, 20, 1000);
  expect(pacing.gatherMs(49, 1002.1)).toBe(0);
});

test('a client that is alone is not waited for: it is here when anybody is', () => {
  took(8);
  pacing.noteAnswered(1, 0, 1000);
  expect(pacing.gatherMs(1, 1000.2)).toBe(0);
});

test('not those that do not come: it is tried again after 16 groups', () => {
  took(8);
  let tried = 0;
  for (let group = 0; group < 170; group++) {
    pacing.noteAnswered(30, 20, 1000);
    if (pacing.gatherMs(20, 1000) > 0) tried += 1;
    expect(pacing.gatherMs(21, 1005)).toBe(0);
  }
  expect(tried).toBe(10);
});

test('not where the flush is shorter than the way to the client and back, or than executing all of them', () => {
  took(1);
  pacing.noteAnswered(30, 20, 1000);
  expect(pacing.gatherMs(20, 1000)).toBe(0);
  took(8, 1);
  pacing.noteAnswered(30, 20, 1000);
  expect(pacing.gatherMs(20, 1000)).toBe(0);
});
