/** docs/design.md R6: the disk knows whose it is. */
import {
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { OPEN } from '../../system/open-gate.fixture.ts';
import { become, identityCanChange, SERVER_IDENTITY } from '../../system/thread-identity.ts';
import { NO_WRITES, RefusedError, type WriteGate } from '../../system/write-gate.ts';
import { VolumeRecordError } from '../private-files/private-files.ts';
import {
  isAhead,
  newestSlot,
  OwnershipAheadError,
  OwnershipChangedError,
  type OwnershipRecord,
  readOwnership,
  readOwnershipSlot,
  writeOwnership,
} from './ownership.ts';
import { ownershipFile, privateDirectory, restoredFile, secretFile } from './volume-files.ts';
import {
  closeToOthers,
  initialiseVolume,
  readSecret,
  readVolumeRecord,
  saysRestored,
  takeBackRestored,
} from './volume-record.ts';

/** Descriptors that were flushed, and directories. */
let flushed: number;
let flushedDirectories: string[];
vi.mock(import('node:fs'), async (original) => {
  const fs = await original();
  return {
    ...fs,
    fdatasync: ((fd, done) => {
      flushed += 1;
      fs.fdatasync(fd, done);
    }) as typeof fs.fdatasync,
    fsync: ((fd, done) => {
      flushedDirectories.push(fs.readlinkSync(`/proc/self/fd/${fd}`));
      fs.fsync(fd, done);
    }) as typeof fs.fsync,
  };
});

/** Bytes that the next write of a record takes; null: all. */
let taken: number | null;
vi.mock(import('../../system/data-calls.ts'), async (original) => {
  const calls = await original();
  return { ...calls, writeOwnershipFrom: (...args) => taken ?? calls.writeOwnershipFrom(...args) };
});

/** Directories for whose new files copy-on-write is turned off, and by whom. */
let notCopied: string[];
vi.mock(import('../../system/copy-on-write.ts'), async (original) => {
  const { disableCopyOnWrite } = await original();
  return {
    disableCopyOnWrite: (gate, directory) => {
      const [, uid] = /^Uid:\t\d+\t\d+\t\d+\t(\d+)/m.exec(readFileSync('/proc/thread-self/status', 'utf8'))!;
      notCopied.push(`${directory} by ${uid}`);
      disableCopyOnWrite(gate, directory);
    },
  };
});

// A small one: making that of a volume would take most of the time.
vi.mock(import('../journal/journal-files.ts'), async (original) => {
  const journal = await original();
  return { ...journal, createJournal: (gate, directory) => journal.createJournal(gate, directory, 8192) };
});

const openFiles = (): number => readdirSync('/proc/self/fd').length;

let root: string;
beforeEach(() => {
  flushed = 0;
  flushedDirectories = [];
  taken = null;
  notCopied = [];
  root = mkdtempSync(join(tmpdir(), 'filerpair-ownership-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const record = (epoch: number): OwnershipRecord => ({
  uuid: '00000000-0000-4000-8000-000000000000',
  home: 'filer-a',
  owner: 'filer-b',
  ownerIncarnation: 'filer-b/place/run',
  epoch,
  writeVerifier: epoch.toString(16).padStart(16, '0'),
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
  await expect(own(2)).rejects.toThrow(/^filer-b owns .* in epoch 3; filer-b claims it in epoch 2/);
  const other = writeOwnership(OPEN, root, { ...record(3), owner: 'filer-a' });
  await expect(other).rejects.toThrow(OwnershipAheadError);
  await expect(other).rejects.toMatchObject({ found: record(3) });
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

// Between its look at the record and its write a machine is paused as a whole, for as long as others need: its clock does not see it.
describe('an owner that was paused between reading the record and writing it', () => {
  /** Pauses before the write with that number, counted from 1: meanwhile `others` write. */
  function pausedBefore(number: number, others: Buffer): WriteGate {
    let writes = 0;
    return {
      begin: () => {
        writes += 1;
        if (writes === number) writeFileSync(ownershipFile(root), others);
        return true;
      },
      end: () => {},
    };
  }
  /** The file as it is when `work` has been done in another place. */
  async function elsewhere(work: () => Promise<void>): Promise<Buffer> {
    const before = readFileSync(ownershipFile(root));
    await work();
    const after = readFileSync(ownershipFile(root));
    writeFileSync(ownershipFile(root), before);
    return after;
  }
  const late: OwnershipRecord = { ...record(2), owner: 'filer-a', ownerIncarnation: 'filer-a/place/run' };
  beforeEach(async () => {
    await initialiseVolume(OPEN, root, 'filer-a');
    await own(1);
  });

  test.each([1, 2])('before write %i: it finds the newer owner, whose record stays', async (number) => {
    const others = await elsewhere(async () => {
      // What the paused one has written before, its successor has found.
      if (number === 2) await writeOwnership(OPEN, root, late);
      await own(3);
    });
    const write = writeOwnership(pausedBefore(number, others), root, late);
    await expect(write).rejects.toThrow(OwnershipAheadError);
    expect(await readOwnership(root)).toEqual(record(3));
  });

  test('however many owners there have been, and however they ended', async () => {
    for (let owners = 1; owners <= 4; owners++) {
      const others = await elsewhere(async () => {
        for (let epoch = 3; epoch < 3 + owners; epoch++) {
          await own(epoch);
          if (epoch % 2 === 1) await writeOwnership(OPEN, root, { ...record(epoch), clean: true });
        }
      });
      await expect(writeOwnership(pausedBefore(1, others), root, late)).rejects.toThrow(OwnershipAheadError);
      expect((await readOwnership(root))?.epoch).toBe(2 + owners);
      rmSync(privateDirectory(root), { recursive: true });
      await initialiseVolume(OPEN, root, 'filer-a');
      await own(1);
    }
  });

  test('its write between the two of its successor is written over', async () => {
    const others = await elsewhere(() => writeOwnership(OPEN, root, late));
    // Of the paused one's two writes the first.
    const one = readFileSync(ownershipFile(root));
    const block = others.subarray(0, 4096).includes('"generation":3') ? 0 : 4096;
    others.copy(one, block, block, block + 4096);
    await writeOwnership(pausedBefore(2, one), root, record(3));
    expect(await readOwnership(root)).toEqual(record(3));
  });

  test('one of them alone keeps a write verifier', async () => {
    const { writeVerifier } = record(1);
    await writeOwnership(OPEN, root, { ...record(1), clean: true });
    // Both have read that record. The paused one has been the first to write.
    await writeOwnership(OPEN, root, { ...late, writeVerifier });
    await expect(writeOwnership(OPEN, root, { ...record(3), writeVerifier })).rejects.toThrow(
      OwnershipChangedError,
    );
    expect(await readOwnership(root)).toEqual({ ...late, writeVerifier });
    await own(3);
  });
});

describe('records that are damaged', () => {
  const file = (name: string): string => join(privateDirectory(root), name);
  beforeEach(async () => {
    await initialiseVolume(OPEN, root, 'filer-a');
    await own(1);
  });

  test('torn at any byte, the record before it counts, or its other copy', async () => {
    const before = readFileSync(file('ownership'));
    await own(2);
    const after = readFileSync(file('ownership'));
    const firstWritten = Buffer.concat([before.subarray(0, 4096), after.subarray(4096)]);
    for (const [whole, then, generation] of [
      [firstWritten, record(1), 3],
      [after, record(2), 4],
    ] as const) {
      const at = whole.indexOf(`"generation":${generation}`) - 1;
      const end = whole.indexOf('}}', at) + 2;
      const blank = Buffer.alloc(4096, ' ');
      for (let cut = at + 1; cut < end; cut += 3) {
        const torn = Buffer.from(whole);
        blank.copy(torn, cut, 0, 4096 - (cut % 4096));
        writeFileSync(file('ownership'), torn);
        expect(await readOwnership(root)).toEqual(then);
      }
      writeFileSync(file('ownership'), whole);
      expect(await readOwnership(root)).toEqual(record(2));
    }
  });

  test('a changed digit is noticed; with no valid record left the volume is refused', async () => {
    const text = readFileSync(file('ownership'), 'utf8').replaceAll('"epoch":1', '"epoch":0');
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

test('a record is ahead of those of lower epochs, and of other owners of its own', () => {
  const found = record(3);
  expect([2, 3, 4].map((epoch) => isAhead(found, record(epoch)))).toEqual([true, false, false]);
  expect([2, 3, 4].map((epoch) => isAhead(found, { epoch, owner: 'filer-a' }))).toEqual([true, true, false]);
});

test.each([
  [false, 2],
  [true, 0],
])('written through: %s, it is flushed %i times, and nothing stays open', async (writeThrough, times) => {
  await initialiseVolume(OPEN, root, 'filer-a');
  flushed = 0;
  const before = openFiles();
  await writeOwnership(OPEN, root, record(1), writeThrough);
  expect(flushed).toBe(times);
  await expect(writeOwnership(OPEN, root, record(0), writeThrough)).rejects.toThrow(OwnershipAheadError);
  expect(openFiles()).toBe(before);
});

test('an earlier run of the same owner, at the same epoch, is another owner: what it served is not kept', async () => {
  await initialiseVolume(OPEN, root, 'filer-a');
  await own(3);
  const later = { ...record(3), ownerIncarnation: 'filer-b/place/later run' };
  await expect(writeOwnership(OPEN, root, later)).rejects.toThrow(OwnershipChangedError);
  await writeOwnership(OPEN, root, { ...later, writeVerifier: 'fedcba9876543210' });
  expect((await readOwnership(root))?.ownerIncarnation).toBe(later.ownerIncarnation);
});

test.each([false, true])('written through: %s, its file is opened so', async (writeThrough) => {
  await initialiseVolume(OPEN, root, 'filer-a');
  const flags: number[] = [];
  const gate: WriteGate = {
    begin: () => {
      for (const fd of readdirSync('/proc/self/fd')) {
        if (!existsSync(`/proc/self/fd/${fd}`) || readlinkSync(`/proc/self/fd/${fd}`) !== ownershipFile(root))
          continue;
        const info = readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8');
        flags.push(Number.parseInt(/flags:\t(\d+)/.exec(info)![1]!, 8));
      }
      return true;
    },
    end: () => {},
  };
  await writeOwnership(gate, root, record(1), writeThrough);
  expect(flags.map((each) => (each & constants.O_DSYNC) !== 0)).toEqual([writeThrough, writeThrough]);
});

test('a record of which the disk has taken a part only is not one that was written', async () => {
  await initialiseVolume(OPEN, root, 'filer-a');
  taken = 4095;
  await expect(own(1)).rejects.toThrow('only 4095 bytes could be written');
});

test('a record has a block of its own, a line of text, and each its generation', async () => {
  await initialiseVolume(OPEN, root, 'filer-a');
  expect(await readOwnershipSlot(root)).toBe(null);
  for (let epoch = 1; epoch <= 3; epoch++) {
    await own(epoch);
    expect(await readOwnershipSlot(root)).toEqual({ generation: 2 * epoch, record: record(epoch) });
  }
  // It is in both already.
  await own(3);
  const text = readFileSync(ownershipFile(root), 'latin1');
  const blocks = [text.slice(0, 4096), text.slice(4096)];
  expect(blocks.map((block) => JSON.parse(block).generation)).toEqual([6, 5]);
  for (const block of blocks) expect(block).toMatch(/^\S+ +\n$/);
});

test('a record that is too long for a block is not written', async () => {
  await initialiseVolume(OPEN, root, 'filer-a');
  const sizesOf = (owner: string): number[] =>
    [1, 2].map((generation) => {
      const checksum = crc32(`${generation} ${JSON.stringify({ ...record(1), owner })}`);
      return JSON.stringify({ generation, checksum, record: { ...record(1), owner } }).length;
    });
  // A sum has up to ten digits.
  let owner = 'x'.repeat(4096 - Math.max(...sizesOf('')) - 10);
  while (Math.max(...sizesOf(`${owner}x`)) < 4096) owner += 'x';
  await writeOwnership(OPEN, root, { ...record(1), owner });
  expect((await readOwnership(root))?.owner).toBe(owner);
  await initialiseAnew();
  while (Math.min(...sizesOf(owner)) < 4096) owner += 'x';
  await expect(writeOwnership(OPEN, root, { ...record(1), owner })).rejects.toThrow('its names are too long');
  expect(await readOwnership(root)).toBe(null);
});

async function initialiseAnew(): Promise<void> {
  rmSync(privateDirectory(root), { recursive: true });
  await initialiseVolume(OPEN, root, 'filer-a');
}

test('a file that was cut short is written to all the same', async () => {
  await initialiseVolume(OPEN, root, 'filer-a');
  await own(1);
  await own(2);
  truncateSync(ownershipFile(root), 4096);
  await own(3);
  expect((await readOwnership(root))?.epoch).toBe(3);
});

describe('of two blocks', () => {
  const block = (generation: number, epoch: number, change: object = {}): string => {
    const kept = { ...record(epoch), ...change };
    const checksum = crc32(`${generation} ${JSON.stringify(kept)}`);
    return JSON.stringify({ generation, checksum, record: kept }).padEnd(4096);
  };
  const newest = (...blocks: string[]): unknown =>
    newestSlot(root, Buffer.from(blocks.join('')))?.record.epoch;
  const EMPTY = ' '.repeat(4096);

  test('the one with the higher generation counts, wherever it lies, whatever its epoch', () => {
    expect(newest(block(1, 5), block(2, 4))).toBe(4);
    expect(newest(block(2, 4), block(1, 5))).toBe(4);
    expect(newest(EMPTY, block(1, 5))).toBe(5);
    expect(newest(block(1, 5), EMPTY)).toBe(5);
    expect(newest(block(1, 5), 'x'.repeat(4096))).toBe(5);
    expect(newest(EMPTY, EMPTY)).toBe(undefined);
    expect(newest('')).toBe(undefined);
    expect(() => newest(EMPTY, 'x'.repeat(4096))).toThrow(VolumeRecordError);
    expect(() => newest('null'.padEnd(4096))).toThrow(VolumeRecordError);
  });

  test('what lies behind them does not count', () => {
    expect(newest(block(1, 5), EMPTY, block(2, 6))).toBe(5);
  });

  test('one without a whole number as its generation is damaged', () => {
    expect(() => newest(block(1.5, 5))).toThrow(VolumeRecordError);
  });

  const place = { cluster: 'c', node: 'n' };
  test.each([
    ['uuid', 1],
    ['home', undefined],
    ['owner', null],
    ['ownerIncarnation', 5],
    ['epoch', 1.5],
    ['writeVerifier', '0123456789abcdeg'],
    ['writeVerifier', '0123456789abcde'],
    ['writeVerifier', '00123456789abcdef'],
    ['writeVerifier', 123_456_789_012_345],
    ['clean', 'no'],
    ['place', 7],
    ['place', place],
    ['handles', 'x'],
    ['handles', 7],
    ['handles', ' 00000000-0000-4000-8000-000000000001'],
    ['handles', '00000000-0000-4000-8000-000000000001 '],
  ])('one whose %s is %j is damaged, with a right sum too', (name, value) => {
    expect(() => newest(block(1, 5, { [name]: value }))).toThrow(VolumeRecordError);
  });

  test('one may say where the volume lay, and which UUID its handles have', () => {
    expect(newest(block(1, 5, { handles: '00000000-0000-4000-8000-000000000001' }))).toBe(5);
  });
});

describe('volume.json', () => {
  const file = (): string => join(privateDirectory(root), 'volume.json');
  beforeEach(() => {
    mkdirSync(privateDirectory(root), { mode: 0o700 });
  });
  const written = {
    format: 1,
    uuid: '00000000-0000-4000-8000-000000000000',
    home: 'filer-a',
    createdAt: 'x',
  };

  test('is read as it is, without what this version does not know', async () => {
    writeFileSync(file(), JSON.stringify({ ...written, more: true }));
    expect(await readVolumeRecord(root)).toEqual(written);
  });

  test.each([
    ['uuid', 7],
    ['uuid', '00000000-0000-4000-8000-00000000000'],
    ['uuid', '00000000-0000-4000-8000-0000000000000'],
    ['uuid', undefined],
    ['home', 7],
    ['home', undefined],
  ])('with %s %j is refused', async (name, value) => {
    writeFileSync(file(), JSON.stringify({ ...written, [name]: value }));
    await expect(readVolumeRecord(root)).rejects.toThrow('volume.json has no uuid or no home');
  });

  test.each(['', 'null', '7', '"text"', '{'])('with %j in it is refused', async (text) => {
    writeFileSync(file(), text);
    await expect(readVolumeRecord(root)).rejects.toThrow('volume.json is not JSON; restore it from a backup');
  });

  test('that can not be read is not taken for none', async () => {
    mkdirSync(file());
    await expect(readVolumeRecord(root)).rejects.toThrow();
    await expect(readVolumeRecord(join(root, 'x'.repeat(300)))).rejects.toThrow('ENAMETOOLONG');
  });

  test('is none where the root is a file', async () => {
    writeFileSync(join(root, 'plain'), '');
    expect(await readVolumeRecord(join(root, 'plain'))).toBe(null);
  });
});

describe('a volume that is made', () => {
  test('has nothing of what was there, but the word that it was restored', async () => {
    mkdirSync(privateDirectory(root), { mode: 0o755 });
    writeFileSync(join(privateDirectory(root), 'left'), 'x');
    writeFileSync(restoredFile(root), '');
    await initialiseVolume(OPEN, root, 'filer-a');
    expect(readdirSync(privateDirectory(root)).sort()).toEqual([
      'journal.0',
      'journal.1',
      'journal.2',
      'ownership',
      'restored',
      'secret',
      'volume.json',
    ]);
    expect(statSync(privateDirectory(root)).mode & 0o777).toBe(0o700);
    expect(statSync(ownershipFile(root)).size).toBe(8192);
    // The name of the private directory comes last, when all that is in it is on the disk.
    expect(flushedDirectories.at(-1)).toBe(root);
  });

  test('has no key of its own if it is not to have one', async () => {
    await initialiseVolume(OPEN, root, 'filer-a', false);
    expect(await readSecret(root)).toBe(null);
    await expect(readVolumeRecord(root)).resolves.toMatchObject({ format: 1, home: 'filer-a' });
  });

  test('the server makes it, whichever user the thread served before', async (context) => {
    if (!identityCanChange) context.skip();
    chmodSync(root, 0o755);
    const identity = { uid: 1000, gid: 1000, groups: [] };
    mkdirSync(privateDirectory(root), { mode: 0o755 });
    // The server makes every change: between two of them others' calls come.
    const gate: WriteGate = {
      begin: () => true,
      end: () => {
        setImmediate(become, identity);
      },
    };
    become(identity);
    await initialiseVolume(gate, root, 'filer-a');
    become(identity);
    await writeOwnership(gate, root, record(1));
    become(SERVER_IDENTITY);
    expect(notCopied).toEqual([`${privateDirectory(root)} by ${SERVER_IDENTITY.uid}`]);
    expect((await readOwnership(root))?.epoch).toBe(1);
    expect(statSync(secretFile(root)).uid).toBe(SERVER_IDENTITY.uid);
  });

  test('is not made in a directory that can not be made', async () => {
    await expect(initialiseVolume(OPEN, join(root, 'absent'), 'filer-a')).rejects.toThrow('mkdir');
  });
});

test.each([0o700, 0o750, 0o755])('a private directory of mode %o is closed to others', (mode) => {
  const directory = privateDirectory(root);
  mkdirSync(directory);
  chmodSync(directory, mode);
  let changes = 0;
  closeToOthers({ begin: () => ++changes > 0, end: () => {} }, directory);
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  expect(changes).toBe(mode === 0o700 ? 0 : 1);
  rmSync(directory, { recursive: true });
  expect(() => closeToOthers(OPEN, directory)).toThrow('chmod');
});

test('a key that was renamed is read where it is asked for; what can not be read is not taken for none', async () => {
  await initialiseVolume(OPEN, root, 'filer-a');
  expect(await readSecret(root, true)).toBe(null);
  writeFileSync(`${secretFile(root)}.previous`, new Uint8Array(32).fill(7), { mode: 0o600 });
  expect(await readSecret(root, true)).toEqual(new Uint8Array(32).fill(7));
  expect(await readSecret(root)).not.toEqual(new Uint8Array(32).fill(7));
  await expect(readSecret(join(root, 'x'.repeat(300)))).rejects.toThrow('ENAMETOOLONG');
  await expect(readOwnership(join(root, 'x'.repeat(300)))).rejects.toThrow('ENAMETOOLONG');
});

test('the word that a volume was restored is a file, and counts once', async () => {
  mkdirSync(privateDirectory(root), { mode: 0o700 });
  expect(await saysRestored(root)).toBe(false);
  mkdirSync(restoredFile(root));
  expect(await saysRestored(root)).toBe(false);
  rmSync(restoredFile(root), { recursive: true });
  writeFileSync(restoredFile(root), '');
  expect(await saysRestored(root)).toBe(true);
  await expect(takeBackRestored(NO_WRITES, root)).rejects.toThrow(RefusedError);
  expect(await saysRestored(root)).toBe(true);
  flushedDirectories = [];
  await takeBackRestored(OPEN, root);
  expect(existsSync(restoredFile(root))).toBe(false);
  expect(flushedDirectories).toEqual([privateDirectory(root)]);
  await takeBackRestored(OPEN, root);
  writeFileSync(join(root, 'plain'), '');
  expect(await saysRestored(join(root, 'plain'))).toBe(false);
  await expect(saysRestored(join(root, 'x'.repeat(300)))).rejects.toThrow('ENAMETOOLONG');
});
