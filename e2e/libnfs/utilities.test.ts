/** libnfs's utilities (nfs-cp, nfs-ls, nfs-cat): an NFS client that shares no line of code with ours. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LOCAL_EXPORT, LocalPair } from '../harness/local-pair.ts';
import { outcomeOf, pipeline, run } from '../machine/command.ts';

const SIZE = 5_000_001;
/** A utility that hangs has failed. */
const UTILITY = { timeoutMs: 60_000 };

let pair: LocalPair;
let directory: string;
const content = randomBytes(SIZE);
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'filerpair-libnfs-'));
  writeFileSync(join(directory, 'content'), content);
  pair = await LocalPair.start();
});
afterAll(async () => {
  await pair?.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** As libnfs wants it: the ports are said in the URL, since there is no rpcbind to ask. */
const url = (path: string, port: number) =>
  `nfs://127.0.0.1${LOCAL_EXPORT}/${path}?nfsport=${port}&mountport=${port}&version=3`;
const primary = () => pair.stage.primaryPort('filer-a');

test('nfs-cp copies a file in and out, byte for byte', async () => {
  await run(['nfs-cp', join(directory, 'content'), url('copied', primary())], UTILITY);
  expect(readFileSync(join(pair.stage.volume('filer-a'), 'copied')).equals(content)).toBe(true);
  await run(['nfs-cp', url('copied', primary()), join(directory, 'back')], UTILITY);
  expect(readFileSync(join(directory, 'back')).equals(content)).toBe(true);
});

test('nfs-ls lists names and sizes', async () => {
  const listing = await run(['nfs-ls', url('', primary())], UTILITY);
  expect(listing).toMatch(new RegExp(` ${SIZE} copied$`, 'm'));
  expect(listing, "the volume's own directory is nobody's business").not.toContain('.filerpair');
});

test('nfs-cat shows a file', async () => {
  const sum = await pipeline('nfs-cat "$1" | sha256sum', [url('copied', primary())], UTILITY);
  expect(sum.split(' ')[0]).toBe(createHash('sha256').update(content).digest('hex'));
});

test('a name that is not there, and an export that is not there, are errors and not hangs', async () => {
  const missing = await outcomeOf(['nfs-cat', url('missing', primary())], UTILITY);
  expect(missing).toMatchObject({ timedOut: false });
  expect(missing.code).not.toBe(0);
  const other = url('x', primary()).replace(LOCAL_EXPORT, '/nowhere');
  const refused = await outcomeOf(['nfs-ls', other], UTILITY);
  expect(refused).toMatchObject({ timedOut: false });
  expect(refused.code).not.toBe(0);
});

test('after a takeover the partner shows the same file on its secondary port', async () => {
  const secondary = pair.stage.secondaryPort('filer-a');
  expect(
    (await outcomeOf(['nfs-ls', url('', secondary)], UTILITY)).code,
    'closed before the takeover',
  ).not.toBe(0);
  pair.stage.kill('filer-a');
  await pair.servedBy('filer-a', 'filer-b');
  const sum = await pipeline('nfs-cat "$1" | sha256sum', [url('copied', secondary)], UTILITY);
  expect(sum.split(' ')[0]).toBe(createHash('sha256').update(content).digest('hex'));
});
