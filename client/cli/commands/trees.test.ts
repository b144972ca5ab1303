/** Copies of whole trees, on a real data thread: many files at once, on after an interruption, and what is kept of a file. */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { at, env, filerpair, local, MAIN, volume } from './served-export.fixture.ts';

const here = (...names: string[]): string => join(local.path, ...names);
const there = (...names: string[]): string => join(volume.path, ...names);

/** Relative paths with contents, modes and times, of all files below. */
function contents(root: string): unknown[] {
  return readdirSync(root, { recursive: true, encoding: 'latin1' })
    .map((name): [string, Buffer] => [name, Buffer.from(`${root}/${name}`, 'latin1')])
    .filter(([, path]) => statSync(path).isFile())
    .map(([name, path]) => {
      const { mode, mtimeMs } = statSync(path);
      return [name, readFileSync(path, 'latin1'), mode & 0o7777, Math.round(mtimeMs)];
    })
    .sort();
}

it('copies a tree there and back: contents, names that are no text, times and modes', async () => {
  const tree = here('tree');
  for (let i = 0; i < 4; i++) {
    mkdirSync(join(tree, `d${i}`, 'deep'), { recursive: true });
    for (let j = 0; j < 40; j++) writeFileSync(join(tree, `d${i}`, `f${j}`), `${i} ${j}`.repeat(j * 10));
  }
  writeFileSync(Buffer.concat([Buffer.from(`${tree}/caf`), Buffer.from([0xe9])]), 'latin1');
  writeFileSync(join(tree, 'large'), Buffer.alloc(5_000_000, 'x'));
  writeFileSync(join(tree, 'empty'), '');
  chmodSync(join(tree, 'd1', 'f1'), 0o751);
  utimesSync(join(tree, 'd1', 'f1'), 1_000_000_000, 1_000_000_000.123);
  utimesSync(join(tree, 'd2'), 1_100_000_000, 1_100_000_000);
  chmodSync(join(tree, 'd3'), 0o555);
  const up = await filerpair('cp', '-rp', tree, at('tree'));
  expect(up).toMatchObject({ code: 0, stderr: expect.stringMatching(/^163 files, 4\.\d MiB in \S+ s\n$/) });
  expect(contents(there('tree'))).toEqual(contents(tree));
  expect(statSync(there('tree', 'd2')).mtimeMs).toBe(1_100_000_000_000);
  expect(statSync(there('tree', 'd3')).mode & 0o777).toBe(0o555);
  expect(existsSync(there('tree', 'd0', 'deep'))).toBe(true);
  expect(await filerpair('cp', '-rpq', at('tree'), here('back'))).toMatchObject({ code: 0, stderr: '' });
  expect(contents(here('back'))).toEqual(contents(tree));
  // A file that is the same is left out by its time, and by its contents whatever its time is.
  writeFileSync(join(tree, 'd0', 'f5'), 'new');
  const again = await filerpair('cp', '-r', '--resume', tree, at('tree/..'));
  expect(again.stderr).toMatch(/^1 files, 3 B in \S+ s, 162 were there already\n$/);
  utimesSync(join(tree, 'd0', 'f6'), 5, 5);
  const checked = await filerpair('cp', '-r', '--checksum', tree, at(''));
  expect(checked.stderr).toMatch(/^0 files, 0 B in \S+ s, 163 were there already\n$/);
  chmodSync(join(tree, 'd3'), 0o755);
  for (const each of [there('tree', 'd3'), here('back', 'd3')]) chmodSync(each, 0o755);
}, 120_000);

it('goes on after what fails for one file, and refuses links where it is told to', async () => {
  const tree = here('faulty');
  mkdirSync(tree);
  for (const name of ['a', 'b', 'c']) writeFileSync(join(tree, name), name);
  symlinkSync('a', join(tree, 'link'));
  // A directory is where a file is to go.
  mkdirSync(there('faulty', 'b'), { recursive: true });
  const outcome = await filerpair('cp', '-r', '--refuse-links', tree, at(''));
  expect(outcome.code).toBe(1);
  expect(outcome.stderr).toContain('is a directory:');
  expect(outcome.stderr).toContain('link is a symbolic link: refused');
  expect(outcome.stderr).toContain('2 of what');
  expect(readFileSync(there('faulty', 'a'), 'utf8') + readFileSync(there('faulty', 'c'), 'utf8')).toBe('ac');
  expect(existsSync(there('faulty', 'link'))).toBe(false);
}, 90_000);

