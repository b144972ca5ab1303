/** A user who may write to a volume's root gets nothing into the directory that the server trusts, and nothing out of it. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { pause } from '../../../testing/pause.ts';
import { O_RDONLY } from '../../system/file-calls.ts';
import { OPEN } from '../../system/open-gate.fixture.ts';
import { become, SERVER_IDENTITY, startIoPool } from '../../system/thread-identity.ts';
import { initialiseVolume, readSecret, readVolumeRecord } from '../ownership/volume-record.ts';
import { openVolume } from '../volume/open-volume.ts';
import type { Volume } from '../volume/volume.ts';
import { replaceDurably } from './durable-file.ts';
import { openPrivate, readPrivate } from './private-files.ts';

const isRoot = SERVER_IDENTITY.uid === 0;
const TENANT = 12_345;
const OWNER = { home: 'filer-a', server: 'filer-a', incarnation: 'filer-a/here/1', epoch: 1 };
/** As long as the secret that signs handles. */
const TREASURE = 'of somebody else: 32 bytes long..';

const TRIES = 12;

let place: string;
let root: string;
let own: string;
beforeEach(async () => {
  await startIoPool();
  place = mkdtempSync(join(tmpdir(), 'filerpair-private-'));
  root = join(place, 'volume');
  own = join(root, '.filerpair');
  mkdirSync(root);
  writeFileSync(join(place, 'treasure'), TREASURE);
});
afterEach(() => {
  become(SERVER_IDENTITY);
  rmSync(place, { recursive: true, force: true });
});

async function open(): Promise<Volume> {
  const volume = await openVolume({ name: 'data', path: root }, OWNER, OPEN, () => {});
  await volume.recorded;
  return volume;
}

async function makeVolume(): Promise<void> {
  const volume = await open();
  volume.takeRecoveredJournal();
  await volume.close();
}

const treasure = (): string => readFileSync(join(place, 'treasure'), 'utf8');

describe.runIf(isRoot)('before the first start', () => {
  test('a directory that a tenant has put there is refused, with the way out', async () => {
    await makeVolume();
    // With everything that makes it a volume, and a secret that the user knows.
    chownSync(own, TENANT, TENANT);
    await expect(open()).rejects.toThrow(
      `${own} belongs to user ${TENANT} and not to the server (user 0): its content is not trusted. If it is FilerPair's own, repair it (chown -R 0 "${own}" && chmod 0700 "${own}"); otherwise remove it`,
    );
    await expect(readSecret(root)).rejects.toThrow('its content is not trusted');
  });

  test('an empty one of that user is not made the volume either', async () => {
    mkdirSync(own, { mode: 0o700 });
    chownSync(own, TENANT, TENANT);
    await expect(open()).rejects.toThrow(`belongs to user ${TENANT}`);
    expect(existsSync(join(own, 'secret'))).toBe(false);
  });
});

test('a directory that others may write to is refused', async () => {
  await makeVolume();
  chmodSync(own, 0o770);
  await expect(open()).rejects.toThrow(`${own} is writable for others than the server (mode 0770)`);
});

test('one that an administrator has made, open for reading, is closed', async () => {
  mkdirSync(own, { mode: 0o755 });
  writeFileSync(join(own, 'restored'), '');
  chmodSync(root, 0o755);
  await makeVolume();
  expect(statSync(own).mode & 0o777).toBe(0o700);
  expect(statSync(root).mode & 0o777, "that one is the tenant's").toBe(0o755);
  chmodSync(own, 0o755);
  await makeVolume();
  expect(statSync(own).mode & 0o777).toBe(0o700);
});

test('a symbolic link in place of the directory is not followed', async () => {
  await makeVolume();
  const elsewhere = join(place, 'elsewhere');
  renameSync(own, elsewhere);
  symlinkSync(elsewhere, own);
  await expect(open()).rejects.toThrow(`${own} is not a directory: its content is not trusted. Remove it`);
  await expect(readVolumeRecord(root)).rejects.toThrow('is not a directory');
  const write = replaceDurably(OPEN, join(own, 'mounts.json'), '[]');
  await expect(write).rejects.toThrow('ENOTDIR');
  expect(existsSync(join(elsewhere, 'mounts.json'))).toBe(false);
});

describe('a symbolic link in it', () => {
  test.each(['volume.json', 'ownership', 'secret', 'journal.0', 'journal.2'])(
    '(%s) is refused, and what it leads to is as it was',
    async (name) => {
      await makeVolume();
      rmSync(join(own, name));
      symlinkSync(join(place, 'treasure'), join(own, name));
      await expect(open()).rejects.toThrow(`${join(own, name)} is a symbolic link, which is not followed`);
      expect(treasure()).toBe(TREASURE);
    },
  );

  test('is replaced by what is written as a whole', async () => {
    await makeVolume();
    for (const name of ['mounts.json', 'mounts.json.new'])
      symlinkSync(join(place, 'treasure'), join(own, name));
    await replaceDurably(OPEN, join(own, 'mounts.json'), '[]');
    expect(readFileSync(join(own, 'mounts.json'), 'utf8')).toBe('[]');
    expect(treasure()).toBe(TREASURE);
  });
});

test.runIf(isRoot)("a file of somebody else's in it is refused", async () => {
  await initialiseVolume(OPEN, root, 'filer-a');
  chownSync(join(own, 'secret'), TENANT, TENANT);
  await expect(open()).rejects.toThrow(`${join(own, 'secret')} belongs to user ${TENANT}`);
});

test('the directory that was looked at is the one that is used, whatever gets its name meanwhile', async () => {
  await initialiseVolume(OPEN, root, 'filer-a');
  const secret = readFileSync(join(own, 'secret'));
  const [before, after] = [join(root, 'before'), join(root, 'after')];
  mkdirSync(after, { mode: 0o777 });
  chmodSync(after, 0o777);
  writeFileSync(join(after, 'secret'), TREASURE);
  let refused = 0;
  for (let i = 0; i < TRIES; i++) {
    // Between the look at the directory and the open of the file, at some point of it.
    const reading = readPrivate(join(own, 'secret')).catch((error: Error) => error);
    await pause((i % 10) / 20, 'the read is at some point of its way');
    renameSync(own, before);
    renameSync(after, own);
    const found = await reading;
    if (found instanceof Error) refused += 1;
    else expect(found.equals(secret)).toBe(true);
    expect(() => openPrivate(join(own, 'secret'), O_RDONLY)).toThrow('is writable for others');
    renameSync(own, after);
    renameSync(before, own);
  }
  expect(refused).toBeLessThan(TRIES);
});

describe('a file of the server’s own that is not what the server has written', () => {
  /** An owner of the disk can make it with any owner while no server runs. */
  test.each(['volume.json', 'mounts.json'])(
    'a FIFO in the place of %s is refused, and nobody waits for it',
    async (name) => {
      await makeVolume();
      const path = join(own, name);
      rmSync(path, { force: true });
      execFileSync('mkfifo', ['-m', '600', path]);
      await expect(readPrivate(path)).rejects.toThrow(`${path} is not a regular file`);
    },
  );

  test('one that is longer than any of them ever is, is not read into memory', async () => {
    await makeVolume();
    const path = join(own, 'mounts.json');
    writeFileSync(path, '');
    truncateSync(path, 1024 ** 3);
    await expect(readPrivate(path)).rejects.toThrow('1073741824 bytes, and at most 16777216 are read');
  });
});
