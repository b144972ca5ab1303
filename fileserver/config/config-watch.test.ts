import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ConfigWatch } from './config-watch.ts';

let directory: string;
let watch: ConfigWatch | null = null;
let seen: string[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'filerpair-watch-'));
  seen = [];
});
afterEach(() => {
  watch?.stop();
  rmSync(directory, { recursive: true, force: true });
});

function start(file: string, text: string): void {
  watch = new ConfigWatch({ file, text, everyMs: 5, changed: (now) => seen.push(now) });
  watch.start();
}

it('says each new content once, also where the file is replaced, and nothing of a file that is only touched', async () => {
  const file = join(directory, 'server.json');
  writeFileSync(file, 'one');
  start(file, 'one');
  writeFileSync(join(directory, 'next'), 'two');
  renameSync(join(directory, 'next'), file);
  await expect.poll(() => seen).toEqual(['two']);
  writeFileSync(file, 'two');
  unlinkSync(file);
  writeFileSync(file, 'three');
  await expect.poll(() => seen).toEqual(['two', 'three']);
});

it('follows a ConfigMap: the file is a link into a link that the kubelet exchanges', async () => {
  for (const [version, text] of [
    ['..1', 'one'],
    ['..2', 'two'],
  ] as const) {
    mkdirSync(join(directory, version));
    writeFileSync(join(directory, version, 'server.json'), text);
  }
  symlinkSync('..1', join(directory, '..data'));
  symlinkSync('..data/server.json', join(directory, 'server.json'));
  start(join(directory, 'server.json'), 'one');
  symlinkSync('..2', join(directory, '..data_tmp'));
  renameSync(join(directory, '..data_tmp'), join(directory, '..data'));
  await expect.poll(() => seen).toEqual(['two']);
});
