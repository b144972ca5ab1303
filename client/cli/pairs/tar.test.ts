/** Read back by the system's tar. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { tarGz } from './tar.ts';

test('an archive that tar reads: names, contents of every length, times', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'filerpair-tar-'));
  try {
    const contents = [0, 1, 511, 512, 513, 100_000].map((size) => 'ä'.repeat(size));
    const files = contents.map((content, index) => ({ path: `logs/${index}.log`, content }));
    const archive = join(directory, 'bundle.tar.gz');
    writeFileSync(archive, await tarGz(files, Date.parse('2020-11-23T12:00:00Z')));
    const listed = execFileSync('tar', ['--utc', '-tvzf', archive], { encoding: 'utf8' });
    expect(listed.split('\n')[2]).toMatch(/^-rw------- 0\/0 +1022 2020-11-23 12:00 logs\/2\.log$/);
    execFileSync('tar', ['-xzf', archive, '-C', directory]);
    contents.forEach((content, index) => {
      expect(readFileSync(join(directory, `logs/${index}.log`), 'utf8')).toBe(content);
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
});
