import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { FAILPOINT_ARGUMENTS, failpointVariable } from './failpoints.fixture.ts';

const directory = mkdtempSync(join(tmpdir(), 'filerpair-failpoints-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** What a program that prints its failpoints sees, and a worker of a worker of it. */
function seen(module: string): string[] {
  const program = `
    import { Worker, isMainThread } from 'node:worker_threads';
    import { failpoints } from ${JSON.stringify(module)};
    console.log(JSON.stringify(failpoints));
    if (isMainThread) new Worker(new URL(import.meta.url));
  `;
  const file = join(directory, 'program.mjs');
  writeFileSync(file, program);
  const { stdout } = spawnSync(process.execPath, [...FAILPOINT_ARGUMENTS, file], {
    env: { ...process.env, ...failpointVariable({ journalDisabled: true }) },
    encoding: 'utf8',
  });
  return stdout.trim().split('\n');
}

test('are on in every thread of a process that was started so', () => {
  const source = new URL('./failpoints.ts', import.meta.url).href;
  expect(seen(source)).toEqual(['{"journalDisabled":true}', '{"journalDisabled":true}']);
});

test('nothing in the bundles of the programs writes them or reads where they come from', () => {
  execFileSync(process.execPath, [join(import.meta.dirname, '../../scripts/bundle.ts'), directory]);
  const bundles = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.js'),
  );
  const texts = bundles.map((file) => [file, readFileSync(join(directory, file), 'utf8')] as const);
  const having = texts.filter(([, text]) => text.includes('failpoints')).map(([file]) => file);
  expect(having).toContain(join('fileserver', 'volume-thread.js'));
  for (const [file, text] of texts) {
    expect(text, file).not.toMatch(/FILERPAIR_FAILPOINTS|[gs]etEnvironmentData/);
    // The object itself, and properties that are read; it goes nowhere else.
    const uses = text.match(/(?:const |\.\.\.)?\bfailpoints\b.{0,20}/g) ?? [];
    for (const use of uses) {
      const isRead = /^failpoints\.\w+(?! *=[^=])/.test(use) || /^const failpoints = \{\};/.test(use);
      expect(isRead || /^failpoints;$/.test(use) || use.includes('.ts'), `${file}: ${use}`).toBe(true);
    }
  }
});
