import { expect, test } from 'vitest';
import { OutputSlabs } from './output-slabs.ts';

const REPLY_SIZE = 1024 * 1024;

/** What a reply of this size would have done with it: filled, handed to a socket, taken by the kernel. */
function stream(slabs: OutputSlabs, replies: number): void {
  const sent = Array.from({ length: replies }, () => {
    const slab = slabs.withRoom(REPLY_SIZE);
    slab.w.bytes.fill(1);
    slab.w.position = slab.size;
    slab.inFlight += 1;
    return slab;
  });
  for (const slab of sent) slab.taken();
}

test('what a client that streamed has needed is given back when it has stopped, without waiting for the collector', () => {
  const slabs = new OutputSlabs();
  stream(slabs, 24);
  slabs.trim();
  const busy = process.memoryUsage.rss();
  // The first trim() was in a second in which they were used.
  slabs.trim();
  const given = (busy - process.memoryUsage.rss()) / 1024 / 1024;
  expect(given).toBeGreaterThan(15);
});

test('slabs that are in use stay', () => {
  const slabs = new OutputSlabs();
  stream(slabs, 4);
  for (let second = 0; second < 3; second++) {
    slabs.trim();
    stream(slabs, 4);
  }
  const slab = slabs.withRoom(REPLY_SIZE);
  expect(slab.w.bytes.buffer.detached).toBe(false);
  expect(slab.w.bytes.at(-1)).toBe(1);
});
