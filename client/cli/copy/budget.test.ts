import { expect, test } from 'vitest';
import { Budget } from './budget.ts';

test('no more than its bytes and its number are under way, and who waits comes in order', async () => {
  const budget = new Budget({ sizeMax: 10, countMax: 3 });
  const begun: string[] = [];
  const take = async (name: string, size: number) => {
    const giveBack = await budget.take(size);
    begun.push(name);
    return giveBack;
  };
  const a = await take('a', 4);
  const b = await take('b', 6);
  const c = take('c', 25);
  const d = take('d', 1);
  await Promise.resolve();
  expect(begun).toEqual(['a', 'b']);
  a();
  await Promise.resolve();
  // d would fit, but c was first.
  expect(begun).toEqual(['a', 'b']);
  b();
  // What is larger than the whole has it for itself.
  const giveBack = await c;
  expect(begun).toEqual(['a', 'b', 'c']);
  giveBack();
  await d;
  await Promise.all([take('e', 0), take('f', 0)]);
  const g = take('g', 0);
  await new Promise(setImmediate);
  expect(begun).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
  (await d)();
  await g;
  expect(begun).toHaveLength(7);
});
