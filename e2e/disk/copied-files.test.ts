/**
 * Small files that `filerpair cp` writes to a local disk, which crashes at any moment. Whatever has its name is complete, and what was
 * replaced is there until then. When the command has ended all is on the disk, though many files shared a flush.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { SeededRandom } from '../../testing/seeded-random.ts';
import { REPOSITORY } from '../environment.ts';
import { run } from '../machine/command.ts';
import { applyAll, applySome, type CrashPoint, crashPoints, durableBefore } from './crash-states.ts';
import {
  type FileSystemType,
  fileSystemTypes,
  LoopMount,
  missingForDisks,
  RecordingDisk,
  workDirectory,
} from './recording-disk.ts';

const FILES = 200;
const SIZE = 4096;
const STATES = 40;
const SEED = 7;
/** One in so many was there before. */
const REPLACED = 4;
const OLD = 'as it was before\n';

let disk: RecordingDisk | null = null;
let directory = '';

afterEach(async () => {
  await disk?.discard();
  disk = null;
  rmSync(directory, { recursive: true, force: true });
});

const nameOf = (index: number): string => `file-${index}`;
const newText = (index: number): string => `${index} `.padEnd(SIZE, `${index}`);
const isReplaced = (index: number): boolean => index % REPLACED === 0;

function contentOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

/** Names of files that are neither as they were nor as they are to be; `ended`: that are not as they are to be. */
function wrongIn(target: string, ended: boolean): string[] {
  return Array.from({ length: FILES }, (_, index) => index)
    .filter((index) => {
      const content = contentOf(join(target, nameOf(index)));
      return content !== newText(index) && (ended || content !== (isReplaced(index) ? OLD : null));
    })
    .map(nameOf);
}

test.each<FileSystemType>(['ext4', 'xfs'])(
  'a copy onto %s loses no file to a crash',
  async (type) => {
    if (missingForDisks(type) !== null) return;
    directory = workDirectory();
    const source = join(directory, 'tree');
    mkdirSync(source);
    for (let index = 0; index < FILES; index++) writeFileSync(join(source, nameOf(index)), newText(index));
    disk = await RecordingDisk.make(type, { record: true });
    const mounted = disk.mount();
    mkdirSync(join(mounted.path, 'tree'));
    for (let index = 0; index < FILES; index += REPLACED)
      writeFileSync(join(mounted.path, 'tree', nameOf(index)), OLD);
    execFileSync('sync', ['-f', mounted.path]);
    const from = disk.events().length;
    await run([process.execPath, join(REPOSITORY, 'client/cli/main.ts'), 'cp', '-r', source, mounted.path]);
    const to = disk.events().length;
    await mounted.unmount();
    const events = disk.events().slice(0, to);
    const flushes = events.slice(from).filter(({ kind }) => kind === 'flushed');
    expect(flushes.length).toBeLessThan(FILES / 2);

    const random = new SeededRandom(SEED);
    const { superblock } = fileSystemTypes[type];
    const last: CrashPoint = { events: to, kept: 0, torn: false };
    const image = join(directory, 'image');
    for (const point of [...crashPoints(events, from, STATES, random), last]) {
      execFileSync('cp', ['--sparse=always', disk.initialImage, image]);
      const durable = durableBefore(events, point.events);
      const fd = openSync(image, 'r+');
      const write = (offset: number, data: Uint8Array): void => {
        writeSync(fd, data, 0, data.length, offset);
      };
      applyAll(events, 0, durable, write);
      applySome(events, durable, point, superblock, random, write);
      closeSync(fd);
      const crashed = new LoopMount(type, image, join(directory, 'crashed'));
      const wrong = wrongIn(join(crashed.path, 'tree'), point === last);
      await crashed.unmount();
      expect(wrong, `after event ${point.events} of ${to}, ${durable} durable`).toEqual([]);
      rmSync(image);
    }
  },
  240_000,
);
