import { expect, test } from 'vitest';
import { SeededRandom } from '../../testing/seeded-random.ts';
import { applySome } from './crash-states.ts';
import type { DiskEvent } from './disk-log.ts';
import { fileSystemTypes } from './recording-disk.ts';

const BLOCK_SIZE = 4096;
const { superblock } = fileSystemTypes.ext4;
const event: DiskEvent = { kind: 'write', atMs: 0, offset: 0, data: Buffer.alloc(BLOCK_SIZE, 1) };

/** Sectors of the first block that are on the disk after a crash in which it was torn. */
function sectorsWritten(seed: number): string {
  const block = new Uint8Array(BLOCK_SIZE);
  const point = { events: 1, kept: 0.5, torn: true };
  applySome([event], 0, point, superblock, new SeededRandom(seed), (offset, data) => block.set(data, offset));
  return Array.from({ length: BLOCK_SIZE / 512 }, (_, sector) => block[sector * 512]).join('');
}

test('a block may be on the disk in any of its sectors, but for the superblock of ext4', () => {
  const found = Array.from({ length: 500 }, (_, seed) => sectorsWritten(seed));
  for (const sectors of found) expect(sectors[2]).toBe(sectors[3]);
  // All other halves of a KiB do differ.
  for (const first of [0, 4, 6])
    expect(found.some((sectors) => sectors[first] !== sectors[first + 1])).toBe(true);
  expect(found.some((sectors) => sectors[1] !== sectors[2])).toBe(true);
});
