import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { allocateRightTable, RightTable } from './right-table.ts';
import { bootMs } from './system/boottime.ts';

it('grants nothing before anyone has granted anything', () => {
  const table = new RightTable(allocateRightTable());
  expect(table.held('own')).toBe(false);
  expect(table.held('partner')).toBe(false);
});

it('keeps the two disk sets apart', () => {
  const table = new RightTable(allocateRightTable());
  table.set('partner', bootMs() + 60_000);
  expect(table.held('own')).toBe(false);
  expect(table.held('partner')).toBe(true);
  table.set('own', bootMs() + 60_000);
  table.set('partner', 0);
  expect(table.held('own')).toBe(true);
  expect(table.held('partner')).toBe(false);
});

it('ends by itself when the time is over, without anyone writing to it', () => {
  const table = new RightTable(allocateRightTable());
  const deadline = bootMs() + 5;
  table.set('own', deadline);
  let askedAt = 0;
  let heldWhenAsked = true;
  while (heldWhenAsked) {
    const now = bootMs();
    heldWhenAsked = table.held('own');
    if (heldWhenAsked) askedAt = now;
  }
  expect(askedAt).toBeLessThan(deadline);
  expect(bootMs()).toBeGreaterThanOrEqual(deadline);
});

it('is seen by a thread that is in the middle of a loop and reads no messages', async () => {
  const table = new RightTable(allocateRightTable());
  table.set('own', bootMs() + 60_000);
  const worker = new Worker(
    `const { workerData, parentPort } = require('node:worker_threads');
     import(workerData.module).then(({ RightTable }) => {
       const table = new RightTable(workerData.buffer);
       parentPort.postMessage('looping');
       while (table.held('own'));
       parentPort.postMessage('ended');
     });`,
    {
      eval: true,
      workerData: { buffer: table.buffer, module: new URL('./right-table.ts', import.meta.url).href },
    },
  );
  expect(await once(worker, 'message')).toEqual(['looping']);
  table.set('own', 0);
  expect(await once(worker, 'message')).toEqual(['ended']);
  await worker.terminate();
});
