/** A headless Chromium of Debian that loads nothing but the page under test, and tells everything that it complains of. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { REPOSITORY } from '../environment.ts';

const PROGRAM = '/usr/bin/chromium';

export interface OpenedPage {
  readonly page: Page;
  /** Errors of scripts, refusals of the content security policy, requests to other places. */
  readonly complaints: readonly string[];
  /** Writes docs/pictures/NAME.png. */
  picture(name: string, scheme: 'light' | 'dark'): Promise<void>;
  close(): Promise<void>;
}

export async function openPage(url: string): Promise<OpenedPage> {
  // Chromium's own sandbox needs namespaces that a container may not give; the page is ours.
  const browser: Browser = await chromium.launch({
    executablePath: PROGRAM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
    timeout: 120_000,
  });
  const page = await browser.newPage({ viewport: { width: 1000, height: 1000 }, reducedMotion: 'reduce' });
  page.setDefaultTimeout(120_000);
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  const { host } = new URL(url);
  page.on('request', (request) => {
    const asked = new URL(request.url());
    if (asked.protocol !== 'data:' && asked.host !== host) complaints.push(`asks ${request.url()}`);
  });
  await page.goto(url);
  return {
    page,
    complaints,
    async picture(name, scheme) {
      await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
      const taken = await page.screenshot({ fullPage: true });
      writeFileSync(join(REPOSITORY, `docs/pictures/${name}.png`), taken);
    },
    close: () => browser.close(),
  };
}
