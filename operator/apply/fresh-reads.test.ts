import { describe, expect, test } from 'vitest';
import { FreshReads } from './fresh-reads.ts';

/** Lists that answer when they are told to, each with its number. */
function lists() {
  const fresh = new FreshReads();
  const open: { answer: () => void; fail: () => void }[] = [];
  const ask = (what = 'pods') =>
    fresh.ask(what, () => {
      const number = open.length + 1;
      return new Promise<number>((resolve, reject) => {
        open.push({ answer: () => resolve(number), fail: () => reject(new Error(`list ${number}`)) });
      });
    });
  return { open, ask };
}
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('lists past the caches', () => {
  test('no caller gets one that had begun before the question; all who ask meanwhile share the next', async () => {
    const { open, ask } = lists();
    const first = ask();
    const others = [ask(), ask(), ask()];
    await settled();
    expect(open).toHaveLength(1);
    open[0]!.answer();
    expect(await first).toBe(1);
    await settled();
    expect(open).toHaveLength(2);
    const later = ask();
    open[1]!.answer();
    expect(await Promise.all(others)).toEqual([2, 2, 2]);
    await settled();
    open[2]!.answer();
    expect(await later).toBe(3);
  });

  test('one that fails fails for those who share it, and the next is asked for all the same', async () => {
    const { open, ask } = lists();
    const first = ask();
    const second = ask();
    open[0]!.fail();
    await expect(first).rejects.toThrow('list 1');
    await settled();
    open[1]!.answer();
    expect(await second).toBe(2);
    const third = ask();
    expect(open, 'nothing is remembered').toHaveLength(3);
    open[2]!.answer();
    expect(await third).toBe(3);
  });

  test('of different names have nothing to do with each other', async () => {
    const { open, ask } = lists();
    const all = [ask('pods in a'), ask('pods in b')];
    expect(open).toHaveLength(2);
    for (const { answer } of open) answer();
    expect(await Promise.all(all)).toEqual([1, 2]);
  });
});
