/** make demo UI=1: the demo opens its page in the browser, waits until that watches, and shows it every step. */
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { afterAll, expect, it } from 'vitest';
import { eventually } from '../testing/eventually.ts';

const DEMO_MS_MAX = 120_000;
const directory = mkdtempSync(join(tmpdir(), 'filerpair-demo-ui-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

it('opens its page in the browser, and goes on when that watches: the takeover is on it', {
  timeout: DEMO_MS_MAX,
}, async () => {
  // The program by which desktops open an address; this one notes what it is given.
  const opened = join(directory, 'opened');
  const opener = join(directory, 'xdg-open');
  writeFileSync(opener, `#!/bin/sh\nprintf %s "$1" >'${opened}.new' && mv '${opened}.new' '${opened}'\n`);
  chmodSync(opener, 0o755);
  const demo = spawn(process.execPath, [join(import.meta.dirname, 'main.ts'), '--ui'], {
    env: { ...process.env, PATH: `${directory}:${dirname(process.execPath)}:${process.env['PATH']}` },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  demo.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const ended = new Promise<number | null>((resolve) => demo.once('close', resolve));

  await eventually('the page is opened', DEMO_MS_MAX, () => existsSync(opened));
  const url = readFileSync(opened, 'utf8');
  expect(output).toContain(url);
  const page = await fetch(url);
  expect(page.status).toBe(200);
  expect(await page.text()).toContain('<title>');
  const events = await fetch(`${url}events`);
  const states: string[] = [];
  const lines = createInterface({ input: Readable.fromWeb(events.body as never) });
  lines.on('line', (line) => line.startsWith('data: ') && states.push(line));
  const watched = new Promise((resolve) => lines.once('close', resolve));

  expect(await ended, output).toBe(0);
  await watched;
  for (const to of ['filer-b', 'filer-a'])
    expect(
      states.some((state) => state.includes(`</strong> of filer-a to ${to} in `)),
      `of filer-a to ${to}`,
    ).toBe(true);
});
