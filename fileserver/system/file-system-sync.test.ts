import { expect, test } from 'vitest';
import { FileSystemSync } from './file-system-sync.ts';
import { FlushTimes } from './flush-queue.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('one at a time; what comes meanwhile shares the next one, and each is told its own result', async () => {
  const asked: PromiseWithResolvers<number>[] = [];
  const told: string[] = [];
  const flushes = new FlushTimes();
  const syncfs = (): Promise<number> => {
    asked.push(Promise.withResolvers<number>());
    return asked.at(-1)!.promise;
  };
  const sync = new FileSystemSync(7, flushes, syncfs);
  const ask = (name: string): void => sync.sync((result) => told.push(`${name}: ${result}`));
  ask('A');
  ask('B');
  ask('C');
  expect([asked.length, flushes.underWay]).toEqual([1, 3]);
  asked[0]!.resolve(0);
  await turn();
  expect([told, asked.length, flushes.underWay]).toEqual([['A: 0'], 2, 2]);
  asked[1]!.reject(new Error('no thread'));
  await flushes.whenEnded();
  expect(told).toEqual(['A: 0', 'B: -5', 'C: -5']);
  expect(flushes.count).toBe(2);
});
