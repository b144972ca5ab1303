/** The director's finder with real servers. */
import { afterEach, describe, expect, test } from 'vitest';
import {
  EVERYBODY,
  openMessage,
  TestDataThread,
  temporaryDirectory,
} from '../../fileserver/data-path/data-thread.fixture.ts';
import { eventually } from '../../testing/eventually.ts';
import { Resolver } from '../resolver.ts';
import { parseNfsUrl } from '../url.ts';
import { Finder } from './finder.ts';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const each of cleanUp.splice(0).reverse()) await each();
});

describe.runIf(process.geteuid!() === 0)('an export that takes calls from ports below 1024 only', () => {
  test('tells the finder which disk set it looks for', async () => {
    const directory = temporaryDirectory();
    const thread = new TestDataThread(undefined, { connections: 1, own: 1, partner: 1 });
    cleanUp.push(
      () => directory.remove(),
      () => thread.stop(),
      () => thread.close('local', 'fence'),
    );
    const exports = [{ path: '/reserved', volume: 'data', ...EVERYBODY, ports: 'Reserved' as const }];
    const { port } = await thread.open(openMessage(directory.path, { exports }));
    const parsed = parseNfsUrl(`nfs://127.0.0.1:${port}/reserved?alone`);
    if (!parsed.ok) throw new Error(parsed.reason);
    const finder = new Finder(parsed.url, new Resolver(), { onInput: () => {}, onEvent: () => {} });
    cleanUp.push(() => finder.close());
    await eventually('the export is mounted', 50_000, () => finder.isDiskSetKnown);
    expect(finder.isDiskSetKnown).toBe(true);
  }, 60_000);
});
