// docs/design.md R6: the disk knows whose it is.
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { OPEN } from '../system/open-gate.fixture.ts';
import { NO_WRITES, RefusedError } from '../system/write-gate.ts';
import {
  initialiseVolume,
  OwnershipAheadError,
  type OwnershipRecord,
  ownershipFile,
  privateDirectory,
  readOwnership,
  readSecret,
  readVolumeRecord,
  writeOwnership,
} from './ownership.ts';
import { VolumeRecordError } from './private-files.ts';

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

async function own(epoch: number): Promise<void> {
  await writeOwnership(OPEN, root, record(epoch));
}

test('a virgin directory has no records; initialised, it has a UUID, a home and a secret', async () => {
  expect(await readVolumeRecord(root)).toBe(null);
  const made = await initialiseVolume(OPEN, root, 'filer-a');
  expect(await readVolumeRecord(root)).toEqual(made);
  expect(made.home).toBe('filer-a');
  expect((await readSecret(root))?.length).toBe(32);
  expect(await readOwnership(root)).toBe(null);
  const { mode } = statSync(privateDirectory(root));
  expect(mode & 0o777).toBe(0o700);
});

test('what an interrupted initialisation left behind is made anew', async () => {
  await initialiseVolume(OPEN, root, 'filer-a');
  unlinkSync(join(privateDirectory(root), 'volume.json'));
  const made = await initialiseVolume(OPEN, root, 'filer-a');
  expect(await readVolumeRecord(root)).toEqual(made);
});

test('a volume that has been served is never made anew: all handles would end', async () => {
  await initialiseVolume(OPEN, root, 'filer-a');
  await own(1);
  unlinkSync(join(privateDirectory(root), 'volume.json'));
  await expect(initialiseVolume(OPEN, root, 'filer-a')).rejects.toThrow(
    'volume.json is missing; restore it from a backup',
  );
});

test('each ownership replaces the one before, in place', async () => {
  await initialiseVolume(OPEN, root, 'filer-a');
  for (let epoch = 1; epoch <= 5; epoch++) {
    await own(epoch);
    expect(await readOwnership(root)).toEqual(record(epoch));
    expect(statSync(join(privateDirectory(root), 'ownership')).size).toBe(8192);
  }
});

test('the record of a higher epoch, or of another owner of this one, is never replaced', async () => {
  await initialiseVolume(OPEN, root, 'filer-a');
  await own(3);
  const before = readFileSync(ownershipFile(root));
  await expect(own(2)).rejects.toThrow('is owned by filer-b in epoch 3; filer-b claims it in epoch 2');
  await expect(writeOwnership(OPEN, root, { ...record(3), owner: 'filer-a' })).rejects.toThrow(
    OwnershipAheadError,
  );
  expect(readFileSync(ownershipFile(root)).equals(before)).toBe(true);
  await own(3);
  await own(4);
  expect((await readOwnership(root))?.epoch).toBe(4);
});

test.each([false, true])('without the right none is written (written through: %s)', async (writeThrough) => {
  await initialiseVolume(OPEN, root, 'filer-a');
  const before = readFileSync(ownershipFile(root));
  await expect(writeOwnership(NO_WRITES, root, record(1), writeThrough)).rejects.toThrow(RefusedError);
  expect(readFileSync(ownershipFile(root)).equals(before)).toBe(true);
  await writeOwnership(OPEN, root, record(1), writeThrough);
  expect(await readOwnership(root)).toEqual(record(1));
});

describe('records that are damaged', () => {
  const file = (name: string): string => join(privateDirectory(root), name);
  beforeEach(async () => {
    await initialiseVolume(OPEN, root, 'filer-a');
    await own(1);
  });

  test('torn at any byte, the record before it counts', async () => {
    await own(2);
    const whole = readFileSync(file('ownership'));
    const at = whole.indexOf('"generation":2') - 1;
    const end = whole.indexOf('}}', at) + 2;
    const before = Buffer.alloc(4096, ' ');
    for (let cut = at + 1; cut < end; cut += 3) {
      const torn = Buffer.from(whole);
      before.copy(torn, cut, 0, 4096 - (cut - at));
      writeFileSync(file('ownership'), torn);
      expect(await readOwnership(root)).toEqual(record(1));
    }
    writeFileSync(file('ownership'), whole);
    expect(await readOwnership(root)).toEqual(record(2));
  });

  test('a changed digit is noticed; with no valid record left the volume is refused', async () => {
    const text = readFileSync(file('ownership'), 'utf8').replace('"epoch":1', '"epoch":0');
    writeFileSync(file('ownership'), text);
    await expect(readOwnership(root)).rejects.toThrow(VolumeRecordError);
    await expect(readOwnership(root)).rejects.toThrow('ownership is damaged; restore it from a backup');
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
