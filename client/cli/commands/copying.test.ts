/** The commands that copy, move and remove, on a real data thread: what they must not lose. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FilerPairClient } from '../../index.ts';
import { at, filerpair, local, MAIN, volume } from './served-export.fixture.ts';

/** Of a copy that has nothing else to say. */
const SUMMARY = expect.stringMatching(/^[^\n]* in [\d.]+ s[^\n]*\n$/);

describe('the commands that change files', () => {
  it('loses no file to a copy onto itself or to one that is interrupted', async () => {
    const kept = join(local.path, 'kept');
    writeFileSync(kept, 'kept\n');
    await filerpair('put', kept, at('kept'));
    for (const same of [at('kept'), kept]) {
      const outcome = await filerpair('cp', same, same);
      expect(outcome).toMatchObject({ code: 1 });
      expect(outcome.stderr).toContain('are the same file');
    }
    expect(readFileSync(kept, 'utf8')).toBe('kept\n');
    expect(readFileSync(join(volume.path, 'kept'), 'utf8')).toBe('kept\n');
    // Large enough to be interrupted, and nothing on the disk.
    const large = join(local.path, 'large');
    writeFileSync(large, '');
    truncateSync(large, 1024 ** 3);
    const partsIn = (place: string) => readdirSync(place).filter((name) => name.endsWith('.part'));
    for (const [source, target, place] of [
      [large, at('kept'), volume.path],
      [large, kept, local.path],
    ] as const) {
      const running = spawn(process.execPath, [MAIN, 'cp', source, target], { stdio: 'ignore' });
      const exit = once(running, 'exit');
      await expect.poll(() => partsIn(place).length).toBe(1);
      running.kill('SIGINT');
      expect(await exit).toEqual([130, null]);
      expect(partsIn(place)).toEqual([]);
      expect(readFileSync(join(place, 'kept'), 'utf8')).toBe('kept\n');
    }
  }, 90_000);

  it('removes what a killed copy has left, and nothing of one that goes on', async () => {
    const large = join(local.path, 'larger');
    writeFileSync(large, '');
    truncateSync(large, 1024 ** 3);
    const small = join(local.path, 'small');
    writeFileSync(small, 'x');
    const there = join(local.path, 'there');
    mkdirSync(there);
    for (const [target, place] of [
      [at('target'), volume.path],
      [join(there, 'target'), there],
    ] as const) {
      const parts = () => readdirSync(place).filter((name) => name.endsWith('.part'));
      const begin = async () => {
        const before = parts();
        const running = spawn(process.execPath, [MAIN, 'cp', large, target], { stdio: 'ignore' });
        await expect.poll(() => parts().some((name) => !before.includes(name))).toBe(true);
        return running;
      };
      const killed = await begin();
      killed.kill('SIGKILL');
      await once(killed, 'exit');
      const [left] = parts();
      expect(left).toBeDefined();
      const goingOn = await begin();
      goingOn.kill('SIGSTOP');
      try {
        expect(await filerpair('cp', small, target)).toMatchObject({ code: 0 });
        expect(parts()).toHaveLength(1);
        expect(parts()).not.toContain(left);
      } finally {
        goingOn.kill('SIGKILL');
      }
    }
  }, 90_000);

  it('replaces a file with its mode, also through a symbolic link that is named', async () => {
    const client = await FilerPairClient.connect(at(''));
    await client.writeFile('replaced', 'old', { mode: 0o600 });
    await client.symlink('replaced', 'to-replaced');
    const source = join(local.path, 'new');
    writeFileSync(source, 'new', { mode: 0o644 });
    expect(await filerpair('put', source, at('to-replaced'))).toMatchObject({ code: 0, stderr: SUMMARY });
    expect((await client.readFile('replaced')).toString()).toBe('new');
    expect((await client.lstat('replaced')).mode & 0o777).toBe(0o600);
    expect((await client.lstat('to-replaced')).isSymbolicLink()).toBe(true);
    await client.close();
  }, 90_000);

  it('renames on no other server, and makes no file in place of a directory that is not there', async () => {
    const client = await FilerPairClient.connect(at(''));
    await client.writeFile('stays', 'here');
    const elsewhere = at('stays-not').replace(/:\d+\//, ':1/');
    const moved = await filerpair('mv', at('stays'), elsewhere);
    expect(moved).toMatchObject({ code: 1 });
    expect(moved.stderr).toContain('use cp and rm');
    const source = join(local.path, 'for-a-directory');
    writeFileSync(source, 'x');
    const put = await filerpair('put', source, at('no-directory/'));
    expect(put).toMatchObject({ code: 1 });
    expect(put.stderr).toContain('is not a directory');
    const names = await client.readdir('');
    expect(names).toContain('stays');
    expect(names).not.toContain('stays-not');
    expect(names).not.toContain('no-directory');
    await client.close();
  }, 90_000);

  it('copies symbolic links as links, and no directory into itself', async () => {
    const client = await FilerPairClient.connect(at(''));
    const source = join(local.path, 'with-links');
    mkdirSync(source);
    writeFileSync(join(source, 'file'), 'contents');
    symlinkSync('/etc/passwd', join(source, 'secret'));
    symlinkSync('file', join(source, 'beside'));
    expect(await filerpair('cp', '-r', source, at('with-links'))).toMatchObject({ code: 0, stderr: SUMMARY });
    expect(await client.readlink('with-links/secret')).toBe('/etc/passwd');
    const back = join(local.path, 'back');
    expect(await filerpair('cp', '-r', at('with-links'), back)).toMatchObject({ code: 0, stderr: SUMMARY });
    expect(readlinkSync(join(back, 'secret'))).toBe('/etc/passwd');
    expect(readFileSync(join(back, 'beside'), 'utf8')).toBe('contents');
    for (const each of [at('with-links'), source]) {
      const into = each.includes('?') ? at('with-links/') : `${source}/`;
      const outcome = await filerpair('cp', '-r', each, into);
      expect(outcome).toMatchObject({ code: 1 });
      expect(outcome.stderr).toContain('cannot be copied into itself');
    }
    await client.close();
  }, 90_000);

  it('does with the other operands what it could not do with one', async () => {
    const client = await FilerPairClient.connect(at(''));
    await client.writeFile('there', 'x');
    const outcome = await filerpair('rm', at('not-there'), at('there'));
    expect(outcome).toMatchObject({ code: 1 });
    expect(outcome.stderr).toContain('/data/not-there: no such file or directory');
    expect(outcome.stderr).toContain('1 of 2 failed, the others are done');
    await expect(client.stat('there')).rejects.toMatchObject({ code: 'ENOENT' });
    await client.close();
  }, 90_000);
});
