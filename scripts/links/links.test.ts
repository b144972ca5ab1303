import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkLinks } from './links.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'filerpair-links-'));
  mkdirSync(join(root, 'docs'));
  writeFileSync(join(root, 'code.ts'), `${'\n'.repeat(40)}export class Queue {\n  #take(): void {}\n}\n`);
  writeFileSync(join(root, 'docs/other.md'), '# Other\n\n## What it is (R1)\n');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function check(text: string): ReturnType<typeof checkLinks> {
  writeFileSync(join(root, 'docs/page.md'), text);
  return checkLinks(root, 'docs/page.md', ['code.ts', 'folder/file.ts', 'docs/page.md']);
}

test.each([
  '[other](other.md#what-it-is-r1)',
  '[here](#the-page)\n\n# The page',
  '[`Queue.take`](../code.ts#L42)',
  '[`Queue`](../code.ts#L30)',
  '[elsewhere](https://example.org/x)',
  '`file.ts` and `folder/file.ts`, and `node code.ts --x`, `*.test.ts`, `{a,b}.ts`, `.ts`',
])('finds nothing in %s', (text) => expect(check(text).faults).toEqual([]));

test.each([
  ['[x](gone.md)', 'docs/page.md:1: gone.md: there is no such file'],
  ['\n[x](other.md#what)', 'docs/page.md:2: other.md#what: there is no such heading'],
  ['[`Queue.give`](../code.ts#L42)', 'docs/page.md:1: ../code.ts#L42: the file declares no Queue.give'],
  ['[`Queue`](../code.ts#L3)', 'docs/page.md:1: ../code.ts#L3: Queue is in line 41 now; run "make generate"'],
  ['\nSee `gone/file.ts`.', 'docs/page.md:2: gone/file.ts: there is no such file'],
  ['`node gone.ts --seed 1`', 'docs/page.md:1: gone.ts: there is no such file'],
])('finds the fault of %s', (text, fault) => expect(check(text).faults).toEqual([fault]));

test('mends the line', () => {
  expect(check('See [`Queue`](../code.ts#L3).').mended).toBe('See [`Queue`](../code.ts#L41).');
});
