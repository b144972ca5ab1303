import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { IDENTITY_SIZE } from '../../protocol/succession.ts';
import { keptIdentity } from './kept-identity.ts';

const ADDRESS = '127.0.0.1:20490';
let parent: string;
let directory: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'filerpair-identity-'));
  directory = join(parent, 'run');
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

const fileOf = (): string => join(directory, readdirSync(directory)[0]!);

test('a proxy that is started in the place of another one is the same to the servers', async () => {
  const first = await keptIdentity(directory, ADDRESS);
  expect(first).toHaveLength(IDENTITY_SIZE);
  expect(await keptIdentity(directory, ADDRESS)).toEqual(first);
  expect(await keptIdentity(directory, '[::1]:20490')).not.toEqual(first);
  expect(statSync(fileOf()).mode & 0o777).toBe(0o600);
});

test('a file that was cut short when the machine ended is written again', async () => {
  const first = await keptIdentity(directory, ADDRESS);
  truncateSync(fileOf(), 3);
  const second = await keptIdentity(directory, ADDRESS);
  expect(second).not.toEqual(first);
  expect(await keptIdentity(directory, ADDRESS)).toEqual(second);
});

test('what others can read, or have put there, is refused', async () => {
  await keptIdentity(directory, ADDRESS);
  chmodSync(fileOf(), 0o644);
  await expect(keptIdentity(directory, ADDRESS)).rejects.toThrow('others may read it');
  const file = fileOf();
  rmSync(file);
  writeFileSync(join(parent, 'elsewhere'), 'x'.repeat(IDENTITY_SIZE), { mode: 0o600 });
  symlinkSync(join(parent, 'elsewhere'), file);
  await expect(keptIdentity(directory, ADDRESS)).rejects.toThrow('ELOOP');
});