it('continues half a file where its copy was killed', async () => {
  const size = 128 * 1024 * 1024;
  const source = here('half');
  const block = Buffer.alloc(1024 * 1024);
  const blocks = size / block.length;
  writeFileSync(source, '');
  for (let i = 0; i < blocks; i++) writeFileSync(source, block.fill(i % 251), { flag: 'a' });
  const partOf = () => readdirSync(volume.path).find((name) => name.endsWith('.part'));
  const running = spawn(process.execPath, [MAIN, 'cp', source, at('half')], { env, stdio: 'ignore' });
  const enough = 64 * 1024 * 1024;
  await expect
    .poll(() => (partOf() === undefined ? 0 : statSync(there(partOf()!)).size), { interval: 5 })
    .toBeGreaterThan(enough);
  running.kill('SIGKILL');
  await once(running, 'exit');
  const part = there(partOf()!);
  // What lies before the safe place is not written again: a byte that is changed there stays changed.
  const changed = readFileSync(part);
  changed[1000] = 255;
  writeFileSync(part, changed, { flag: 'r+' });
  const outcome = await filerpair('cp', '--resume', source, at('half'));
  expect(outcome).toMatchObject({ code: 0 });
  expect(partOf()).toBeUndefined();
  const copied = readFileSync(there('half'));
  expect(copied[1000]).toBe(255);
  copied[1000] = 0;
  expect(copied.equals(readFileSync(source))).toBe(true);
  // And --checksum sees what --resume believes.
  const checked = await filerpair('cp', '--checksum', source, at('half'));
  expect(checked).toMatchObject({ code: 0 });
  expect(readFileSync(there('half'))[1000]).toBe(0);
}, 120_000);

it('takes standard input and gives standard output', async () => {
  const put = spawnSync(process.execPath, [MAIN, 'put', '-', at('piped')], { env, input: 'through a pipe' });
  expect(put.status).toBe(0);
  expect(readFileSync(there('piped'), 'utf8')).toBe('through a pipe');
  expect(await filerpair('cp', at('piped'), '-')).toMatchObject({ code: 0, stdout: 'through a pipe' });
  const intoDirectory = spawnSync(process.execPath, [MAIN, 'cp', '-', at('')], { env, input: 'x' });
  expect(intoDirectory.status).toBe(2);
}, 60_000);

it('expands patterns in URLs, makes parents, and does nothing when it is only asked what', async () => {
  expect(await filerpair('mkdir', '-p', at('g/deep'))).toMatchObject({ code: 0 });
  for (const name of ['a1.txt', 'a2.txt', 'b1.txt', '.hidden.txt', 'a*.txt', '[x]'])
    writeFileSync(there('g', name), name);
  expect((await filerpair('cat', at('g/a[0-9].txt'))).stdout).toBe('a1.txta2.txt');
  expect((await filerpair('cat', at('g/%5Bx%5D'))).stdout).toBe('[x]');
  const dry = await filerpair('rm', '--dry-run', at('g/*.txt'));
  expect(dry.stdout.split('\n').filter((line) => line !== '')).toHaveLength(4);
  expect(readdirSync(there('g'))).toHaveLength(7);
  expect(await filerpair('rm', at('g/a%2A.txt'))).toMatchObject({ code: 0 });
  expect(await filerpair('rm', at('g/{a,b}1.txt'))).toMatchObject({ code: 0 });
  expect(readdirSync(there('g')).sort()).toEqual(['.hidden.txt', '[x]', 'a2.txt', 'deep']);
  expect(await filerpair('rm', at('g/z*'))).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('nothing matches'),
  });
  expect((await filerpair('cp', '-r', '--dry-run', at('g'), here('dry'))).stdout).toContain('would copy');
  expect(existsSync(here('dry'))).toBe(false);
  const listed = JSON.parse((await filerpair('--json', 'ls', at('g'))).stdout);
  expect(listed).toMatchObject([
    { name: '[x]', size: 3, type: 'regular file' },
    { name: 'a2.txt' },
    { name: 'deep' },
  ]);
}, 120_000);

it('says that an address has no failover, and who is waited for', async () => {
  const address = at('piped').replace('?alone', '');
  const { code, stderr } = await filerpair('cat', address);
  expect(code).toBe(0);
  expect(stderr).toMatch(/^filerpair: 127\.0\.0\.1 is an address, which has no failover name: [^\n]+\n$/);
  // Port 1 of this machine refuses connections.
  const silent = await filerpair('cat', 'nfs://127.0.0.1:1:1/data/x?failover=127.0.0.1', '--timeout', '3');
  expect(silent.code).toBe(3);
  expect(silent.stderr).toMatch(
    /no answer from 127\.0\.0\.1 yet, trying for 3 s at most \(--timeout\): 127\.0\.0\.1:1/,
  );
  const wrong = await filerpair('ls', at('').replace('/data', '/dta'));
  expect(wrong.stderr).toContain('did you mean "/data"?');
}, 60_000);
