/** kubectl filerpair ui on a real cluster, in a real browser: conditions with their sentences, and a takeover that is seen. */
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { openPage } from '../console/browser.ts';
import { REPOSITORY, readEnvironment } from '../environment.ts';
import { PAIR, Pair } from '../harness/pair.ts';
import { step } from '../harness/step.ts';
import { WRITER_FINISHED_MS_MAX } from '../harness/timeouts.ts';
import { start } from '../machine/command.ts';

/** The page reads every half second; the machine may be busy. */
const SEEN = { timeout: 120_000, interval: 500 };

test(
  'shows the pair with its conditions, and a takeover that is asked for',
  async () => {
    const environment = readEnvironment();
    const pair = new Pair(environment, 'e2e-console');
    let command: ReturnType<typeof start> | undefined;
    let opened: Awaited<ReturnType<typeof openPage>> | undefined;
    try {
      await step('a FilerPair is applied', () => pair.create());
      await step('it becomes Ready', () => pair.ready());
      await step('a takeover is possible', () => pair.takeoverPossible(WRITER_FINISHED_MS_MAX));
      await step('the page is opened', async () => {
        const where = ['--namespace', pair.namespace, '--kubeconfig', environment.cluster.kubeconfig];
        command = start([
          process.execPath,
          join(REPOSITORY, 'client/cli/main.ts'),
          'pairs',
          'ui',
          PAIR,
          ...where,
        ]);
        command.stderr!.resume();
        const [url] = (await once(createInterface(command.stdout!), 'line')) as [string];
        opened = await openPage(url);
      });
      const { page, complaints, picture } = opened!;
      const text = (selector: string) => () => page.locator(selector).first().textContent();
      await step('it says what is so', async () => {
        await expect.poll(text('#now'), SEEN).toBe('Everything is served, each disk set by its own server.');
        const conditions = page.locator('section[aria-labelledby=h-conditions] tbody tr');
        await expect
          .poll(() => conditions.locator('th').allTextContents(), SEEN)
          .toContain('TakeoverPossible');
        expect(await conditions.first().locator('td').nth(2).textContent()).toMatch(/.{10}/);
      });
      await step('figures and room come through the API server', async () => {
        await expect.poll(text('#chip-0'), SEEN).toMatch(/session/);
        await expect.poll(() => page.locator('meter').count(), SEEN).toBeGreaterThanOrEqual(2);
        await expect.poll(() => page.locator('#link').getAttribute('class'), SEEN).toBe('link up');
      });
      await step('a takeover is asked for, and seen', async () => {
        await pair.request('takeover', 'a');
        await expect.poll(text('#now'), SEEN).toBe('Everything is served; b serves a.');
        await expect
          .poll(text('details summary'), SEEN)
          .toMatch(/^Takeover of a to b in .* \(Released, epoch \d+\)$/);
        await picture('console-cluster', 'light');
      });
      await step('nothing is asked of other places', async () => expect(complaints).toEqual([]));
    } finally {
      await opened?.close();
      command?.kill();
      await pair.remove();
    }
  },
  20 * 60_000,
);
