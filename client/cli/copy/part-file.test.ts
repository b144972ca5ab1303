import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { type FoundFile, isAbandoned, isPartName, partName } from './part-file.ts';

const NOW_MS = 1e12;
const DAY_MS = 86_400_000;

function file(overrides: Partial<FoundFile> = {}): FoundFile {
  const kind = { isFile: () => true, isSymbolicLink: () => false };
  return { nlink: 1, mtimeMs: NOW_MS - DAY_MS, ...kind, ...overrides };
}

/** A name as this process would have given it, with another process id. */
function ofProcess(pid: number, name = partName()): string {
  return name.replace(`-${process.pid}-`, `-${pid}-`);
}

it('keeps what a process works on', () => {
  const own = partName();
  expect(isPartName(own)).toBe(true);
  expect(isAbandoned(own, file({ mtimeMs: 0 }), NOW_MS)).toBe(false);
});

it('knows that a process of this machine has ended, also when its number is in use again', async () => {
  const child = spawn('sleep', ['60']);
  const { pid } = child;
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(isAbandoned(ofProcess(pid!), file({ mtimeMs: NOW_MS }), NOW_MS)).toBe(true);
  // The parent lives, and began at another time than this process.
  expect(isAbandoned(ofProcess(process.ppid), file({ mtimeMs: NOW_MS }), NOW_MS)).toBe(true);
});

it('takes a copy of another machine for over when it has not changed for a week', () => {
  const elsewhere = partName().replace(
    /^\.filerpair-./,
    (begin) => `${begin.slice(0, -1)}${begin.endsWith('f') ? 'e' : 'f'}`,
  );
  expect(isAbandoned(elsewhere, file({ mtimeMs: NOW_MS - 6 * DAY_MS }), NOW_MS)).toBe(false);
  expect(isAbandoned(elsewhere, file({ mtimeMs: NOW_MS - 8 * DAY_MS }), NOW_MS)).toBe(true);
});

it.each([
  ['with a second name', ofProcess(0), file({ nlink: 2 })],
  ['that is a directory', ofProcess(0), file({ isFile: () => false })],
  ['with a name that is only similar', '.filerpair-backup.part', file({ mtimeMs: 0 })],
])('leaves alone what has been left %s', (_, name, found) => {
  expect(isAbandoned(name, found, NOW_MS)).toBe(false);
});
