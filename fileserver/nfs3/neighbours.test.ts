/**
 * Operations about the same small tree that are under way together. Whatever is removed, moved, or closed to a user beside an
 * operation, it is executed once and its client is told so, wherever the owner is killed.
 */
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { beforeAll, expect, test } from 'vitest';
import { SeededRandom } from '../../testing/seeded-random.ts';
import { identityCanChange, startIoPool } from '../system/thread-identity.ts';
import { type Arrival, Neighbours, PARTS, type Part } from './neighbours.fixture.ts';

/** A killed process loses nothing that the kernel has. */
const parent = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
const random = new SeededRandom(1);

beforeAll(startIoPool);

async function check(
  all: readonly (readonly Part[])[],
  arrival: Arrival,
  carefully = true,
): Promise<string[]> {
  const neighbours = await Neighbours.on(parent, carefully);
  try {
    const wrong: string[] = [];
    for (const parts of all) wrong.push(...(await neighbours.check(parts, arrival, random)));
    expect(neighbours.kills).toBeGreaterThan(all.length * 4);
    return wrong;
  } finally {
    await neighbours.close();
  }
}

// Without root the next owner opens nothing by a handle that is a directory of mode 0, or a file below one (docs/fileserver.md).
const closes = ({ title }: Part): boolean => title.startsWith('SETATTR mode 0 ');
const isClosed = (part: Part): boolean => closes(part) || /^LINK dir\/x|of dir\/x/.test(part.title);
const pairs = PARTS.flatMap((one, index) => PARTS.slice(index).map((other) => [one, other] as const)).filter(
  ([one, other]) =>
    identityCanChange || !((closes(one) && isClosed(other)) || (closes(other) && isClosed(one))),
);

// All of them, in both orders: make crashes.
test('pairs that come together, a quarter of them', { timeout: 600_000 }, async () => {
  expect(await check(oneOf(4, pairs), 'together')).toEqual([]);
});

test('pairs of which the second comes while the first is executed, a twelfth', {
  timeout: 600_000,
}, async () => {
  const some = oneOf(12, pairs).map(([one, other]) => [other, one]);
  expect(await check(some, 'later')).toEqual([]);
});

test('three that come together, some of them', { timeout: 600_000 }, async () => {
  const some = Array.from({ length: 6 }, () => [random.pick(PARTS), random.pick(PARTS), random.pick(PARTS)]);
  expect(await check(some, 'together')).toEqual([]);
});

function oneOf<T>(count: number, all: readonly T[]): T[] {
  return all.filter(() => random.chance(1 / count));
}

const FORGETS = 'without what operations rely on, the same finds operations that were executed and forgotten';
test(FORGETS, async () => {
  const of = (title: string): Part => PARTS.find((part) => part.title === title)!;
  const known = [
    [of('REMOVE dir/x by the owner'), of('RMDIR dir by root')],
    [of('RENAME dir/x to other/x by the owner'), of('RMDIR dir by root')],
    [of('CREATE guarded dir/new by the owner'), of('SETATTR mode 0 of dir by root')],
    [of('REMOVE dir/x by the owner'), of('SETATTR mode 0 of dir by root')],
  ];
  for (const parts of known) expect(await check([parts], 'together', false)).not.toEqual([]);
});
