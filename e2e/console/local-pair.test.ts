/** The console in a real browser, on the demo's pair: what it shows moves while a server is killed and its partner takes over. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DemoConsole } from '../../demo/console.ts';
import { SERVERS, Stage } from '../../demo/stage.ts';
import { Writer } from '../../demo/writer.ts';
import { type OpenedPage, openPage } from './browser.ts';

let directory: string;
let stage: Stage;
let shown: DemoConsole;
let opened: OpenedPage;
const writers: Writer[] = [];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'filerpair-console-'));
  // The sentinel reports the death: a long lease makes nothing slower, and a busy machine breaks none.
  stage = await Stage.build(directory, { leaseMs: 60_000, guardMs: 15_000, heartbeatMs: 1000 });
  for (const name of SERVERS) {
    stage.startSentinel(name);
    stage.startServer(name);
  }
  shown = await DemoConsole.start(stage);
  opened = await openPage(shown.url);
});

afterAll(async () => {
  await opened?.close();
  for (const writer of writers) writer.close();
  await shown?.close();
  await stage?.stop();
  rmSync(directory, { recursive: true, force: true });
});

const now = () => opened.page.locator('#now');
const chip = (name: 0 | 1) => opened.page.locator(`#chip-${name}`);
const left = async (name: 0 | 1): Promise<number> => (await chip(name).boundingBox())!.x;

test('shows both servers and what each serves', { timeout: 300_000 }, async () => {
  await expect
    .poll(() => now().textContent(), { timeout: 240_000 })
    .toBe('Everything is served, each disk set by its own server.');
  await expect
    .poll(() => opened.page.locator('#link').getAttribute('class'), { timeout: 60_000 })
    .toBe('link up');
  for (const name of SERVERS) writers.push(await Writer.start(`writer-${name}`, stage.url(name)));
  for (const writer of writers) writer.failed().catch(() => {});
  // Load comes and is shown.
  const calls = opened.page
    .locator('section[aria-labelledby=h-figures] tbody tr')
    .first()
    .locator('td')
    .first();
  await expect.poll(async () => Number(await calls.textContent()), { timeout: 120_000 }).toBeGreaterThan(0);
  await expect.poll(() => chip(0).textContent(), { timeout: 60_000 }).toMatch(/primary port, \d+ session/);
  expect(await left(0)).toBeLessThan(await left(1));
  await opened.picture('console', 'light');
});

test('says itself what it shows: headings, a name for the picture, a live sentence, order of the keyboard', async () => {
  const { page } = opened;
  expect(await page.locator('h1').count()).toBe(1);
  const image = page.getByRole('img', { name: 'The pair' });
  expect(await image.count()).toBe(1);
  expect(await page.locator('#picture-text').textContent()).toContain(
    'filer-a serves the disk set of filer-a.',
  );
  expect(await now().getAttribute('aria-live')).toBe('polite');
  expect(await page.getByRole('heading', { level: 2 }).allTextContents()).toEqual(
    expect.arrayContaining(['The pair', 'Changes of owner', 'Throughput and latency', 'Capacity']),
  );
  expect(await page.locator('meter').first().getAttribute('aria-label')).toMatch(/percent used/);
  await page.keyboard.press('Tab');
  expect(await page.evaluate('document.activeElement.className')).toBe('skip');
  await page.keyboard.press('Tab');
  expect(await page.evaluate('document.activeElement.tagName')).toBe('SUMMARY');
});

test('moves while a server is killed and its partner takes over, and keeps the focus', {
  timeout: 300_000,
}, async () => {
  const { page } = opened;
  await page.locator('summary').first().focus();
  const before = await left(0);
  stage.kill('filer-a');
  await expect
    .poll(() => now().textContent(), { timeout: 120_000 })
    .toBe('Everything is served; filer-b serves filer-a.');
  expect(await left(0)).toBeGreaterThan(before + 100);
  await expect.poll(() => page.locator('#server-0').getAttribute('class')).toBe('server down');
  // The phases of what has just happened.
  const first = page.locator('details').first();
  await expect
    .poll(() => first.locator('tbody th').allTextContents(), { timeout: 60_000 })
    .toEqual(['claim', 'verify', 'listen', 'replay', 'firstReply']);
  expect(await first.locator('summary').textContent()).toMatch(
    /Takeover of filer-a to filer-b in [\d.]+ m?s, \d+ s ago \(PartnerSaidSo, epoch 2\)/,
  );
  await opened.picture('console-failed-over', 'light');
  await opened.picture('console-failed-over-dark', 'dark');
  const colours = await page.evaluate('getComputedStyle(document.body).backgroundColor');
  expect(colours).toBe('rgb(13, 17, 23)');
});

test('asks nothing of any other place, and no script fails', () => {
  expect(opened.complaints).toEqual([]);
});
