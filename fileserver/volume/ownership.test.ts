// DESIGN R6: the disk knows whose it is.
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  initialiseVolume,
  type OwnershipRecord,
  privateDirectory,
  readOwnership,
  readSecret,
  readVolumeRecord,
  VolumeRecordError,
  writeOwnership,
} from './ownership.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'filerpair-ownership-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const record = (epoch: number): OwnershipRecord => ({
  uuid: '00000000-0000-4000-8000-000000000000',
  home: 'filer-a',
  owner: 'filer-b',
  ownerIncarnation: 'filer-b/place/run',
  epoch,
  writeVerifier: '0123456789abcdef',
  clean: false,
});

test('a virgin directory has no records; initialised, it has a UUID, a home and a secret', async () => {
  expect(await readVolumeRecord(root)).toBe(null);
  const made = await initialiseVolume(root, 'filer-a');
  expect(await readVolumeRecord(root)).toEqual(made);
  expect(made.home).toBe('filer-a');
  expect((await readSecret(root)).length).toBe(32);
  expect(await readOwnership(root)).toBe(null);
  const { mode } = statSync(privateDirectory(root));
  expect(mode & 0o777).toBe(0o700);
});

test('what an interrupted initialisation left behind is made anew', async () => {
  await initialiseVolume(root, 'filer-a');
  unlinkSync(join(privateDirectory(root), 'volume.json'));
  const made = await initialiseVolume(root, 'filer-a');
  expect(await readVolumeRecord(root)).toEqual(made);
});

test('a volume that has been served is never made anew: all handles would end', async () => {
  await initialiseVolume(root, 'filer-a');
  await writeOwnership(root, record(1));
  unlinkSync(join(privateDirectory(root), 'volume.json'));
  await expect(initialiseVolume(root, 'filer-a')).rejects.toThrow(
    'volume.json is missing; restore it from a backup',
  );
});

test('each ownership replaces the one before, in the same two files', async () => {
  await initialiseVolume(root, 'filer-a');
  for (let epoch = 1; epoch <= 5; epoch++) {
    await writeOwnership(root, record(epoch));
    expect(await readOwnership(root)).toEqual(record(epoch));
  }
  const own = readdirSync(privateDirectory(root)).filter((name) => name.startsWith('ownership'));
  expect(own.sort()).toEqual(['ownership.json', 'ownership.json.spare']);
  for (const name of own) expect(statSync(join(privateDirectory(root), name)).size).toBe(4096);
});

describe('records that are damaged', () => {
  const file = (name: string): string => join(privateDirectory(root), name);
  beforeEach(async () => {
    await initialiseVolume(root, 'filer-a');
    await writeOwnership(root, record(1));
  });

  test.each([
    ['ownership.json', '', 'is not JSON'],
    ['ownership.json', '[]', 'is not an ownership record'],
    ['ownership.json', JSON.stringify({ ...record(1), epoch: 1.5 }), 'is not an ownership record'],
    ['ownership.json', JSON.stringify({ ...record(1), writeVerifier: 'x' }), 'is not an ownership record'],
  ])('%s with %j', async (name, content, message) => {
    writeFileSync(file(name), content);
    await expect(readOwnership(root)).rejects.toThrow(VolumeRecordError);
    await expect(readOwnership(root)).rejects.toThrow(message);
  });

  test('a volume of a later format', async () => {
    const later = { ...JSON.parse(readFileSync(file('volume.json'), 'utf8')), format: 2 };
    writeFileSync(file('volume.json'), JSON.stringify(later));
    await expect(readVolumeRecord(root)).rejects.toThrow('format 2, this version reads 1');
  });

  test('a secret that is too short', async () => {
    chmodSync(file('secret'), 0o600);
    writeFileSync(file('secret'), 'short');
    await expect(readSecret(root)).rejects.toThrow('has 5 bytes instead of 32');
  });
});
