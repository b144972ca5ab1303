/** SECONDS=120 for the long form (make registers). */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TestPair } from './pair.fixture.ts';
import { Registers } from './registers.fixture.ts';

const SECONDS = Number(process.env['SECONDS'] ?? 8);
const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));

let pair: TestPair;

beforeAll(async () => {
  pair = await TestPair.start();
}, 90_000);

afterAll(() => pair?.stop(), 60_000);

it(
  `seed ${SEED}: ${SECONDS} s of freezes, kills and givebacks show nobody old data and execute nothing twice`,
  async () => {
    const counts = await new Registers(pair, SEED).run(SECONDS);
    console.log(JSON.stringify(counts));
    expect(counts.stale).toEqual([]);
    expect(counts.doubled).toEqual([]);
    expect(counts.freezes).toBeGreaterThan(0);
    expect(counts.givebacks).toBeGreaterThan(0);
    expect(counts.writes).toBeGreaterThan(100);
    expect(counts.names).toBeGreaterThan(10);
  },
  SECONDS * 1000 + 180_000,
);
