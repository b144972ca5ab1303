import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rolldown } from 'rolldown';
import { afterAll, beforeAll, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..');

// Below the repository: what stays a package is looked for from there.
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(ROOT, 'node_modules/.native-buffer-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

test('an empty path is empty however often memory has been collected, in a bundle too', async () => {
  // A bundle is one module: the engine drops each of its variables that no function names.
  const program = join(directory, 'program.ts');
  writeFileSync(
    program,
    `
      import { openSync } from 'node:fs';
      import { StatBuffer } from '${ROOT}/fileserver/system/statx.ts';
      const stat = new StatBuffer();
      const fd = openSync('/', 'r');
      const others = [];
      let failed = 0;
      for (let round = 0; round < 30; round++) {
        globalThis.gc();
        for (let i = 0; i < 2000; i++) others.push(new Uint8Array(8).fill(0x61, 0, 7));
        if (stat.ofFd(fd) < 0) failed++;
      }
      console.log(failed);
    `,
  );
  const build = await rolldown({ input: program, platform: 'node', external: [/^node:/, 'koffi'] });
  await build.write({ file: join(directory, 'program.js'), format: 'esm' });
  await build.close();
  const failed = execFileSync(process.execPath, ['--expose-gc', join(directory, 'program.js')]);
  expect(failed.toString().trim()).toBe('0');
});
