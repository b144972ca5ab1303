import { expect, test } from 'vitest';
import type { ConnectionEvent } from '../../connection-event.ts';
import { Interruptions, summary } from './summary.ts';

const adopted = (port: 'primary' | 'secondary', afterMs: number): ConnectionEvent => ({
  kind: 'Adopted',
  atMs: 0,
  port,
  target: 'x',
  afterMs,
  attempts: 1,
  resent: 0,
});
const counts = { files: 1, bytes: 1024 ** 3, same: 0, links: 0 };

test('one file, and a failover on the way', () => {
  const interruptions = new Interruptions();
  const client = {};
  interruptions.hear(client, adopted('primary', 3));
  expect(summary(counts, 4700, interruptions)).toBe('1.0 GiB in 4.70 s');
  interruptions.hear(client, adopted('secondary', 82.4));
  expect(summary(counts, 4700, interruptions)).toBe(
    '1.0 GiB in 4.70 s, continued through 1 failover (82 ms)',
  );
  interruptions.hear(client, adopted('secondary', 1520));
  interruptions.hear(client, adopted('primary', 90));
  expect(summary(counts, 47_000, interruptions)).toBe(
    '1.0 GiB in 47.0 s, continued through 2 failovers (82 ms, 90 ms) and 1 interruption (1.5 s)',
  );
});

test('a tree', () => {
  const all = { files: 2000, bytes: 8 * 1024 ** 2, same: 0, links: 0 };
  expect(summary(all, 1234, new Interruptions())).toBe('2,000 files, 8.0 MiB in 1.23 s');
  expect(summary({ ...all, files: 0, bytes: 0, same: 2000, links: 3 }, 300, new Interruptions())).toBe(
    '0 files, 3 symbolic links, 0 B in 0.30 s, 2,000 were there already',
  );
});
