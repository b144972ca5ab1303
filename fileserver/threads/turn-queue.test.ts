import { expect, test } from 'vitest';
import { TurnQueue } from './turn-queue.ts';

function taken(queue: TurnQueue<number, string>): string[] {
  const items: string[] = [];
  for (let item = queue.take(); item !== null; item = queue.take()) items.push(item);
  return items;
}

test('clients come one after the other, however many calls each has sent', () => {
  const queue = new TurnQueue<number, string>();
  for (let i = 1; i <= 4; i++) queue.add('greedy', 1, `greedy ${i}`);
  queue.add('modest', 2, 'modest 1');
  queue.add('other', 3, 'other 1');
  queue.add('other', 3, 'other 2');
  expect(queue.size).toBe(7);
  expect(taken(queue)).toEqual([
    'greedy 1',
    'modest 1',
    'other 1',
    'greedy 2',
    'other 2',
    'greedy 3',
    'greedy 4',
  ]);
  expect(queue.size).toBe(0);
});

test('of one client its connections do, each in its own order, and more of them bring no more turns', () => {
  const queue = new TurnQueue<number, string>();
  for (let i = 1; i <= 2; i++) for (const from of [1, 2]) queue.add('many', from, `${from}.${i}`);
  for (let i = 1; i <= 3; i++) queue.add('one', 3, `3.${i}`);
  expect(taken(queue)).toEqual(['1.1', '3.1', '2.1', '3.2', '1.2', '3.3', '2.2']);
});

test('who comes later has the next turn but one', () => {
  const queue = new TurnQueue<number, string>();
  for (let i = 1; i <= 3; i++) queue.add('greedy', 1, `greedy ${i}`);
  expect(queue.take()).toBe('greedy 1');
  queue.add('modest', 2, 'modest 1');
  expect(taken(queue)).toEqual(['greedy 2', 'modest 1', 'greedy 3']);
});
