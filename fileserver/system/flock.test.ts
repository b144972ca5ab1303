import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { tryLock, unlock } from './flock.ts';

const directory = mkdtempSync(join(tmpdir(), 'filerpair-flock-'));
const file = join(directory, 'lock');
afterAll(() => rmSync(directory, { recursive: true, force: true }));

it('lets one open file in and turns the other away until the first has unlocked', () => {
  const first = openSync(file, 'w');
  const second = openSync(file, 'w');
  expect(tryLock(first)).toBe(true);
  expect(tryLock(second)).toBe(false);
  unlock(first);
  expect(tryLock(second)).toBe(true);
  closeSync(second);
  expect(tryLock(first)).toBe(true);
  closeSync(first);
});

it('is given back by the kernel when the holder is killed', async () => {
  const child = spawn(
    process.execPath,
    [
      '--input-type=module',
      '--eval',
      `import { openSync, writeSync } from 'node:fs';
       import { tryLock } from ${JSON.stringify(new URL('./flock.ts', import.meta.url).href)};
       writeSync(1, String(tryLock(openSync(${JSON.stringify(file)}, 'w'))));
       setInterval(() => {}, 1000);`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const [answer] = await once(child.stdout, 'data');
  expect(String(answer)).toBe('true');
  const mine = openSync(file, 'w');
  expect(tryLock(mine)).toBe(false);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(tryLock(mine)).toBe(true);
  closeSync(mine);
});

it('throws what the kernel says about a descriptor that is none', () => {
  expect(() => tryLock(-1)).toThrow(/flock: EBADF/);
});
