import { expect, it } from 'vitest';
import { pause } from '../../testing/pause.ts';
import { SharedAnswer } from './shared-answer.ts';

it('works it out once for all who ask meanwhile and a while after, and then again', async () => {
  let worked = 0;
  const answer = new SharedAnswer(async () => {
    await pause(20, 'the answer takes its time');
    worked += 1;
    return worked;
  }, 50);
  expect(await Promise.all([answer.get(), answer.get(), answer.get()])).toEqual([1, 1, 1]);
  expect(await answer.get()).toBe(1);
  await pause(60, 'the answer is out of date');
  expect(await answer.get()).toBe(2);
});

it('keeps nothing that failed', async () => {
  let worked = 0;
  const answer = new SharedAnswer(async () => {
    worked += 1;
    if (worked === 1) throw new Error('not now');
    return worked;
  }, 60_000);
  await expect(answer.get()).rejects.toThrow('not now');
  expect(await answer.get()).toBe(2);
});
